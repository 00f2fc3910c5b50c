"""Depthwise convolutions as sums of shifted maps: on a CPU, XLA's own take some fifty times as long.

`python benchmarks/convolutions.py` compares the two.

Tensors are channels last: (n, h, w, channels). A kernel is (h, w, channels).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amaxds.compute.keras_trace import layer_of

Tensor = Any
Pair = tuple[int, int]


def convolve(x: Tensor, kernel: Tensor, strides: Pair, padding: str, dilation: Pair) -> Tensor:
    """The convolution of each channel with its own kernel; padding is Keras's `same` or `valid`."""
    import keras

    reach = [(taps - 1) * wide for taps, wide in zip(kernel.shape[:2], dilation, strict=True)]
    if padding == "same":
        outputs = [-(-side // stride) for side, stride in zip(x.shape[1:3], strides, strict=True)]
        ends = [(count - 1) * stride + each + 1 for count, stride, each in zip(outputs, strides, reach, strict=True)]
        before = [max(end - side, 0) // 2 for end, side in zip(ends, x.shape[1:3], strict=True)]
    else:
        outputs = [(side - each - 1) // stride + 1 for side, each, stride in zip(x.shape[1:3], reach, strides, strict=True)]
        before = [0, 0]
    if strides != (1, 1):
        return _added(x, kernel, strides, dilation, before, outputs)

    @keras.ops.custom_gradient  # type: ignore[untyped-decorator]  # the library has no types
    def with_gradient(x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        behind = [each - first for each, first in zip(reach, before, strict=True)]
        turned = keras.ops.flip(kernel, axis=(0, 1))
        return (
            _added(x, kernel, strides, dilation, before, outputs),
            lambda upstream: _added(upstream, turned, strides, dilation, behind, list(x.shape[1:3])),
        )

    found: Tensor = with_gradient(x)
    return found


def _added(x: Tensor, kernel: Tensor, strides: Pair, dilation: Pair, before: list[int], outputs: list[int]) -> Tensor:
    """The sum over the kernel's taps of the shifted map times the tap. before: rows of zeros above and columns of zeros to the
    left; outputs: rows and columns of the result."""
    import keras

    around = []
    for side, taps, stride, wide, first, count in zip(
        x.shape[1:3], kernel.shape[:2], strides, dilation, before, outputs, strict=True
    ):
        around.append((first, max((count - 1) * stride + (taps - 1) * wide + 1 - first - side, 0)))
    x = keras.ops.pad(x, ((0, 0), *around, (0, 0)))
    rows, columns = ((count - 1) * stride + 1 for count, stride in zip(outputs, strides, strict=True))
    return sum(
        x[:, top : top + rows : strides[0], left : left + columns : strides[1]] * kernel[down, across]
        for down, top in enumerate(range(0, kernel.shape[0] * dilation[0], dilation[0]))
        for across, left in enumerate(range(0, kernel.shape[1] * dilation[1], dilation[1]))
    )


def is_depthwise(layer: Any) -> bool:
    """Whether a Keras layer begins with a convolution that `convolve` can compute."""
    kind = type(layer).__name__
    if getattr(layer, "data_format", None) != "channels_last":
        return False
    if kind in ("DepthwiseConv2D", "SeparableConv2D"):
        return bool(layer.depth_multiplier == 1)
    return kind == "Conv2D" and 1 < layer.groups == layer.filters == layer.kernel.shape[2] * layer.groups


def by_taps(layer: Any) -> Callable[..., Tensor]:
    """A Keras layer with the same output and the same variables as a layer for which `is_depthwise` is true."""
    import keras

    ops, separable = keras.ops, type(layer).__name__ == "SeparableConv2D"
    strides = layer.strides if isinstance(layer.strides, tuple) else (layer.strides,) * 2

    def compute(x: Tensor) -> Tensor:
        kernel = ops.convert_to_tensor(layer.depthwise_kernel if separable else layer.kernel)
        kernel = ops.reshape(kernel, (*kernel.shape[:2], x.shape[-1]))
        x = convolve(x, kernel, strides, layer.padding, tuple(layer.dilation_rate))
        if separable:
            x = ops.conv(x, ops.convert_to_tensor(layer.pointwise_kernel), data_format="channels_last")
        if layer.use_bias:
            x = x + ops.convert_to_tensor(layer.bias)
        return layer.activation(x)

    return layer_of(layer, compute)
