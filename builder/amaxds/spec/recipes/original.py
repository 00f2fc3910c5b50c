"""The recipe `original`: normalised gradient ascent on pixels, as the original study ran it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from amaxds.image import Pixels
from amaxds.spec.network import Network
from amaxds.spec.recipes.base import FULL_CANVAS, AscentRecipe, State, Tensor, Wandering, image_generator, sum_of_squares


@dataclass(frozen=True)
class Original(AscentRecipe):
    """Normalised gradient ascent from faint uniform noise, as the original study ran it. The parameters are the pixels."""

    summary: ClassVar[str] = "changes the pixels, as the first such study did; filters that are silent at first stay noise"

    name: str = "original"
    start_range: float = 0.25
    """Width of the interval around 0 from which start values are drawn."""
    preprocessing: str = "none"
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
        return self.step_size * network.canvas / FULL_CANVAS

    def cut_pixels(self, network: Network) -> int:
        """Pixels removed at each side of the network's canvas."""
        return self.cut * network.canvas // FULL_CANVAS

    def image_side(self, network: Network) -> int:
        return network.canvas - 2 * self.cut_pixels(network)

    def start(self, network: Network, seed: int, layer_index: int, filter: int) -> NDArray[np.float32]:
        """Pixels (canvas, canvas, 3)."""
        draw = image_generator(seed, layer_index, filter).random((network.canvas, network.canvas, 3), dtype=np.float32)
        return (draw - np.float32(0.5)) * np.float32(self.start_range)

    def schedule(self, network: Network, seed: int, layer_index: int, filter: int) -> NDArray[np.float32]:
        """No inputs, (steps, 0): all steps are alike."""
        return np.zeros((self.steps, 0), np.float32)

    def first_state(self, parameters: Tensor) -> State:
        return (parameters,)

    def render(
        self, network: Network, parameters: Tensor, inputs: Tensor | None = None, wandering: Wandering | None = None
    ) -> Tensor:
        return parameters

    def averaged(self, maps: Tensor) -> Tensor:
        import keras

        return keras.ops.relu(maps)

    def update(self, network: Network, state: State, gradient: Tensor, inputs: Tensor) -> State:
        """A step of fixed length along the gradient."""
        import keras

        unit = gradient * keras.ops.rsqrt(keras.ops.maximum(sum_of_squares(gradient), self.norm_epsilon))
        return (state[0] + self.step_length(network) * unit,)

    def decode(self, network: Network, image: NDArray[np.float32]) -> Pixels:
        """Normalised over the whole canvas, cut, and stretched to the full range."""
        cut = self.cut_pixels(network)
        x = image - image.mean()
        x = x / (image.std() + np.float32(self.std_epsilon)) * np.float32(self.contrast)
        x = x[cut : network.canvas - cut, cut : network.canvas - cut]
        x = (np.clip(x + np.float32(0.5), 0.0, 1.0) * np.float32(255)).astype(np.uint8)
        return _stretched(x) if self.stretch else x

    def shows_noise(self, network: Network, pixels: Pixels, seed: int, layer: str, filter: int) -> bool:
        """Whether the image is its own start, drawn and saved again."""
        start = self.decode(network, self.start(network, seed, network.layer(layer).index, filter))
        # The same but for the rounding of another machine: a few values may be one step of the contrast stretch apart.
        apart = np.abs(pixels.astype(np.int16) - start)
        return bool(apart.max() <= 2 and (apart > 0).mean() <= 0.01)


def _stretched(image: Pixels) -> Pixels:
    """Full-range contrast stretch as Keras's `save_img(scale=True)` does it; a constant image becomes black."""
    x = image.astype(np.float32) - np.float32(image.min())
    highest = x.max()
    if highest:
        x = x / highest
    return (x * np.float32(255)).astype(np.uint8)


ORIGINAL = Original()
