"""The plain chain of 3x3 convolutions, ReLUs and poolings that VGG16 is, computed in the forms that are fastest for each size.

Nothing past the asked-for layer is computed, and of that layer only the asked-for filters. Functions of tensors here are
pure; tensors are channels last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from amaxds.compute import backend
from amaxds.compute.convolution import DIRECT, Form, choose, convolve_one_filter, turned
from amaxds.compute.weights import Weights
from amaxds.spec.network import Layer, Network

Tensor = Any
Given = dict[str, tuple[Tensor, ...]]
"""Layer -> kernel, turned kernel and bias, in the forms that its convolution wants."""


class Chain:
    """A chain with its weights."""

    def __init__(self, network: Network, weights: Weights, precision: str = "float32") -> None:
        """precision: of the weights, and so of all that is computed, one of plan.PRECISIONS."""
        import keras

        self._layers, self._host = network.layers, weights.tensors
        self._dtype = None if precision == "float32" else precision
        all_direct = self._dtype is not None or backend.device()["kind"] == "gpu"
        self._forms: dict[str, tuple[Form, Form]] = {}
        self._given: Given = {}
        for each in network.layers:
            kernel, bias = (self._host[f"{each.name}/{part}"] for part in ("kernel", "bias"))
            there, back = choose(each.side, each.channels, each.filters), choose(each.side, each.filters, each.channels)
            if all_direct:
                there = back = DIRECT
            prepared = there.prepare(kernel), back.prepare(turned(kernel)), bias
            self._given[each.name] = tuple(keras.ops.convert_to_tensor(part, self._dtype) for part in prepared)
            self._forms[each.name] = there, back

    def given(self, layer: Layer | None = None) -> Given:
        """The weights as programs take them for this layer, or for all."""
        return self._given

    def own(self, layer: Layer, filters: list[int]) -> tuple[Tensor, Tensor]:
        """Kernel and bias of each image's own filter, as `response` takes them: (n, 9, c), (n,)."""
        import keras

        kernel, bias = self._host[f"{layer.name}/kernel"], self._host[f"{layer.name}/bias"]
        kernels = np.ascontiguousarray(kernel[..., filters].reshape(9, layer.channels, -1).transpose(2, 0, 1))
        return keras.ops.convert_to_tensor(kernels, self._dtype), keras.ops.convert_to_tensor(bias[filters], self._dtype)

    def response(self, given: Given, own: tuple[Tensor, Tensor], layer: Layer, x: Tensor) -> Tensor:
        """Each image's own filter's output before ReLU, for network input x: (n, height, width)."""
        import keras

        kernels, biases = own
        return convolve_one_filter(self._inputs_of(given, layer, keras.ops.cast(x, kernels.dtype)), kernels, biases)

    def activated(self, given: Given, layer: Layer, x: Tensor) -> Tensor:
        """The layer's output after ReLU, for network input x: (n, height, width, filters)."""
        return self._convolved(given, layer, self._inputs_of(given, layer, x))

    def all_activated(self, given: Given, x: Tensor) -> Iterator[Tensor]:
        """The same of every layer in turn."""
        for layer in self._layers:
            x = self._convolved(given, layer, pool(x) if layer.pooled else x)
            yield x

    def _inputs_of(self, given: Given, layer: Layer, x: Tensor) -> Tensor:
        """What the layer's convolution is given, for network input x."""
        for each in self._layers[: layer.index]:
            x = self._convolved(given, each, pool(x) if each.pooled else x)
        return pool(x) if layer.pooled else x

    def _convolved(self, given: Given, layer: Layer, x: Tensor) -> Tensor:
        """The layer's output after ReLU, for its convolution's input.

        The gradient is said to be the convolution with the turned kernel, so that its form can be chosen too.
        """
        import keras

        kernel, turned, bias = given[layer.name]
        forward, backward = self._forms[layer.name]

        @keras.ops.custom_gradient  # type: ignore[untyped-decorator]  # the library has no types
        def convolve(x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
            return forward.convolve(x, kernel), lambda upstream: backward.convolve(upstream, turned)

        return keras.ops.relu(convolve(x) + bias)


def pool(x: Tensor) -> Tensor:
    """2x2 max pooling that drops an odd last row and column.

    Elementwise, with its gradient said: that of a window reduction costs more than a convolution on a CPU. Equal maxima of a
    window share its gradient.
    """
    import keras

    n, height, width, channels = x.shape
    down, across = height // 2, width // 2

    @keras.ops.custom_gradient  # type: ignore[untyped-decorator]  # the library has no types
    def pooled(x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        windows = keras.ops.reshape(x[:, : 2 * down, : 2 * across], (n, down, 2, across, 2, channels))
        rows = keras.ops.maximum(windows[:, :, 0], windows[:, :, 1])
        most = keras.ops.maximum(rows[:, :, :, 0], rows[:, :, :, 1])

        def gradient(upstream: Tensor) -> Tensor:
            wide = (n, down, 1, across, 1, channels)
            equal = [windows[:, :, row, :, column] == most for row in (0, 1) for column in (0, 1)]
            share = upstream / sum(keras.ops.cast(each, upstream.dtype) for each in equal)
            found = keras.ops.where(windows == keras.ops.reshape(most, wide), keras.ops.reshape(share, wide), 0.0)
            found = keras.ops.reshape(found, (n, 2 * down, 2 * across, channels))
            return keras.ops.pad(found, ((0, 0), (0, height - 2 * down), (0, width - 2 * across), (0, 0)))

        return most, gradient

    found: Tensor = pooled(x)
    return found
