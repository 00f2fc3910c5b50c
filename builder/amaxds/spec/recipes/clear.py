"""The recipe `clear`: ascent in the frequencies of a picture that goes on beyond the canvas, with a leaky ReLU."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from amaxds.image import Pixels
from amaxds.spec.network import Layer, Network
from amaxds.spec.recipes.base import (
    FULL_CANVAS,
    AscentRecipe,
    State,
    Tensor,
    Wandering,
    image_generator,
    sum_of_squares,
)

# Principal axes of the colours of ImageNet pictures, each scaled by its standard deviation (Olah et al., Feature
# Visualization, 2017, from the ImageNet training set): brightness, blue against yellow, green against magenta.
_COLOURS = np.array([[0.26, 0.09, 0.02], [0.27, 0.0, -0.05], [0.27, -0.09, 0.03]], np.float32)
_COLOURS /= np.linalg.norm(_COLOURS, axis=0).max()


@dataclass(frozen=True)
class Clear(AscentRecipe):
    """Ascent in the frequencies of a picture that the network could have been shown.

    The parameters are the cosine coefficients of three decorrelated colour channels, scaled so that all frequencies move at
    the pace of natural pictures, and a sigmoid makes them a picture. The ideas are lucid's (Olah et al., Feature
    Visualization, 2017); cosines stand in for its Fourier basis because they need no periodic border and can be evaluated
    at shifted and scaled positions, which makes the transformations exact and free of resampling.

    The objective has a leaky ReLU in place of the last ReLU, so that a silent filter has a gradient. Between steps the
    picture is shifted and scaled a little, less and less; the last third of the steps sees it as it will be saved.

    Three things weaken frames along the borders of the image. The picture goes on beyond the canvas, because all cosines have
    their extremes at its own border. For layers whose filters see little of it, the canvas wanders over the picture, so that
    the image has its border elsewhere at each step; and the steps leave out outputs that the zero padding around the canvas
    reaches. What is saved is the middle.
    """

    summary: ClassVar[str] = "builds each picture from waves, coarse to fine, and wakes filters that are silent at first"

    name: str = "clear"
    objective: str = "mean of the filter's output over the window, with a leaky ReLU"
    preprocessing: str = "network"
    window_margin: int = 2
    steps: int = 56
    leak: float = 0.1
    """Slope of the leaky ReLU for negative outputs."""
    surround: float = 40.0
    """Pixels by which the picture goes on beyond each border of a canvas of 224."""
    widest_field: float = 0.2
    """The canvas wanders for layers whose receptive field is at most this share of it."""
    bandwidth: float = 72 / 112
    """Share of the frequencies, per axis, that the picture is made of."""
    frequency_exponent: float = 0.8
    """A coefficient's weight falls with this power of its frequency."""
    start_std: float = 0.1
    """Standard deviation of the coefficients at the start."""
    logit_gain: float = 1.4
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
        return round(self.bandwidth * self.picture_side(network))

    def picture_side(self, network: Network) -> int:
        """Side in pixels of the whole picture, of which the canvas shows the middle."""
        return network.canvas + 2 * self._surround_pixels(network)

    def _surround_pixels(self, network: Network) -> int:
        return round(self.surround * network.canvas / FULL_CANVAS)

    def wandering(self, network: Network, layer: Layer) -> Wandering | None:
        """By one receptive field at most, if that is small, and no further than the picture goes."""
        field, grid = layer.receptive_field, layer.stride
        if field is None or grid is None or field > self.widest_field * network.canvas:
            return None
        if layer.side <= 2 * _margin(field, grid):  # Nothing would be left, as behind a layer that crops.
            return None
        return Wandering(min(field, self._surround_pixels(network)) // grid * grid, grid)

    def step_margin(self, network: Network, layer: Layer) -> int:
        """Where the canvas wanders, without the outputs that depend on the zero padding around it."""
        if layer.receptive_field is None or layer.stride is None or self.wandering(network, layer) is None:
            return self.window_margin
        return max(self.window_margin, _margin(layer.receptive_field, layer.stride))

    def start(self, network: Network, seed: int, layer_index: int, filter: int) -> NDArray[np.float32]:
        """Coefficients (3, frequencies, frequencies), normally distributed."""
        return self._draws(network, seed, layer_index, filter)[0]

    def schedule(self, network: Network, seed: int, layer_index: int, filter: int) -> NDArray[np.float32]:
        """Per step: shift down and right in pixels, factor of scale, Adam's step and its correction of the second moment, and
        where the canvas has wandered to, down and right, as a share of the distance."""
        drawn = self._draws(network, seed, layer_index, filter)[1]
        step = np.arange(self.steps)
        strength = np.clip(2.0 * (1.0 - 1.5 * step / self.steps), 0.0, 1.0)[:, None]
        fallen = 0.5 * (1.0 + np.cos(np.pi * np.clip(2.0 * step / self.steps - 1.0, 0.0, 1.0)))
        shift = drawn[:, :2] * strength * self.shift * network.canvas / FULL_CANVAS
        scale = np.exp(drawn[:, 2:3] * strength * self.scale)
        pace = self.step_size * fallen / (1.0 - self.beta_1 ** (step + 1))
        correction = 1.0 / (1.0 - self.beta_2 ** (step + 1))
        # Far from the middle more often than near it, so that the borders of the image are not seen much less than the rest.
        place = np.sin(np.pi / 2 * drawn[:, 3:])
        return np.concatenate([shift, scale, pace[:, None], correction[:, None], place], axis=1).astype(np.float32)

    def _draws(
        self, network: Network, seed: int, layer_index: int, filter: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """The start, and per step five numbers in [-1, 1]: for the shifts, the scaling and the wandering."""
        rng, count = image_generator(seed, layer_index, filter), self.coefficients(network)
        start = rng.standard_normal((3, count, count), dtype=np.float32) * np.float32(self.start_std)
        return start, rng.uniform(-1.0, 1.0, (self.steps, 5))

    def first_state(self, parameters: Tensor) -> State:
        """The parameters, and Adam's first and second moment."""
        import keras

        return parameters, keras.ops.zeros_like(parameters), keras.ops.zeros_like(parameters)

    def render(
        self, network: Network, parameters: Tensor, inputs: Tensor | None = None, wandering: Wandering | None = None
    ) -> Tensor:
        """The middle of the pictures, in [0, 1]; with inputs, shifted, scaled, and from where the canvas has wandered to."""
        import keras

        weighted = parameters * _frequency_weights(self.coefficients(network), self.frequency_exponent)
        down, right, scale = None, None, None
        if inputs is not None:
            down, right, scale = inputs[:, 0], inputs[:, 1], inputs[:, 2]
            if wandering is not None:
                places = keras.ops.round(inputs[:, 5:7] * (wandering.distance / wandering.grid)) * wandering.grid
                down, right = down + places[:, 0], right + places[:, 1]
        rows = self._cosines(network, down, scale)
        columns = keras.ops.swapaxes(self._cosines(network, right, scale), 1, 2)
        channels = keras.ops.matmul(keras.ops.matmul(rows[:, None], weighted), columns[:, None])
        logits = keras.ops.matmul(keras.ops.transpose(channels, (0, 2, 3, 1)), _COLOURS.T * np.float32(self.logit_gain))
        return keras.ops.sigmoid(logits)

    def _cosines(self, network: Network, shift: Tensor | None, scale: Tensor | None) -> Tensor:
        """The picture's orthonormal cosine basis (DCT-II) at every pixel of the canvas, shifted and scaled about the middle:
        (n or 1, canvas, k)."""
        import keras

        side, frequency = self.picture_side(network), np.arange(self.coefficients(network), dtype=np.float32)
        centred = (np.arange(network.canvas, dtype=np.float32) + 0.5 - network.canvas / 2)[None]
        place = keras.ops.convert_to_tensor(centred)
        if shift is not None and scale is not None:
            place = place * scale[:, None] + shift[:, None]
        norm = np.sqrt(np.where(frequency == 0, 1.0, 2.0) / side).astype(np.float32)
        return keras.ops.cos((place + side / 2)[..., None] * (frequency * np.float32(np.pi / side))) * norm

    def averaged(self, maps: Tensor) -> Tensor:
        import keras

        return keras.ops.maximum(maps, self.leak * maps)

    def update(self, network: Network, state: State, gradient: Tensor, inputs: Tensor) -> State:
        """A step of Adam on the gradient, scaled to a mean square of 1."""
        import keras

        parameters, first, second = state
        pace, correction = (keras.ops.reshape(inputs[:, column], (-1, 1, 1, 1)) for column in (3, 4))
        values = gradient.shape[1] * gradient.shape[2] * gradient.shape[3]
        unit = gradient * keras.ops.rsqrt(keras.ops.maximum(sum_of_squares(gradient) / values, 1e-30))
        first = self.beta_1 * first + (1.0 - self.beta_1) * unit
        second = self.beta_2 * second + (1.0 - self.beta_2) * keras.ops.square(unit)
        step = pace * first / (keras.ops.sqrt(second * correction) + 1e-8)
        return parameters + step, first, second

    def decode(self, network: Network, image: NDArray[np.float32]) -> Pixels:
        """Rounded to 8 bits."""
        return np.round(image * np.float32(255)).astype(np.uint8)


def _margin(field: int, stride: int) -> int:
    """How many rows and columns of a layer's outputs at each side depend on the zero padding around the canvas."""
    return math.ceil((field - 1) / 2 / stride)


def _frequency_weights(count: int, exponent: float) -> NDArray[np.float32]:
    """1 / frequency^exponent for (count, count) coefficients, scaled to a mean square of 1."""
    frequency = np.maximum(np.hypot(*np.mgrid[0:count, 0:count]), 1.0)
    weights = frequency**-exponent
    return np.asarray(weights / np.sqrt(np.mean(weights**2)), np.float32)


CLEAR = Clear()
