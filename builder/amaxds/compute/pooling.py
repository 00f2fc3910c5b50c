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

Tensor = Any
Pair = tuple[int, int]


def pool_2x2(x: Tensor) -> Tensor:
    """2x2 max pooling that drops the last row and column of an odd side: (n, h, w, c) -> (n, h // 2, w // 2, c)."""
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
