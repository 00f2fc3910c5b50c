"""Recipes: everything that turns (network, filter, seed) into an image.

A recipe is frozen, named, and has a digest over all that it says; two recipes with the same digest make the same image.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amaxds.errors import UsageError
from amaxds.network import Network

_STUDY_CANVAS = 224


@dataclass(frozen=True)
class Recipe:
    """Normalised gradient ascent from faint uniform noise, as the original study ran it.

    Lengths that depend on the canvas are given for 224 pixels and scale with its side.
    """

    name: str = "original"
    start_range: float = 0.25
    """Width of the interval around 0 from which start values are drawn."""
    preprocessing: str = "none"
    """The network is fed the float image directly."""
    objective: str = "mean of the filter's output after ReLU over the window"
    window_margin: int = 2
    """Rows and columns of the layer's output left out at each side."""
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

    @property
    def digest(self) -> str:
        """SHA-256 over every setting, in hexadecimal."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def settings(self) -> dict[str, Any]:
        """The recipe in full, as build.json holds it."""
        return dataclasses.asdict(self) | {"digest": self.digest}

    def step_length(self, network: Network) -> float:
        """L2 length of one step on the network's canvas."""
        return self.step_size * network.canvas / _STUDY_CANVAS

    def cut_pixels(self, network: Network) -> int:
        return self.cut * network.canvas // _STUDY_CANVAS

    def image_side(self, network: Network) -> int:
        """Side in pixels of the saved image."""
        return network.canvas - 2 * self.cut_pixels(network)

    def start(self, network: Network, seed: int, layer_index: int, filter: int) -> NDArray[np.float32]:
        """The image that the ascent of one filter begins with, (canvas, canvas, 3) float32.

        Drawn from a generator of the filter's own, so that it depends on nothing else in the build.
        """
        draw = image_generator(seed, layer_index, filter).random((network.canvas, network.canvas, 3), dtype=np.float32)
        return (draw - np.float32(0.5)) * np.float32(self.start_range)

    def decode(self, network: Network, image: NDArray[np.float32]) -> NDArray[np.uint8]:
        """The float image (canvas, canvas, 3) as it is saved, (side, side, 3) uint8."""
        cut = self.cut_pixels(network)
        x = image - image.mean()
        x = x / (image.std() + np.float32(self.std_epsilon)) * np.float32(self.contrast)
        x = x[cut : network.canvas - cut, cut : network.canvas - cut]
        x = (np.clip(x + np.float32(0.5), 0.0, 1.0) * np.float32(255)).astype(np.uint8)
        return stretched(x) if self.stretch else x


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


ORIGINAL = Recipe()
RECIPES = {recipe.name: recipe for recipe in (ORIGINAL,)}
DEFAULT_RECIPE = ORIGINAL.name


def get_recipe(name: str, steps: int | None = None) -> Recipe:
    """The recipe of that name, with another number of steps where asked (which changes its digest)."""
    if name not in RECIPES:
        raise UsageError(f"unknown recipe {name!r}.", f"There is {', '.join(RECIPES)}.")
    if steps is None:
        return RECIPES[name]
    if not 1 <= steps <= 100_000:
        raise UsageError(f"--steps {steps} is out of range.", "Give a number from 1 to 100000.")
    return dataclasses.replace(RECIPES[name], steps=steps)
