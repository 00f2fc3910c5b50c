"""The forward pass of VGG-style networks: a plain stack of 3x3 convolutions, ReLUs and 2x2 poolings, without a Keras model.

Each convolution is computed in the form that is fastest for its size.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amaxds.compute import environment, winograd
from amaxds.compute.backend import lasting_tensor
from amaxds.compute.convolution import DIRECT, WINOGRAD, Form, choose, convolve_one_filter, turned
from amaxds.compute.forward import OwnFilters
from amaxds.compute.pooling import pool_2x2
from amaxds.compute.weights import Weights
from amaxds.spec.network import Layer, Network

Tensor = Any
Params = dict[str, tuple[Tensor, ...]]
"""Layer name -> kernel, turned kernel and bias, each as the form of its convolution needs it."""


class VggForward:
    """The `ForwardPass` of a network without a Keras model."""

    def __init__(self, network: Network, weights: Weights, precision: str = "float32") -> None:
        self._layers, self._tensors = network.layers, weights.tensors
        self._dtype = None if precision == "float32" else precision
        all_direct = self._in_one_kernel = self._dtype is not None or environment.on_gpu()
        self._forms: dict[str, tuple[Form, Form]] = {}
        for each in network.layers:
            there, back = choose(each.side, each.channels, each.filters), choose(each.side, each.filters, each.channels)
            self._forms[each.name] = (DIRECT, DIRECT) if all_direct else (there, back)
        self._params: Params = {}
        self._lock = threading.Lock()

    @staticmethod
    def has_loops(network: Network) -> bool:
        """Whether a layer is convolved in strips: that is a loop."""
        sizes = [(layer.side, layer.channels, layer.filters) for layer in network.layers]
        return any(choose(*size) is WINOGRAD and winograd.in_strips(size[0], *size) for size in sizes)

    def output_sizes(self, layers: Sequence[Layer], side: int) -> list[tuple[int, int]]:
        """Pooling halves the sides, and drops the last row and column of odd ones."""
        sides = [side // (layer.stride or 1) for layer in layers]
        return list(zip(sides, sides, strict=True))

    def params(self, layer: Layer | None = None) -> Params:
        """The weights of all layers up to this one, prepared when they are first needed, as they take up to eight times the
        memory of the network's own."""
        wanted = self._layers if layer is None else self._layers[: layer.index + 1]
        with self._lock:
            for each in wanted:
                if each.name not in self._params:
                    kernel, bias = (self._tensors[f"{each.name}/{part}"] for part in ("kernel", "bias"))
                    there, back = self._forms[each.name]
                    prepared = there.prepare(kernel), back.prepare(turned(kernel)), bias
                    self._params[each.name] = tuple(lasting_tensor(part, self._dtype) for part in prepared)
            return {each.name: self._params[each.name] for each in wanted}

    def own_filters(self, layer: Layer, filters: list[int]) -> OwnFilters:
        """Kernels (n, 9, c) and biases (n,)."""
        import keras

        kernel, bias = self._tensors[f"{layer.name}/kernel"], self._tensors[f"{layer.name}/bias"]
        kernels = np.ascontiguousarray(kernel[..., filters].reshape(9, layer.channels, -1).transpose(2, 0, 1))
        return keras.ops.convert_to_tensor(kernels, self._dtype), keras.ops.convert_to_tensor(bias[filters], self._dtype)

    def own_direction(self, layer: Layer, vector: NDArray[np.float32], images: int) -> OwnFilters:
        """Kernels (n, 9, c) and biases (n,)."""
        import keras

        kernel, bias = self._tensors[f"{layer.name}/kernel"] @ vector, self._tensors[f"{layer.name}/bias"] @ vector
        kernels = np.repeat(kernel.reshape(1, 9, layer.channels), images, axis=0)
        return keras.ops.convert_to_tensor(kernels, self._dtype), keras.ops.convert_to_tensor([bias] * images, self._dtype)

    def response(self, params: Params, own: OwnFilters, layer: Layer, x: Tensor) -> Tensor:
        """The output before ReLU of each image's own filter: (n, height, width)."""
        import keras

        kernels, biases = own
        return convolve_one_filter(self._inputs_of(params, layer, keras.ops.cast(x, kernels.dtype)), kernels, biases)

    def activated(self, params: Params, layer: Layer, x: Tensor) -> Tensor:
        """The layer's output after ReLU: (n, height, width, filters)."""
        import keras

        return self._convolve(params, layer, self._inputs_of(params, layer, keras.ops.cast(x, params[layer.name][0].dtype)))

    def all_activated(self, params: Params, x: Tensor) -> Iterator[Tensor]:
        """The output after ReLU of every layer, in network order."""
        for layer in self._layers:
            x = self._convolve(params, layer, self._pooled(layer, x))
            yield x

    def _inputs_of(self, params: Params, layer: Layer, x: Tensor) -> Tensor:
        """The input of the layer's convolution, for network input x."""
        for each in self._layers[: layer.index]:
            x = self._convolve(params, each, self._pooled(each, x))
        return self._pooled(layer, x)

    def _pooled(self, layer: Layer, x: Tensor) -> Tensor:
        """What the layer's convolution is given, for the output of the layer before."""
        return pool_2x2(x, self._in_one_kernel) if layer.pooled else x

    def _convolve(self, params: Params, layer: Layer, x: Tensor) -> Tensor:
        """The layer's output after ReLU, for the input of its convolution.

        The gradient is written out: the convolution with the turned kernel, so that its form can be chosen, of what the ReLU
        lets through. That needs nothing but the output: it is `!= 0`, because `> 0` would have XLA keep the output before
        ReLU besides, and on a GPU keep cuDNN from computing convolution, bias and ReLU in one kernel.
        """
        import keras

        kernel, turned_kernel, bias = params[layer.name]
        forward, backward = self._forms[layer.name]

        @keras.ops.custom_gradient  # type: ignore[untyped-decorator]  # the library has no types
        def convolved(x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
            output = keras.ops.relu(forward.convolve(x, kernel) + bias)

            def gradient(upstream: Tensor) -> Tensor:
                return backward.convolve(keras.ops.where(output != 0, upstream, keras.ops.zeros_like(upstream)), turned_kernel)

            return output, gradient

        return convolved(x)
