"""3x3 convolutions with zeros around, in the form that is fastest for their width. All forms agree but for rounding.

Tensors are channels last: (n, h, w, in) -> (n, h, w, out). A kernel is (3, 3, in, out); each form wants it prepared.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amaxds.compute import winograd
from amaxds.spec.network import Network

Tensor = Any
Kernel = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Form:
    """One way to compute a convolution."""

    prepare: Callable[[Kernel], Kernel]
    convolve: Callable[[Tensor, Tensor], Tensor]
    """(x, prepared kernel)"""


def choose(side: int, channels: int, filters: int) -> Form:
    """The fastest for maps (side, side) in single precision on a CPU, where `python benchmarks/speed.py convolutions` shows a
    clear difference."""
    if min(channels, filters) >= 64 and (max(channels, filters) >= 128 or winograd.in_strips(side, side, channels, filters)):
        return WINOGRAD
    if max(channels, filters) <= 16:
        return BLOCKS_OF_4 if min(channels, filters) <= 4 else BLOCKS_OF_2
    return TAPS if filters <= 4 else DIRECT


def has_loops(network: Network) -> bool:
    """Whether a form chosen for the network on a CPU takes its maps in a loop."""
    sizes = [(layer.side, layer.channels, layer.filters) for layer in network.layers]
    return network.model is None and any(choose(*size) is WINOGRAD and winograd.in_strips(size[0], *size) for size in sizes)


def turned(kernel: Kernel) -> Kernel:
    """The kernel (3, 3, out, in) whose convolution is the gradient of that of the kernel (3, 3, in, out)."""
    return np.ascontiguousarray(kernel[::-1, ::-1].transpose(0, 1, 3, 2))


def _direct(x: Tensor, kernel: Tensor) -> Tensor:
    import keras

    return keras.ops.conv(x, kernel, padding="same", data_format="channels_last")


def _with_taps(x: Tensor, kernel: Tensor) -> Tensor:
    """One product of pixels with all nine taps, and nine shifted additions."""
    import keras

    n, height, width, channels = x.shape
    taps = keras.ops.matmul(keras.ops.reshape(x, (n * height * width, channels)), kernel)
    return _added(keras.ops.reshape(taps, (n, height, width, kernel.shape[1])))


def convolve_one_filter(x: Tensor, kernels: Tensor, biases: Tensor) -> Tensor:
    """A convolution with another single filter for each image: (n, h, w, c), (n, 9, c), (n,) -> (n, h, w)."""
    import keras

    n, height, width, channels = x.shape
    taps = keras.ops.matmul(keras.ops.reshape(x, (n, height * width, channels)), keras.ops.transpose(kernels, (0, 2, 1)))
    return _added(keras.ops.reshape(taps, (n, height, width, 9)))[..., 0] + keras.ops.reshape(biases, (n, 1, 1))


def _added(taps: Tensor) -> Tensor:
    """Products of pixels with each of nine taps, added up where they belong: (n, h, w, 9·out) -> (n, h, w, out)."""
    import keras

    height, width, filters = taps.shape[1], taps.shape[2], taps.shape[3] // 9
    taps = keras.ops.pad(taps, ((0, 0), (1, 1), (1, 1), (0, 0)))
    places = [(divmod(tap, 3), slice(tap * filters, (tap + 1) * filters)) for tap in range(9)]
    return sum(taps[:, top : top + height, left : left + width, chosen] for (top, left), chosen in places)


def _as_taps(kernel: Kernel) -> Kernel:
    """(in, 9·out)"""
    return np.ascontiguousarray(kernel.reshape(9, *kernel.shape[2:]).transpose(1, 0, 2).reshape(kernel.shape[2], -1))


def _with_blocks(size: int, x: Tensor, kernel: Tensor) -> Tensor:
    """Neighbouring pixels of a row taken together as one with more channels: the vector units of a CPU are wide."""
    import keras

    n, height, width, channels = x.shape
    blocks, filters = -(-width // size), kernel.shape[3] // size
    x = keras.ops.pad(x, ((0, 0), (1, 1), (1, (blocks + 1) * size - 1 - width), (0, 0)))
    x = keras.ops.reshape(x, (n, height + 2, blocks + 1, size * channels))
    x = keras.ops.conv(x, kernel, padding="valid", data_format="channels_last")
    return keras.ops.reshape(x, (n, height, blocks * size, filters))[:, :, :width]


def _as_blocks(size: int, kernel: Kernel) -> Kernel:
    """(3, 2, size·in, size·out): what two blocks of inputs, begun one pixel earlier, give to a block of outputs."""
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
