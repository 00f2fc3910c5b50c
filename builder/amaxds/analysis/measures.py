"""What the report measures of each layer under each recipe: indices, gains, ranks, mean histograms and power spectra."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amaxds.dataset.record import Row
from amaxds.image import Pixels

COLOURS = ("red", "green", "blue")
BINS = 32
FREQUENCIES = (np.arange(BINS) + 0.5) / (2 * BINS)
"""The middles of the power spectrum's bins, from 0 to 0.5 cycles per pixel, shape (32,)."""
_FIRST, *_BETWEEN, _LAST = np.split(np.arange(256), 32)
_GROUPS = (_FIRST[1:], *_BETWEEN, _LAST[:-1])
COARSE_LEVELS = np.array([levels.mean() for levels in _GROUPS])
"""The middles of the levels 1-7, 8-15, ..., 248-254 that the coarse histogram averages over, shape (32,)."""
_BATCH = 16

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LayerMeasures:
    """The measures of one layer under one recipe, of its n images in the order of their filters."""

    recipe: str
    layer: str
    filters: NDArray[np.int64]
    """(n,)"""
    alive: NDArray[np.bool_]
    """(n,)"""
    index: Numbers
    """(n,): uniformity indices."""
    gain: Numbers | None
    """(n,): final minus starting activation, also of dead images; None where activations are not known."""
    rank: NDArray[np.int64] | None
    """(n,): activation ranks; None where they are not known."""
    histogram: Numbers
    """(3, 256): share of the pixels at each level of red, green and blue, mean over the averaged images; each row adds to 1."""
    spectrum: Numbers
    """(32,): radial mean of the averaged images' mean power spectrum, at FREQUENCIES."""

    @property
    def coarse_histogram(self) -> Numbers:
        """(3, 32): means of the histogram over eight levels each, without levels 0 and 255, at which clipped values gather."""
        return np.stack([self.histogram[:, levels].mean(axis=1) for levels in _GROUPS], axis=1)

    @property
    def averaged(self) -> str:
        """Whether histogram and spectrum are means over the `alive` images, or, where there are none, over the `dead` ones."""
        return "alive" if self.alive.any() else "dead"

    @property
    def dead(self) -> int:
        return int((~self.alive).sum())

    @property
    def dead_share(self) -> float:
        return float(np.mean(~self.alive))

    @property
    def mean_index(self) -> float:
        """Mean uniformity index of all images, dead ones included, as in the original study."""
        return float(self.index.mean())

    @property
    def living_gain(self) -> Numbers | None:
        return None if self.gain is None else self.gain[self.alive]

    @property
    def living_rank(self) -> NDArray[np.int64] | None:
        return None if self.rank is None else self.rank[self.alive]

    @property
    def ranked_first_share(self) -> float | None:
        """Share of all images that are alive and excite their own filter at least as much as any other image of the layer."""
        return None if self.rank is None else float(np.mean(self.alive & (self.rank == 1)))


def measure_layer(
    recipe: str, layer: str, rows: Sequence[Row], images: Sequence[Pixels], pool: ThreadPoolExecutor
) -> LayerMeasures:
    """Measure one layer under one recipe from its records and their decoded images, at least one, all of one size.

    `pool` computes histograms and spectra in parallel; the result does not depend on its number of threads.
    """
    alive = np.array([row["status"] == "alive" for row in rows])
    averaged = [image for image, lives in zip(images, alive, strict=True) if lives == alive.any()]
    histogram, mean_power = np.zeros((3, 256)), np.zeros(())
    # Sums over batches of a fixed size, added in order, are rounded alike with any number of threads.
    batches = [averaged[first : first + _BATCH] for first in range(0, len(averaged), _BATCH)]
    for shares, powers in pool.map(_sums, batches):
        histogram, mean_power = histogram + shares / len(averaged), mean_power + powers / len(averaged)
    return LayerMeasures(
        recipe=recipe,
        layer=layer,
        filters=np.array([row["filter"] for row in rows]),
        alive=alive,
        index=np.array([row["uniformity_index"] for row in rows]),
        gain=_gain([row["activation"] for row in rows], [row["activation_start"] for row in rows]),
        rank=None if rows[0]["activation_rank"] is None else np.array([row["activation_rank"] for row in rows]),
        histogram=histogram,
        spectrum=radial(mean_power),
    )


def _gain(final: list[Any], start: list[Any]) -> Numbers | None:
    return None if None in final else np.array(final, np.float64) - np.array(start, np.float64)


def _sums(images: Sequence[Pixels]) -> tuple[Numbers, Numbers]:
    """The sums of `histogram_shares` and of `power` over some images of one size."""
    histograms: Numbers = np.sum([*map(histogram_shares, images)], axis=0)
    powers: Numbers = np.sum([*map(power, images)], axis=0)
    return histograms, powers


def histogram_shares(image: Pixels) -> Numbers:
    """Share of an image's pixels at each level of each colour: (h, w, 3) uint8 -> (3, 256)."""
    counts = [np.bincount(image[..., colour].ravel(), minlength=256) for colour in range(3)]
    shares: Numbers = np.array(counts, np.float64) / (image.shape[0] * image.shape[1])
    return shares


def power(image: Pixels) -> Numbers:
    """Power spectrum of a square image, mean over its channels: (side, side, 3) uint8 -> (side, side // 2 + 1), laid out as
    by rfft2.

    Each channel is scaled to [0, 1], its mean is subtracted, and it is multiplied by the Hann window w(i) w(j) with
    w(i) = sin²(π (i + 1/2) / side), because opposite borders do not continue each other. The power is |FFT|² divided by the
    sum of the squared window: white noise of variance v has the power v at every frequency, whatever the side.
    """
    window = _window(len(image))
    values = image.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    mean = values.mean(axis=(1, 2), keepdims=True, dtype=np.float64).astype(np.float32)
    values = (values - mean) * window
    found = np.fft.rfft2(values)
    return np.asarray((np.square(found.real) + np.square(found.imag)).mean(axis=0) / np.square(window).sum(), np.float64)


@functools.lru_cache
def _window(side: int) -> NDArray[np.float32]:
    window = np.square(np.sin(np.pi * (np.arange(side) + 0.5) / side))
    return np.outer(window, window).astype(np.float32)


def radial(power: Numbers) -> Numbers:
    """Mean of a power spectrum over all directions: (side, side // 2 + 1) -> (32,).

    Bin k averages the frequencies in (k / 64, (k + 1) / 64] cycles per pixel. It is NaN where the image is so small that none
    falls into it. Frequencies beyond 0.5, in the corners, are left out.
    """
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
