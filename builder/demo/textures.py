"""Procedural textures: the pictures that the demo network is trained on.

A texture is a scalar field in [0, 1] of one *kind* (stripes, rings, cells, ...), drawn at a random angle,
scale and offset, and painted with two colours. Its labels are the kind and the hues of the two colours.
Everything is drawn from one `numpy.random.Generator`, so a seed fixes the whole training set.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float64]
Rng = np.random.Generator

HUES = ("red", "orange", "yellow", "green", "cyan", "blue", "violet", "magenta")
_HUE_CENTRES = (0.0, 0.083, 0.16, 0.34, 0.5, 0.63, 0.75, 0.87)


def _coordinates(size: int, rng: Rng) -> tuple[Field, Field, float]:
    """Rotated, shifted pixel coordinates and a random period in pixels."""
    period = float(np.exp(rng.uniform(np.log(6.0), np.log(20.0))))
    angle = rng.uniform(0.0, np.pi)
    y, x = np.mgrid[0:size, 0:size] - rng.uniform(0.0, size, (2, 1, 1))
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle), period


def _wave(t: Field) -> Field:
    """A soft square wave of period 1."""
    return 0.5 + 0.5 * np.tanh(3.0 * np.sin(2 * np.pi * t))


def _near(distance: Field, width: float) -> Field:
    """1 where distance < width, with a soft edge of about a pixel."""
    return 1.0 / (1.0 + np.exp(np.clip((distance - width) * 3.0, -40, 40)))


def _to_integer(t: Field) -> Field:
    """Distance of every number to the nearest integer."""
    return np.abs(t - np.round(t))


def _centre(size: int, rng: Rng) -> tuple[Field, Field]:
    y, x = np.mgrid[0:size, 0:size] - rng.uniform(0.25 * size, 0.75 * size, (2, 1, 1))
    return np.hypot(x, y), np.arctan2(y, x)


def _nearest_two(size: int, rng: Rng) -> tuple[Field, Field, NDArray[np.int64]]:
    """Distances to the nearest and second nearest of some random points, and which is nearest."""
    count = int(rng.integers(12, 50))
    points = rng.uniform(-6.0, size + 6.0, (count, 2, 1, 1))
    distance = np.hypot(*(np.mgrid[0:size, 0:size][:, None] - points.swapaxes(0, 1)))
    first_two = np.partition(distance, 1, axis=0)[:2]
    return first_two[0], first_two[1], distance.argmin(axis=0)


def stripes(size: int, rng: Rng) -> Field:
    u, _, period = _coordinates(size, rng)
    return _wave(u / period)


def lines(size: int, rng: Rng) -> Field:
    u, _, period = _coordinates(size, rng)
    return _near(_to_integer(u / period) * period, 1.0)


def checks(size: int, rng: Rng) -> Field:
    u, v, period = _coordinates(size, rng)
    return 0.5 + 0.5 * np.tanh(4.0 * np.sin(np.pi * u / period) * np.sin(np.pi * v / period))


def grid(size: int, rng: Rng) -> Field:
    u, v, period = _coordinates(size, rng)
    return _near(np.minimum(_to_integer(u / period), _to_integer(v / period)) * period, 1.0)


def dots(size: int, rng: Rng) -> Field:
    u, v, period = _coordinates(size, rng)
    return _near(np.hypot(_to_integer(u / period), _to_integer(v / period)) * period, 0.3 * period)


def crosses(size: int, rng: Rng) -> Field:
    u, v, period = _coordinates(size, rng)
    a, b = _to_integer(u / period) * period, _to_integer(v / period) * period
    return np.maximum(_near(a, 0.1 * period) * _near(b, 0.32 * period), _near(b, 0.1 * period) * _near(a, 0.32 * period))


def bricks(size: int, rng: Rng) -> Field:
    u, v, period = _coordinates(size, rng)
    row = np.floor(v / period)
    joint = _to_integer(u / (2 * period) + 0.5 * (row % 2)) * 2 * period
    return _near(np.minimum(joint, _to_integer(v / period) * period), 1.0)


def zigzag(size: int, rng: Rng) -> Field:
    u, v, period = _coordinates(size, rng)
    return _wave((u + 2.0 * period * _to_integer(v / (1.5 * period))) / period)


def waves(size: int, rng: Rng) -> Field:
    u, v, period = _coordinates(size, rng)
    return _wave((u + 0.5 * period * np.sin(2 * np.pi * v / (2.0 * period))) / period)


def triangles(size: int, rng: Rng) -> Field:
    u, v, period = _coordinates(size, rng)
    sheared = [np.floor(a / period) for a in (u, 0.5 * u + 0.866 * v, 0.5 * u - 0.866 * v)]
    return (sum(sheared) % 2).astype(np.float64)


def rings(size: int, rng: Rng) -> Field:
    radius, _ = _centre(size, rng)
    return _wave(radius / rng.uniform(6.0, 16.0) + rng.uniform())


def rays(size: int, rng: Rng) -> Field:
    _, angle = _centre(size, rng)
    return _wave(angle / (2 * np.pi) * int(rng.integers(6, 16)) + rng.uniform())


def spirals(size: int, rng: Rng) -> Field:
    radius, angle = _centre(size, rng)
    arms = int(rng.integers(1, 4)) * rng.choice((-1, 1))
    return _wave(radius / rng.uniform(10.0, 20.0) + angle / (2 * np.pi) * arms)


def cells(size: int, rng: Rng) -> Field:
    near, next_near, _ = _nearest_two(size, rng)
    return _near(next_near - near, 1.5)


def patches(size: int, rng: Rng) -> Field:
    *_, which = _nearest_two(size, rng)
    return rng.permutation(np.arange(which.max() + 1) % 4)[which] / 3.0


def discs(size: int, rng: Rng) -> Field:
    near, *_ = _nearest_two(size, rng)
    return _near(near, rng.uniform(2.5, 5.0))


def _noise(size: int, rng: Rng, exponent: float) -> Field:
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    frequency[0, 0] = 1.0
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((size, size))) / frequency**exponent, s=(size, size))
    return np.clip(0.5 + 0.25 * (field - field.mean()) / field.std(), 0.0, 1.0)


def clouds(size: int, rng: Rng) -> Field:
    return _noise(size, rng, rng.uniform(1.2, 1.8))


def grain(size: int, rng: Rng) -> Field:
    return _noise(size, rng, rng.uniform(0.0, 0.3))


KINDS: tuple[Callable[[int, Rng], Field], ...] = (
    stripes, lines, checks, grid, dots, crosses, bricks, zigzag, waves, triangles,
    rings, rays, spirals, cells, patches, discs, clouds, grain,
)  # fmt: skip


def _colour(hue: int | None, rng: Rng) -> NDArray[np.float64]:
    """RGB in [0, 1]: a saturated colour of that hue, or a grey for None."""
    if hue is None:
        return np.repeat(rng.uniform(0.0, 1.0), 3)
    h = _HUE_CENTRES[hue] + rng.uniform(-0.025, 0.025)
    return np.array(colorsys.hsv_to_rgb(h % 1.0, rng.uniform(0.7, 1.0), rng.uniform(0.55, 1.0)))


def _colour_pair(rng: Rng) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float32]]:
    """Two distinguishable colours, at least one of them with a hue, and the hues as a multi-hot vector."""
    while True:
        first = int(rng.integers(len(HUES)))
        second = None if rng.uniform() < 0.4 else int((first + rng.integers(1, len(HUES))) % len(HUES))
        a, b = _colour(first, rng), _colour(second, rng)
        if np.abs(a - b).max() > 0.35:
            hues = np.zeros(len(HUES), np.float32)
            hues[[h for h in (first, second) if h is not None]] = 1.0
            return (a, b, hues) if rng.uniform() < 0.5 else (b, a, hues)


def draw(kind: int, size: int, rng: Rng) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """One texture of the given kind: (size, size, 3) uint8 and its hues, (8,) float32 multi-hot."""
    field = KINDS[kind](size, rng)[..., None]
    a, b, hues = _colour_pair(rng)
    image = a * field + b * (1.0 - field) + rng.normal(0.0, rng.uniform(0.0, 0.12), (size, size, 3))
    return np.round(np.clip(image, 0.0, 1.0) * 255).astype(np.uint8), hues


def draw_set(count: int, size: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.float32]]:
    """`count` textures, kinds in equal numbers: images (n, size, size, 3) uint8, kinds (n,), hues (n, 8)."""
    rng = np.random.default_rng(seed)
    kinds = rng.permutation(np.arange(count) % len(KINDS))
    drawn = [draw(int(kind), size, rng) for kind in kinds]
    return np.stack([d[0] for d in drawn]), kinds, np.stack([d[1] for d in drawn])
