"""The recipe `described`: images that were made elsewhere, in a way that is not known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from amaxds.image import Pixels, is_stretched_noise
from amaxds.spec.network import Network
from amaxds.spec.recipes.base import Recipe


@dataclass(frozen=True)
class Described(Recipe):
    """What stands in a recipe's place when images that were made elsewhere are described. It makes no image."""

    made_here: ClassVar[bool] = False
    noise: ClassVar[str] = "stretched noise"
    summary: ClassVar[str] = "stands for images that were made elsewhere, in a way that is not known"

    name: str = "described"
    steps: int = 0
    window_margin: int = 0
    objective: str = "not known: the images were not made by this tool, only described"
    side: int = 174

    def image_side(self, network: Network) -> int:
        return self.side

    def shows_noise(self, network: Network, pixels: Pixels, seed: int, layer: str, filter: int) -> bool:
        """Whether the pixels are what the original study saved where nothing had moved."""
        return is_stretched_noise(pixels)


DESCRIBED = Described()
