"""Objectives beyond one filter: what an image on demand is to excite. A dataset stays with one filter an image.

They are made by the functions of `amaxds.objectives`, and may be added, subtracted, and multiplied or divided by numbers.
"""

from __future__ import annotations

import dataclasses
import reprlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from amaxds.errors import LARGEST, UsageError, real_number, whole_number
from amaxds.spec.network import LEAST_SIDE, Layer, Network

MOST_IMAGES = 64
Place = tuple[int | None, int | None]
"""Row and column of one output of a layer; None for that in the middle."""


@dataclass(frozen=True)
class Term:
    """A weighted sum of a layer's channels: averaged over the recipe's window, or at one place of the layer's output."""

    layer: str
    channels: tuple[float, ...] | int
    """The weight of every channel, or the only channel."""
    place: Place | None = None
    weight: float = 1.0
    """What the result is multiplied by."""
    dense: bool = False
    """Whether the layer is a Dense layer of the model, and the only channel one of its units."""

    def layer_of(self, network: Network) -> Layer | str:
        """The layer, of a Dense layer only the name; UsageError where the network has none such, or none with these channels.
        Which Dense layers there are is known only to the network's model."""
        if self.dense:
            if not network.has_keras_model:
                raise UsageError(
                    f"there is no dense layer {self.layer!r} in {network.name}, only convolutions.",
                    "Give a Keras model with a head of its own.",
                )
            return self.layer
        layer = network.layer(self.layer)
        if not layer.usable:
            raise UsageError(
                f"the canvas of {network.canvas} is too small for layer {layer.name} of {network.name}: "
                f"it gives {layer.side} places a side, {LEAST_SIDE} are needed.",
                "Choose other layers, or a larger canvas.",
            )
        if isinstance(self.channels, int):
            if not 0 <= self.channels < layer.filters:
                problem = f"filter {self.channels} is out of range for {layer.name} of {network.name}."
                raise UsageError(problem, f"It has filters 0 to {layer.filters - 1}.")
        elif len(self.channels) != layer.filters:
            problem = f"a direction of {len(self.channels)} numbers is none in {layer.name} of {network.name}."
            raise UsageError(problem, f"Give one for each of its {layer.filters} filters.")
        return layer

    def place_in(self, network: Network, height: int, width: int) -> tuple[int, int] | None:
        """Row and column of the place in the layer's output of this size, None where there is none; UsageError for one that is
        outside of it."""
        if self.place is None:
            return None
        row, column = (side // 2 if each is None else each for each, side in zip(self.place, (height, width), strict=True))
        if not (0 <= row < height and 0 <= column < width):
            raise UsageError(
                f"{self.layer} of {network.name} has no output at row {row}, column {column}.",
                f"Rows go from 0 to {height - 1}, columns to {width - 1}, on a canvas of {network.canvas}.",
            )
        return row, column

    def vector(self, layer: Layer) -> NDArray[np.float32]:
        """The weight of every channel of the layer, (filters,)."""
        if not isinstance(self.channels, int):
            return np.asarray(self.channels, np.float32)
        vector = np.zeros(layer.filters, np.float32)
        vector[self.channels] = 1
        return vector

    @property
    def leading(self) -> int:
        """The channel with the largest weight, whose generator draws the start of the image."""
        return self.channels if isinstance(self.channels, int) else int(np.argmax(np.abs(self.channels)))

    def __str__(self) -> str:
        what = f"{self.layer}/{self.channels}" if isinstance(self.channels, int) else f"direction in {self.layer}"
        if self.place is not None:
            what += " at {}".format(",".join("middle" if each is None else str(each) for each in self.place))
        return what if self.weight == 1 else f"{self.weight:g} × {what}"


@dataclass(frozen=True)
class Objective:
    """What an image is to maximize: a weighted sum of outputs of the network. The functions of `amaxds.objectives` make them.

    Two of them may be added and subtracted, and one multiplied by a number. The outputs of filters are taken as the recipe
    takes them: after a leaky ReLU under `clear`, after ReLU under `original`.

    Examples:
        >>> from amaxds.objectives import channel
        >>> objective = channel("block3_conv1", 5) - 0.5 * channel("block3_conv1", 2)
        >>> print(objective)
        block3_conv1/5 - 0.5 × block3_conv1/2
        >>> (image,) = amaxds.synthesise("demo", objective=objective)
    """

    terms: tuple[Term, ...]
    """What is added up: each a filter, a neuron, a direction or a unit, with its weight."""
    images: int = 1
    """How many images are made for it together; more than one only for `diversity`."""
    diversity: float = 0.0
    """How much the images are kept apart: the share of the objective that is given up where two are of the same texture."""
    diverse_term: int = 0
    """The place among the terms of the one in whose layer textures are compared."""
    __array_ufunc__: ClassVar[None] = None
    """NumPy's numbers leave it to this class to multiply with it."""

    def __add__(self, other: Objective) -> Objective:
        added = _require_objective(other)
        images, diversity = max(self.images, added.images), max(self.diversity, added.diversity)
        term = self.diverse_term if self.diversity else len(self.terms) + added.diverse_term
        if self.diversity and added.diversity and self.diverse_layer != added.diverse_layer:
            raise UsageError(
                f"images cannot be kept apart in {self.diverse_layer} and in {added.diverse_layer} at once.",
                "Choose one layer for diversity(...).",
            )
        return Objective(self.terms + added.terms, images, diversity, term if images > 1 else 0)

    @property
    def diverse_layer(self) -> str:
        """The layer in which textures are compared, where there are several images."""
        return self.terms[self.diverse_term].layer

    def __radd__(self, other: object) -> Objective:
        """Nothing but the 0 that `sum` begins with."""
        return self if type(other) is int and other == 0 else _require_objective(other)

    def __mul__(self, factor: float) -> Objective:
        number = real_number(factor, "factor")
        terms = tuple(dataclasses.replace(each, weight=real_number(number * each.weight, "weight")) for each in self.terms)
        return dataclasses.replace(self, terms=terms)

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> Objective:
        number = real_number(divisor, "divisor")
        if not number:
            raise UsageError(f"{self} cannot be divided by {divisor!r}.", "Divide by another number.")
        terms = tuple(dataclasses.replace(each, weight=real_number(each.weight / number, "weight")) for each in self.terms)
        return dataclasses.replace(self, terms=terms)

    def __neg__(self) -> Objective:
        return -1.0 * self

    def __sub__(self, other: Objective) -> Objective:
        return self + -_require_objective(other)

    def __str__(self) -> str:
        return " + ".join(map(str, self.terms)).replace("+ -1 × ", "- ").replace("+ -", "- ")


def channel(layer: str, filter: int) -> Objective:
    """The mean output of one filter, as in a dataset.

    Args:
        layer: The layer's name.
        filter: The filter's number, from 0.

    Examples:
        >>> amaxds.synthesise("vgg16", objective=channel("block4_conv1", 3) - channel("block4_conv1", 8))
    """
    return Objective((Term(_name(layer), whole_number(filter, "filter")),))


def neuron(layer: str, filter: int, row: int | None = None, column: int | None = None) -> Objective:
    """The output of one filter at one place.

    Args:
        layer: The layer's name.
        filter: The filter's number, from 0.
        row: The row of the layer's output, from 0. By default that in the middle.
        column: The column, in the same way.

    Examples:
        >>> amaxds.synthesise("vgg16", objective=neuron("block4_conv1", 3))
    """
    place = None if row is None else whole_number(row, "row"), None if column is None else whole_number(column, "column")
    return Objective((Term(_name(layer), whole_number(filter, "filter"), place),))


def direction(layer: str, vector: Sequence[float] | NDArray[Any]) -> Objective:
    """The mean of a weighted sum of all filters of a layer.

    Args:
        layer: The layer's name.
        vector: The weight of each filter, (filters,).

    Examples:
        >>> vector = numpy.random.default_rng(0).normal(size=512)
        >>> amaxds.synthesise("vgg16", objective=direction("block4_conv1", vector))
    """
    try:
        numbers = np.asarray(vector, np.float64)
    except (TypeError, ValueError):
        raise UsageError(f"{reprlib.repr(vector)} is no direction.", "Give a number for each filter of the layer.") from None
    if numbers.ndim != 1 or not (np.abs(numbers) <= LARGEST).all() or not numbers.any():
        raise UsageError(
            f"a direction is a vector, not {numbers.shape}, of finite numbers, not all 0.",
            "Give a number for each filter of the layer.",
        )
    return Objective((Term(_name(layer), tuple(numbers.tolist())),))


def unit(layer: str, number: int) -> Objective:
    """The output of one unit of a Dense layer before its activation, such as a class's logit: for a Keras model file or a
    `keras.Model`, whose own head is used. `vgg16`, `demo` and the networks of keras.applications have none here.

    Args:
        layer: The Dense layer's name; `name.2` for what it is called with the second time.
        number: The unit's number, from 0.

    Examples:
        >>> amaxds.synthesise(model, objective=unit("predictions", 281))
    """
    return Objective((Term(_name(layer), whole_number(number, "unit"), dense=True),))


def diversity(layer: str, filter: int, images: int = 4, strength: float = 1.0) -> Objective:
    """Several different images of one filter, which are made together and kept apart.

    How alike two images are is measured as in style transfer, by the cosine between the Gram matrices of the layer's outputs
    (Olah et al., Feature Visualization, 2017).

    Args:
        layer: The layer's name.
        filter: The filter's number, from 0.
        images: How many, from 2.
        strength: The share of the filter's output that is given up where all images are of the same texture.

    Examples:
        >>> amaxds.synthesise("vgg16", objective=diversity("block4_conv1", 3, images=4))
    """
    count = whole_number(images, "images")
    if not 2 <= count <= MOST_IMAGES:
        raise UsageError(f"{count} images are no diversity.", f"Give a number from 2 to {MOST_IMAGES}.")
    return dataclasses.replace(channel(layer, filter), images=count, diversity=real_number(strength, "strength", least=0.0))


def _name(layer: Any) -> str:
    if not isinstance(layer, str):
        raise UsageError(f"{reprlib.repr(layer)} is no name of a layer.", "Give one such as 'block5_conv3'.")
    return layer


def _require_objective(other: Any) -> Objective:
    if not isinstance(other, Objective):
        raise UsageError(
            f"{reprlib.repr(other)} is no objective.", "Add or subtract what the functions of amaxds.objectives make."
        )
    return other
