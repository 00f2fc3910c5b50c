"""Measures: what the report says of a dataset in numbers, per recipe and layer, from one pass through its images."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amaxds.compute.machine import cores
from amaxds.dataset.reader import DatasetReader
from amaxds.dataset.record import Row
from amaxds.image import Pixels, decode_png

COLOURS = ("red", "green", "blue")
BINS = 32
FREQUENCIES = (np.arange(BINS) + 0.5) / (2 * BINS)
"""Middles of the spectrum's bins in cycles per pixel, from 0 to 0.5, (32,)."""
_FIRST, *_BETWEEN, _LAST = np.split(np.arange(256), 32)
_GROUPS = (_FIRST[1:], *_BETWEEN, _LAST[:-1])
COARSE_LEVELS = np.array([levels.mean() for levels in _GROUPS])
"""Middles of the levels 1-7, 8-15, ..., 248-254, (32,)."""
_AT_ONCE = 16

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LayerMeasures:
    """The numbers of one layer under one recipe; n images in the order of their filters."""

    recipe: str
    layer: str
    filters: NDArray[np.int64]
    """(n,)"""
    alive: NDArray[np.bool_]
    """(n,)"""
    index: Numbers
    """(n,): uniformity index."""
    gain: Numbers | None
    """(n,): final minus starting activation, of a dead image too; None where activations are not known."""
    rank: NDArray[np.int64] | None
    """(n,): activation_rank; None where ranks are not known."""
    histogram: Numbers
    """(3, 256): mean over the averaged images of the share of pixels at each level, red, green and blue; rows add to 1."""
    spectrum: Numbers
    """(32,): `radial` of the averaged images' mean `power`."""

    @property
    def coarse_histogram(self) -> Numbers:
        """(3, 32): means of the histogram over eight levels each, without levels 0 and 255, at which clipped values gather."""
        return np.stack([self.histogram[:, levels].mean(axis=1) for levels in _GROUPS], axis=1)

    @property
    def averaged(self) -> str:
        """Which images histogram and spectrum are the mean of: `alive`, or `dead` where none is alive."""
        return "alive" if self.alive.any() else "dead"

    @property
    def dead(self) -> int:
        return int((~self.alive).sum())

    @property
    def dead_share(self) -> float:
        return float(np.mean(~self.alive))

    @property
    def mean_index(self) -> float:
        """Over all images, dead ones too, as the original study took it."""
        return float(self.index.mean())

    @property
    def living_gain(self) -> Numbers | None:
        return None if self.gain is None else self.gain[self.alive]

    @property
    def living_rank(self) -> NDArray[np.int64] | None:
        return None if self.rank is None else self.rank[self.alive]

    @property
    def ranked_first_share(self) -> float | None:
        """Of all images: those that are alive and excite their filter as much as any image of the layer does."""
        return None if self.rank is None else float(np.mean(self.alive & (self.rank == 1)))


def measure(dataset: DatasetReader, workers: int | None = None) -> Iterator[LayerMeasures]:
    """Every layer of a valid dataset under every recipe, in the order of recipes and of the network.

    Images are decoded once, one layer's at a time, side by side; the numbers do not depend on how many.
    """
    info = dataset.info
    with ThreadPoolExecutor(workers or cores()) as pool:
        for recipe in info.recipes.values():
            for layer in info.network.layers:
                if layer.name in info.scope:
                    yield _measure_layer(recipe.name, layer.name, dataset.rows(recipe, layer), pool)


def _measure_layer(recipe: str, layer: str, rows: Sequence[Row], pool: ThreadPoolExecutor) -> LayerMeasures:
    alive = np.array([row["status"] == "alive" for row in rows])
    averaged = [row["image"] for row in rows if (row["status"] == "alive") == alive.any()]
    histogram, mean_power = np.zeros((3, 256)), np.zeros(())
    # Sums of as many images each time, in their order, round alike with any number of threads.
    for shares, powers in pool.map(_sums, _batches(averaged)):
        histogram, mean_power = histogram + shares / len(averaged), mean_power + powers / len(averaged)
    return LayerMeasures(
        recipe=recipe,
        layer=layer,
        filters=np.array([row["filter"] for row in rows]),
        alive=alive,
        index=np.array([row["uniformity_index"] for row in rows]),
        gain=_known([row["activation"] for row in rows], [row["activation_start"] for row in rows]),
        rank=None if rows[0]["activation_rank"] is None else np.array([row["activation_rank"] for row in rows]),
        histogram=histogram,
        spectrum=radial(mean_power),
    )


def _known(final: list[Any], start: list[Any]) -> Numbers | None:
    return None if None in final else np.array(final, np.float64) - np.array(start, np.float64)


def _batches(images: list[bytes]) -> list[list[bytes]]:
    return [images[at : at + _AT_ONCE] for at in range(0, len(images), _AT_ONCE)]


def _sums(images: Sequence[bytes]) -> tuple[Numbers, Numbers]:
    """The sums of `histogram_shares` and of `power` over some PNG images of one size."""
    pixels = [decode_png(image) for image in images]
    histograms: Numbers = np.sum([*map(histogram_shares, pixels)], axis=0)
    powers: Numbers = np.sum([*map(power, pixels)], axis=0)
    return histograms, powers


def histogram_shares(image: Pixels) -> Numbers:
    """The share of the pixels of (h, w, 3) uint8 at each level of each colour, (3, 256)."""
    counts = [np.bincount(image[..., colour].ravel(), minlength=256) for colour in range(3)]
    shares: Numbers = np.array(counts, np.float64) / (image.shape[0] * image.shape[1])
    return shares


def power(image: Pixels) -> Numbers:
    """The power spectrum of a square image, (side, side, 3) uint8, mean over its channels: (side, side // 2 + 1), as rfft2.

    Per channel: values in [0, 1], minus their mean, times the window w(i) w(j) with w(i) = sin²(π (i + 1/2) / side) (Hann,
    which hides that the borders do not continue each other); |FFT|² divided by the sum of the squared window. So white noise
    of variance v has the power v at every frequency, whatever the side.
    """
    window = _window(len(image))
    values = image.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    values = (values - values.mean(axis=(1, 2), keepdims=True)) * window
    found = np.fft.rfft2(values)
    return np.asarray((np.square(found.real) + np.square(found.imag)).mean(axis=0) / np.square(window).sum(), np.float64)


@functools.lru_cache
def _window(side: int) -> NDArray[np.float32]:
    window = np.square(np.sin(np.pi * (np.arange(side) + 0.5) / side))
    return np.outer(window, window).astype(np.float32)


def radial(power: Numbers) -> Numbers:
    """The mean of `power` over all directions, (32,): bin k has the frequencies of the plane in (k / 64, (k + 1) / 64] cycles
    per pixel. NaN where an image is so small that it has none in a bin; what lies beyond 0.5, in the corners, is left out."""
    side = power.shape[0]
    across = np.fft.rfftfreq(side)
    radius = np.hypot(np.fft.fftfreq(side)[:, None], across[None])
    bins = np.ceil(radius * 2 * BINS).astype(int) - 1
    # rfft2 leaves out one of each pair of opposite frequencies.
    weight = np.broadcast_to(np.where((across == 0) | (across == 0.5), 1.0, 2.0), power.shape)
    kept = (bins >= 0) & (bins < BINS)
    weights = np.bincount(bins[kept], weight[kept], BINS)
    sums = np.bincount(bins[kept], (weight * power)[kept], BINS)
    means: Numbers = np.divide(sums, weights, out=np.full(BINS, np.nan), where=weights > 0)
    return means
