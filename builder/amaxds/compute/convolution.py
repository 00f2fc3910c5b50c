"""3x3 convolutions with zero padding, in several forms that agree up to rounding, and the choice of the fastest.

Tensors are channels last: (n, h, w, in) -> (n, h, w, out). A kernel (3, 3, in, out) is first prepared for its form.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amaxds.compute import winograd

Tensor = Any
Kernel = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Form:
    """One way to compute a convolution."""

    prepare: Callable[[Kernel], Kernel]
    convolve: Callable[[Tensor, Tensor], Tensor]
    """(x, prepared kernel) -> the convolution's output."""


def choose(side: int, channels: int, filters: int) -> Form:
    """The fastest form for maps (side, side) in single precision on a CPU, as measured by
    `python benchmarks/convolutions.py`."""
    if min(channels, filters) >= 64 and (max(channels, filters) >= 128 or winograd.in_strips(side, side, channels, filters)):
        return WINOGRAD
    if max(channels, filters) <= 16:
        return BLOCKS_OF_4 if min(channels, filters) <= 4 else BLOCKS_OF_2
    return TAPS if filters <= 4 else DIRECT


def turned(kernel: Kernel) -> Kernel:
    """The kernel (3, 3, out, in) that takes the gradient back: the gradient of a convolution with respect to its input is a
    convolution with this kernel."""
    return np.ascontiguousarray(kernel[::-1, ::-1].transpose(0, 1, 3, 2))


def _direct(x: Tensor, kernel: Tensor) -> Tensor:
    import keras

    return keras.ops.conv(x, kernel, padding="same", data_format="channels_last")


def _with_taps(x: Tensor, kernel: Tensor) -> Tensor:
    """One matrix product of all pixels with all nine taps of the kernel, and nine shifted additions."""
    import keras

    n, height, width, channels = x.shape
    taps = keras.ops.matmul(keras.ops.reshape(x, (n * height * width, channels)), kernel)
    return _added(keras.ops.reshape(taps, (n, height, width, kernel.shape[1])))


def convolve_one_filter(x: Tensor, kernels: Tensor, biases: Tensor) -> Tensor:
    """A convolution of each image with one filter of its own: (n, h, w, c), (n, 9, c), (n,) -> (n, h, w)."""
    import keras

    n, height, width, channels = x.shape
    taps = keras.ops.matmul(keras.ops.reshape(x, (n, height * width, channels)), keras.ops.transpose(kernels, (0, 2, 1)))
    return _added(keras.ops.reshape(taps, (n, height, width, 9)))[..., 0] + keras.ops.reshape(biases, (n, 1, 1))


def _added(taps: Tensor) -> Tensor:
    """The products of every pixel with each of the nine taps, added up at the outputs that they are for:
    (n, h, w, 9·out) -> (n, h, w, out)."""
    import keras

    height, width, filters = taps.shape[1], taps.shape[2], taps.shape[3] // 9
    taps = keras.ops.pad(taps, ((0, 0), (1, 1), (1, 1), (0, 0)))
    places = [(divmod(tap, 3), slice(tap * filters, (tap + 1) * filters)) for tap in range(9)]
    return sum(taps[:, top : top + height, left : left + width, chosen] for (top, left), chosen in places)


def _as_taps(kernel: Kernel) -> Kernel:
    """The kernel as a matrix (in, 9·out)."""
    return np.ascontiguousarray(kernel.reshape(9, *kernel.shape[2:]).transpose(1, 0, 2).reshape(kernel.shape[2], -1))


def _with_blocks(size: int, x: Tensor, kernel: Tensor) -> Tensor:
    """Each `size` neighbouring pixels of a row are treated as one pixel with `size` times as many channels, which fills the
    CPU's vector registers better."""
    import keras

    n, height, width, channels = x.shape
    blocks, filters = -(-width // size), kernel.shape[3] // size
    x = keras.ops.pad(x, ((0, 0), (1, 1), (1, (blocks + 1) * size - 1 - width), (0, 0)))
    x = keras.ops.reshape(x, (n, height + 2, blocks + 1, size * channels))
    x = keras.ops.conv(x, kernel, padding="valid", data_format="channels_last")
    return keras.ops.reshape(x, (n, height, blocks * size, filters))[:, :, :width]


def _as_blocks(size: int, kernel: Kernel) -> Kernel:
    """The kernel (3, 2, size·in, size·out) from two neighbouring blocks of inputs to one block of outputs. The blocks of inputs
    begin one pixel further left than those of outputs."""
    _, _, channels, filters = kernel.shape
    wide = np.zeros((3, 2, size, channels, size, filters), kernel.dtype)
    for output in range(size):
        for tap in range(3):
            block, place = divmod(output + tap, size)
            wide[:, block, place, :, output] = kernel[:, tap]
    return wide.reshape(3, 2, size * channels, size * filters)


DIRECT = Form(lambda kernel: kernel, _direct)
TAPS = Form(_as_taps, _with_taps)
BLOCKS_OF_2, BLOCKS_OF_4 = (Form(functools.partial(_as_blocks, size), functools.partial(_with_blocks, size)) for size in (2, 4))
WINOGRAD = Form(winograd.transformed, winograd.convolve)
FORMS = {"direct": DIRECT, "taps": TAPS, "blocks of 2": BLOCKS_OF_2, "blocks of 4": BLOCKS_OF_4, "Winograd": WINOGRAD}
