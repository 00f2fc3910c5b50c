"""Any other network: a Keras model's graph, its Conv2D layers, what they see and cost, and its computation cut at a layer.

Read from keras.applications by name, or from a model file. The model's own classification head is left out or ignored;
models inside the model are opened.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from amaxds.compute import backend
from amaxds.compute.depthwise import convolve, is_depthwise
from amaxds.compute.keras_models import Model, variables_of
from amaxds.compute.keras_trace import _trace
from amaxds.compute.weights import Weights
from amaxds.errors import UsageError
from amaxds.spec.network import Layer, Network

Tensor = Any
Given = tuple[list[Tensor], list[Tensor], tuple[Tensor, ...]]
"""The values of a cut model's variables, trainable and other, and kernel and bias of the layer that it is cut at."""


# Computing.


class Graph:
    """A Keras model with its weights, cut where it is asked for."""

    def __init__(self, network: Network, weights: Weights, precision: str = "float32") -> None:
        """UsageError for another precision than float32: the layers of such a model say themselves what they compute in."""
        import keras

        if precision != "float32":
            raise UsageError(f"{network.name} cannot be computed in {precision}.", "Leave out --precision.")
        model = keras.models.model_from_json(weights.model or "")
        self._x, traced = _trace(model, network.canvas)
        self._convolutions = {each.layer.name: each for each in traced}
        self._usable = [layer.name for layer in network.usable]
        self._tensors, self._on_cpu = weights.tensors, backend.device()["kind"] == "cpu"
        self._names = {id(each): name for name, each in variables_of(model).items()}
        self._on_device = {name: keras.ops.convert_to_tensor(value) for name, value in weights.tensors.items()}
        self._cut = functools.lru_cache(maxsize=None)(self._cut_at)

    def given(self, layer: Layer | None = None) -> Given:
        """The weights as programs take them for this layer, or for all."""
        cut = self._cut(layer.name if layer else None)
        names = [layer.name] if layer else self._usable
        own = tuple(self._on_device[each] for name in names for each in self._own(name))
        return self._values(cut.trainable_variables), self._values(cut.non_trainable_variables), own

    def own(self, layer: Layer, filters: list[int]) -> tuple[Tensor, Tensor]:
        """Kernel and bias of each image's own filter, as `response` takes them: (h, w, c, n), (n,).

        A filter of a grouped convolution is one of all channels, zero outside of its group.
        """
        import keras

        variables = [self._tensors[each] for each in self._own(layer.name)]
        kernel = np.zeros((*variables[0].shape[:2], layer.channels, len(filters)), np.float32)
        width, per_group = variables[0].shape[2], layer.filters // self._convolutions[layer.name].layer.groups
        for place, filter in enumerate(filters):
            first = filter // per_group * width
            kernel[:, :, first : first + width, place] = variables[0][..., filter]
        bias = variables[1][filters] if len(variables) > 1 else np.zeros(len(filters), np.float32)
        return keras.ops.convert_to_tensor(kernel), keras.ops.convert_to_tensor(bias)

    def response(self, given: Given, own: tuple[Tensor, Tensor], layer: Layer, x: Tensor) -> Tensor:
        """Each image's own filter's output before any activation, for network input x: (n, height, width)."""
        import keras

        maps = self._convolve(layer.name, self._inputs_of(given, layer, x), *own)
        return keras.ops.sum(maps * np.eye(maps.shape[-1], dtype=np.float32)[:, None, None], axis=-1)

    def activated(self, given: Given, layer: Layer, x: Tensor) -> Tensor:
        """The layer's output after ReLU, for network input x: (n, height, width, filters)."""
        import keras

        return keras.ops.relu(self._convolve(layer.name, self._inputs_of(given, layer, x), *given[2]))

    def all_activated(self, given: Given, x: Tensor) -> Iterator[Tensor]:
        """The same of every layer that images are made for, in turn."""
        import keras

        inputs, own = self._run(self._cut(None), given, x), list(given[2])
        for name, maps in zip(self._usable, inputs, strict=True):
            yield keras.ops.relu(self._convolve(name, maps, *(own.pop(0) for _ in self._own(name))))

    def _own(self, name: str) -> list[str]:
        """Its kernel and, where it has one, its bias."""
        layer = self._convolutions[name].layer
        return [self._names[id(each)] for each in (layer.kernel, layer.bias) if each is not None]

    def _values(self, variables: list[Any]) -> list[Tensor]:
        return [self._on_device[self._names[id(each)]] if id(each) in self._names else each.value for each in variables]

    def _cut_at(self, name: str | None) -> Model:
        """The model up to what the layer is given, or what all are."""
        import keras

        inputs = [self._convolutions[each].input for each in self._usable]
        return keras.Model(self._x, inputs if name is None else self._convolutions[name].input)

    def _inputs_of(self, given: Given, layer: Layer, x: Tensor) -> Tensor:
        return self._run(self._cut(layer.name), given, x)

    def _run(self, cut: Model, given: Given, x: Tensor) -> Any:
        return cut.stateless_call(given[0], given[1], x, training=False)[0]

    def _convolve(self, name: str, x: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
        import keras

        layer = self._convolutions[name].layer
        if self._on_cpu and is_depthwise(layer) and kernel.shape[2] == 1:
            maps = convolve(x, kernel[:, :, 0], layer.strides, layer.padding, layer.dilation_rate)
            return maps if bias is None else maps + bias
        options = {"strides": layer.strides, "padding": layer.padding, "dilation_rate": layer.dilation_rate}
        maps = keras.ops.conv(x, kernel, data_format="channels_last", **options)
        return maps if bias is None else maps + bias
