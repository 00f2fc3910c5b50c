"""Recipes: everything that turns (network, filter, seed) into an image.

A recipe is frozen, named, and has a digest over all that it says; two recipes with the same digest make the same image.
"""

from __future__ import annotations

import abc
import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amaxds.errors import UsageError
from amaxds.network import Network

_FULL_CANVAS = 224


@dataclass(frozen=True)
class Recipe(abc.ABC):
    """What all recipes say. Lengths in pixels are given for a canvas of 224 and scale with its side."""

    name: str
    steps: int
    window_margin: int
    """Rows and columns of the layer's output left out at each side of the window that is averaged."""

    @property
    def digest(self) -> str:
        """SHA-256 over every setting, in hexadecimal."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def settings(self) -> dict[str, Any]:
        """The recipe in full, as build.json holds it."""
        return dataclasses.asdict(self) | {"digest": self.digest}

    @abc.abstractmethod
    def image_side(self, network: Network) -> int:
        """Side in pixels of the saved image."""

    @abc.abstractmethod
    def start(self, network: Network, seed: int, layer_index: int, filter: int) -> NDArray[np.float32]:
        """The parameters that the ascent of one filter begins with.

        Drawn from a generator of the filter's own, so that they depend on nothing else in the build.
        """

    @abc.abstractmethod
    def schedule(self, network: Network, seed: int, layer_index: int, filter: int) -> NDArray[np.float32]:
        """What the steps of one filter are given besides, (steps, numbers a step), drawn after the start."""

    @abc.abstractmethod
    def decode(self, network: Network, image: NDArray[np.float32]) -> NDArray[np.uint8]:
        """The float image (canvas, canvas, 3) as it is saved, (side, side, 3) uint8."""


@dataclass(frozen=True)
class Original(Recipe):
    """Normalised gradient ascent from faint uniform noise, as the original study ran it. The parameters are the pixels."""

    name: str = "original"
    start_range: float = 0.25
    """Width of the interval around 0 from which start values are drawn."""
    preprocessing: str = "none"
    """The network is fed the float image directly."""
    objective: str = "mean of the filter's output after ReLU over the window"
    window_margin: int = 2
    steps: int = 30
    step_size: float = 10.0
    """L2 length of one step on a canvas of 224 (the gradient is divided by its norm)."""
    norm_epsilon: float = 1e-12
    """Least squared norm that a gradient is divided by (`l2_normalize`'s epsilon, under the root)."""
    cut: int = 25
    """Pixels removed at each side of a canvas of 224."""
    contrast: float = 0.15
    """Standard deviation after normalisation, before 0.5 is added and the range cut to [0, 1]."""
    std_epsilon: float = 1e-5
    stretch: bool = True
    """Stretch the 8-bit image to the full range once more, as the study's saving call did."""

    def step_length(self, network: Network) -> float:
        """L2 length of one step on the network's canvas."""
        return self.step_size * network.canvas / _FULL_CANVAS

    def cut_pixels(self, network: Network) -> int:
        return self.cut * network.canvas // _FULL_CANVAS

    def image_side(self, network: Network) -> int:
        return network.canvas - 2 * self.cut_pixels(network)

    def start(self, network: Network, seed: int, layer_index: int, filter: int) -> NDArray[np.float32]:
        """Pixels (canvas, canvas, 3)."""
        draw = image_generator(seed, layer_index, filter).random((network.canvas, network.canvas, 3), dtype=np.float32)
        return (draw - np.float32(0.5)) * np.float32(self.start_range)

    def schedule(self, network: Network, seed: int, layer_index: int, filter: int) -> NDArray[np.float32]:
        """Nothing: all steps are alike."""
        return np.zeros((self.steps, 0), np.float32)

    def decode(self, network: Network, image: NDArray[np.float32]) -> NDArray[np.uint8]:
        cut = self.cut_pixels(network)
        x = image - image.mean()
        x = x / (image.std() + np.float32(self.std_epsilon)) * np.float32(self.contrast)
        x = x[cut : network.canvas - cut, cut : network.canvas - cut]
        x = (np.clip(x + np.float32(0.5), 0.0, 1.0) * np.float32(255)).astype(np.uint8)
        return stretched(x) if self.stretch else x


@dataclass(frozen=True)
class Clear(Recipe):
    """Ascent in the frequencies of a picture that the network could have been shown.

    The parameters are the cosine coefficients of three decorrelated colour channels, scaled so that all frequencies move at
    the pace of natural pictures, and a sigmoid makes them a picture. The ideas are lucid's (Olah et al., Feature
    Visualization, 2017); cosines stand in for its Fourier basis because they need no periodic border and can be evaluated
    at shifted and scaled positions, which makes the transformations exact and free of resampling.

    The objective is taken before the last ReLU, so that a silent filter has a gradient. Between steps the picture is
    shifted and scaled a little, less and less; the last third of the steps sees it as it will be saved.
    """

    name: str = "clear"
    objective: str = "mean of the filter's output before ReLU over the window"
    preprocessing: str = "network"
    """The network is fed the picture as it was trained to see pictures."""
    window_margin: int = 2
    steps: int = 56
    bandwidth: float = 72 / 112
    """Share of the frequencies, per axis, that the picture is made of."""
    frequency_exponent: float = 0.8
    """A coefficient's weight falls with this power of its frequency."""
    start_std: float = 0.1
    """Standard deviation of the coefficients at the start."""
    logit_gain: float = 2.0
    """Factor between the weighted coefficients and the sigmoid's argument."""
    step_size: float = 0.35
    """Adam's step (arXiv 1412.6980) in units of a coefficient, until half way; then falling to 0 along a cosine."""
    beta_1: float = 0.9
    beta_2: float = 0.999
    shift: float = 4.0
    """Largest shift along each axis, in pixels of a canvas of 224, in the first third of the steps."""
    scale: float = 0.02
    """Largest scaling, as a logarithm, in the first third."""

    def image_side(self, network: Network) -> int:
        return network.canvas

    def coefficients(self, network: Network) -> int:
        """Number of frequencies per axis."""
        return round(self.bandwidth * network.canvas)

    def start(self, network: Network, seed: int, layer_index: int, filter: int) -> NDArray[np.float32]:
        """Coefficients (3, frequencies, frequencies), normal."""
        return self._draws(network, seed, layer_index, filter)[0]

    def schedule(self, network: Network, seed: int, layer_index: int, filter: int) -> NDArray[np.float32]:
        """Per step: shift down and right in pixels, factor of scale, Adam's step and its correction of the second moment."""
        drawn = self._draws(network, seed, layer_index, filter)[1]
        step = np.arange(self.steps)
        strength = np.clip(2.0 * (1.0 - 1.5 * step / self.steps), 0.0, 1.0)[:, None]
        fallen = 0.5 * (1.0 + np.cos(np.pi * np.clip(2.0 * step / self.steps - 1.0, 0.0, 1.0)))
        shift = drawn[:, :2] * strength * self.shift * network.canvas / _FULL_CANVAS
        scale = np.exp(drawn[:, 2:] * strength * self.scale)
        pace = self.step_size * fallen / (1.0 - self.beta_1 ** (step + 1))
        correction = 1.0 / (1.0 - self.beta_2 ** (step + 1))
        return np.concatenate([shift, scale, pace[:, None], correction[:, None]], axis=1).astype(np.float32)

    def _draws(
        self, network: Network, seed: int, layer_index: int, filter: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        rng, count = image_generator(seed, layer_index, filter), self.coefficients(network)
        start = rng.standard_normal((3, count, count), dtype=np.float32) * np.float32(self.start_std)
        return start, rng.uniform(-1.0, 1.0, (self.steps, 3))

    def decode(self, network: Network, image: NDArray[np.float32]) -> NDArray[np.uint8]:
        return np.round(image * np.float32(255)).astype(np.uint8)


@dataclass(frozen=True)
class Described(Recipe):
    """Images that were made elsewhere, in a way that is not known: what stands in a recipe's place when they are described."""

    name: str = "described"
    steps: int = 0
    window_margin: int = 0
    objective: str = "not known: the images were not made by this tool, only described"
    side: int = 174

    def image_side(self, network: Network) -> int:
        return self.side

    def start(self, network: Network, seed: int, layer_index: int, filter: int) -> NDArray[np.float32]:
        raise TypeError("described images cannot be made")

    def schedule(self, network: Network, seed: int, layer_index: int, filter: int) -> NDArray[np.float32]:
        raise TypeError("described images cannot be made")

    def decode(self, network: Network, image: NDArray[np.float32]) -> NDArray[np.uint8]:
        raise TypeError("described images cannot be made")


def stretched(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Full-range contrast stretch as Keras's `save_img(scale=True)` does it; a constant image becomes black."""
    x = image.astype(np.float32) - np.float32(image.min())
    highest = x.max()
    if highest:
        x = x / highest
    return (x * np.float32(255)).astype(np.uint8)


def image_generator(seed: int, layer_index: int, filter: int) -> np.random.Generator:
    """The one source of randomness of one image: Philox, seeded by the build's seed, the layer and the filter."""
    sequence = np.random.SeedSequence(entropy=seed, spawn_key=(layer_index, filter))
    return np.random.Generator(np.random.Philox(sequence))


ORIGINAL = Original()
CLEAR = Clear()
DESCRIBED = Described()
RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (CLEAR, ORIGINAL)}
DEFAULT_RECIPE = CLEAR.name
MAX_STEPS = 100_000


def get_recipe(name: str, steps: int | None = None) -> Recipe:
    """The recipe of that name, with another number of steps where asked (which changes its digest)."""
    if name not in RECIPES:
        raise UsageError(f"unknown recipe {name!r}.", f"There is {', '.join(RECIPES)}.")
    if steps is None:
        return RECIPES[name]
    if not 1 <= steps <= MAX_STEPS:
        raise UsageError(f"--steps {steps} is out of range.", f"Give a number from 1 to {MAX_STEPS}.")
    return dataclasses.replace(RECIPES[name], steps=steps)


def recipe_of(settings: Mapping[str, Any]) -> Recipe:
    """The recipe that `Recipe.settings` wrote; ValueError where it is not one, or not the one that its digest is of."""
    name = settings.get("name")
    recipes = RECIPES | {DESCRIBED.name: DESCRIBED}
    if not isinstance(name, str) or name not in recipes:
        raise ValueError(f"unknown recipe {name!r}")
    known = dataclasses.asdict(recipes[name])
    values = {key: value for key, value in settings.items() if key != "digest"}
    for key in [*known, *values]:
        if key not in values:
            raise ValueError(f"{name} has no {key}")
        if key not in known:
            raise ValueError(f"{name} has {key}, which is no setting of it")
        value = values[key]
        if type(value) is not type(known[key]) or (isinstance(value, float) and not np.isfinite(value)):
            raise ValueError(f"{name}.{key} is {value!r}, expected {type(known[key]).__name__}")
    if not (1 <= values["steps"] <= MAX_STEPS or name == DESCRIBED.name) or not 0 < values.get("side", 1) <= 4096:
        raise ValueError(f"{name}.steps is {values['steps']}, its side {values.get('side')}")
    recipe = dataclasses.replace(recipes[name], **values)
    if settings.get("digest") != recipe.digest:
        raise ValueError(f"{name}.digest is {settings.get('digest')!r}, of these settings it is {recipe.digest}")
    return recipe
