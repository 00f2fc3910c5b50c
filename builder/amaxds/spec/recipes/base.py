"""What every recipe says, and what a recipe that this tool can run has to do.

A recipe is everything that turns (network, filter, seed) into an image. It is frozen and named, and has a digest over all its
settings: two recipes with the same digest make the same image. One file of this package holds one recipe, with its settings
and its steps.

The steps of an ascent are functions of tensors, written in `keras.ops`, which run inside a compiled program. Tensors hold n
images, and every operation treats them one by one, so that an image depends on nothing beside it.
"""

from __future__ import annotations

import abc
import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from amaxds.image import Pixels
from amaxds.spec.network import Layer, Network

FULL_CANVAS = 224
"""The side in pixels of the canvas that lengths in recipes are given for."""

Tensor = Any
State = tuple[Tensor, ...]
"""The parameters (n, ...), and whatever the optimiser keeps beside them in the same shape."""


@dataclass(frozen=True)
class Wandering:
    """How the canvas moves over a picture that is larger than it, from step to step."""

    distance: int
    """How far it goes from the middle along each axis, in pixels."""
    grid: int
    """It moves by multiples of so many pixels, the distance between neighbouring outputs of the layer."""


@dataclass(frozen=True)
class Recipe(abc.ABC):
    """What is known of how an image was made."""

    made_here: ClassVar[bool] = True
    """Whether this tool made the image. If not, its seed, activations and rank are not known."""
    noise: ClassVar[str] = "its starting noise"
    """What `shows_noise` recognises, in messages."""
    summary: ClassVar[str] = ""
    """How it makes an image, in one sentence for readers who see the images only, without its name and the full stop."""

    name: str
    steps: int
    window_margin: int
    """Rows and columns of the layer's output left out at each side of the window that is averaged."""

    @property
    def digest(self) -> str:
        """SHA-256 over every setting, in hexadecimal."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def settings(self) -> dict[str, Any]:
        """Every setting by name, and the digest: the recipe as build.json holds it."""
        return dataclasses.asdict(self) | {"digest": self.digest}

    @abc.abstractmethod
    def image_side(self, network: Network) -> int:
        """Side of the saved image in pixels."""

    def shows_noise(self, network: Network, pixels: Pixels, seed: int, layer: str, filter: int) -> bool | None:
        """Whether a saved image, (side, side, 3) uint8, is noise that never moved; None if its pixels alone cannot tell."""
        return None


class AscentRecipe(Recipe):
    """A recipe that this tool can run. Lengths in pixels are given for a canvas of 224 and scale with the canvas."""

    preprocessing: str
    """`none`: the network is fed the float image directly. `network`: as it was trained to see pictures."""

    @abc.abstractmethod
    def start(self, network: Network, seed: int, layer_index: int, filter: int) -> NDArray[np.float32]:
        """The parameters that the ascent of one filter begins with.

        They are drawn from a generator of the filter's own, so that they depend on nothing else in the build.
        """

    @abc.abstractmethod
    def schedule(self, network: Network, seed: int, layer_index: int, filter: int) -> NDArray[np.float32]:
        """The inputs of each step beside the parameters, such as a shift or a step size: (steps, k), drawn after the start."""

    @abc.abstractmethod
    def first_state(self, parameters: Tensor) -> State:
        """The state before the first step, for the parameters (n, ...) of n images."""

    def wandering(self, network: Network, layer: Layer) -> Wandering | None:
        """How the canvas wanders while filters of this layer are climbed; None where it stays."""
        return None

    def step_margin(self, network: Network, layer: Layer) -> int:
        """As `window_margin`, for what the steps climb. The final image is measured with `window_margin`."""
        return self.window_margin

    @abc.abstractmethod
    def render(
        self, network: Network, parameters: Tensor, inputs: Tensor | None = None, wandering: Wandering | None = None
    ) -> Tensor:
        """The parameters (n, ...) as float images (n, canvas, canvas, 3).

        inputs: this step's row of the schedule for each image, (n, k); the images are then transformed as the step sees them,
        and the canvas is where it has wandered to.
        """

    @abc.abstractmethod
    def averaged(self, maps: Tensor) -> Tensor:
        """What the objective averages over its window, for a filter's output before ReLU: (n, h, w) -> (n, h, w)."""

    @abc.abstractmethod
    def update(self, network: Network, state: State, gradient: Tensor, inputs: Tensor) -> State:
        """The state after one step along the gradient, which has the shape of the parameters; inputs as for `render`."""

    @abc.abstractmethod
    def decode(self, network: Network, image: NDArray[np.float32]) -> Pixels:
        """The float image (canvas, canvas, 3) as it is saved, (side, side, 3) uint8."""

    def preprocess(self, network: Network, image: Tensor) -> Tensor:
        """Float images (n, h, w, 3) as this recipe feeds them to the network; where it feeds pictures, they are in [0, 1]."""
        import keras

        if self.preprocessing == "none":
            return image
        ordered = keras.ops.flip(image, axis=-1) if network.channel_order == "bgr" else image
        mean, scale = (np.asarray(each, np.float32) for each in (network.channel_mean, network.channel_scale))
        return (ordered * np.float32(255) - mean) / scale


def sum_of_squares(gradient: Tensor) -> Tensor:
    """The squared L2 norm of each image's gradient: (n, a, b, c) -> (n, 1, 1, 1)."""
    import keras

    return keras.ops.sum(keras.ops.square(gradient), axis=(1, 2, 3), keepdims=True)


def image_generator(seed: int, layer_index: int, filter: int) -> np.random.Generator:
    """The one source of randomness of one image: Philox, seeded by the build's seed, the layer's index and the filter."""
    sequence = np.random.SeedSequence(entropy=seed, spawn_key=(layer_index, filter))
    return np.random.Generator(np.random.Philox(sequence))
