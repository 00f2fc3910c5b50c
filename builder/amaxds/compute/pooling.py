"""Max pooling, element by element, because the gradient of XLA's own window reduction is slow on a CPU, and TensorFlow has no
deterministic one.

There are two functions because their gradients differ where the maximum of a window occurs more than once. That of `pool_2x2`
is written out: equal maxima share it, and it is fast. That of `max_pool`, for any size and stride, is left to the backend's
`maximum`. One in place of the other would change the bits of images.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from amaxds.compute.keras_trace import layer_of

Tensor = Any
Operation = Any
Pair = tuple[int, int]


def pool_2x2(x: Tensor, in_one_kernel: bool = False) -> Tensor:
    """2x2 max pooling that drops the last row and column of an odd side: (n, h, w, c) -> (n, h // 2, w // 2, c).

    in_one_kernel: write the gradient as four maps that are interleaved. On a GPU, XLA then makes one kernel of it and of what
    is done to it next, which moves a tenth fewer bytes in all; on a CPU that is up to a tenth slower. The bits are the same.
    """
    import keras

    ops = keras.ops
    n, height, width, channels = x.shape
    down, across = height // 2, width // 2

    @ops.custom_gradient  # type: ignore[untyped-decorator]  # the library has no types
    def pooled(x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        windows = ops.reshape(x[:, : 2 * down, : 2 * across], (n, down, 2, across, 2, channels))
        corners = [windows[:, :, row, :, column] for row in (0, 1) for column in (0, 1)]
        most = functools.reduce(ops.maximum, corners)

        def gradient(upstream: Tensor) -> Tensor:
            equal = [corner == most for corner in corners]
            number = sum(ops.cast(each, "int32") for each in equal)
            one, half, third, quarter = (ops.convert_to_tensor(1 / each, upstream.dtype) for each in (1, 2, 3, 4))
            of_several = ops.where(number == 2, half, ops.where(number == 3, third, quarter))
            share, nothing = upstream * ops.where(number == 1, one, of_several), ops.zeros((), upstream.dtype)
            if in_one_kernel:
                parts = [ops.where(each, share, nothing) for each in equal]
                found = ops.stack([ops.stack(parts[:2], axis=3), ops.stack(parts[2:], axis=3)], axis=2)
            else:
                wide = (n, down, 1, across, 1, channels)
                found = ops.where(windows == ops.reshape(most, wide), ops.reshape(share, wide), nothing)
            found = ops.reshape(found, (n, 2 * down, 2 * across, channels))
            return ops.pad(found, ((0, 0), (0, height - 2 * down), (0, width - 2 * across), (0, 0)))

        return most, gradient

    found: Tensor = pooled(x)
    return found


def is_pooling(operation: Operation) -> bool:
    """Whether it is max pooling: a layer `MaxPooling2D`, or `keras.ops.max_pool`."""
    return type(operation).__name__ in ("MaxPooling2D", "MaxPool")


def windows_of(operation: Operation) -> tuple[Pair, Pair]:
    """Height and width of the windows of a pooling, and how far each is from the next, down and across."""
    found = [operation.pool_size, operation.strides or operation.pool_size]
    size, strides = [(each, each) if isinstance(each, int) else tuple(each) for each in found]
    return size, strides


def pooled_by(operation: Operation) -> Callable[..., Tensor]:
    """A Keras layer with the same output as a max pooling, computed by `max_pool` for maps (n, h, w, c) of any size."""
    size, strides = windows_of(operation)
    return layer_of(operation, lambda x: max_pool(x, size, strides, operation.padding) if len(x.shape) == 4 else operation(x))


def max_pool(x: Tensor, size: Pair, strides: Pair, padding: str) -> Tensor:
    """Max pooling of windows of that size, as keras.layers.MaxPooling2D computes it with `valid` or `same` padding."""
    import keras

    (down, across), (below, beside) = size, strides
    if padding == "same":
        height, width = -(-x.shape[1] // below), -(-x.shape[2] // beside)
    else:
        height, width = (x.shape[1] - down) // below + 1, (x.shape[2] - across) // beside + 1
    rows, columns = (height - 1) * below + down, (width - 1) * beside + across
    if padding == "same":
        outside = [max(most - side, 0) for most, side in zip((rows, columns), x.shape[1:3], strict=True)]
        around = [(each // 2, each - each // 2) for each in outside]
        x = keras.ops.pad(x, ((0, 0), *around, (0, 0)), constant_values=-3.4e38)
    shifted = (
        x[:, top : top + rows - down + 1 : below, left : left + columns - across + 1 : beside]
        for top in range(down)
        for left in range(across)
    )
    return functools.reduce(keras.ops.maximum, shifted)
