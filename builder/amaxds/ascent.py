"""What a recipe does at each step: pure functions under compilation, in `keras.ops`.

Tensors hold n images; every operation treats them one by one, so that an image depends on nothing beside it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from amaxds.network import Network
from amaxds.recipe import Clear, Original, Recipe

Tensor = Any
State = tuple[Tensor, ...]
"""The parameters (n, ...), and whatever the optimiser keeps beside them in the same shape."""

# Principal axes of the colours of ImageNet pictures, each scaled by its standard deviation (Olah et al., Feature
# Visualization, 2017, from the ImageNet training set): brightness, blue against yellow, green against magenta.
_COLOURS = np.array([[0.26, 0.09, 0.02], [0.27, 0.0, -0.05], [0.27, -0.09, 0.03]], np.float32)
_COLOURS /= np.linalg.norm(_COLOURS, axis=0).max()


def first_state(recipe: Recipe, parameters: Tensor) -> State:
    import keras

    match recipe:
        case Clear():
            return parameters, keras.ops.zeros_like(parameters), keras.ops.zeros_like(parameters)
        case _:
            return (parameters,)


def render(recipe: Recipe, network: Network, parameters: Tensor, now: Tensor | None = None) -> Tensor:
    """Parameters as images (n, canvas, canvas, 3); with `now`, the schedule's numbers, transformed as this step sees them."""
    import keras

    if not isinstance(recipe, Clear):
        return parameters
    weighted = parameters * _frequency_weights(recipe.coefficients(network), recipe.frequency_exponent)
    down, right, scale = (None, None, None) if now is None else (now[:, 0], now[:, 1], now[:, 2])
    rows = _cosines(recipe, network, down, scale)
    columns = keras.ops.swapaxes(_cosines(recipe, network, right, scale), 1, 2)
    channels = keras.ops.matmul(keras.ops.matmul(rows[:, None], weighted), columns[:, None])
    logits = keras.ops.matmul(keras.ops.transpose(channels, (0, 2, 3, 1)), _COLOURS.T * np.float32(recipe.logit_gain))
    return keras.ops.sigmoid(logits)


def _cosines(recipe: Clear, network: Network, shift: Tensor | None, scale: Tensor | None) -> Tensor:
    """The orthonormal cosine basis (DCT-II) at every pixel, shifted and scaled about the middle: (n or 1, canvas, k)."""
    import keras

    side, frequency = network.canvas, np.arange(recipe.coefficients(network), dtype=np.float32)
    centred = (np.arange(side, dtype=np.float32) + 0.5 - side / 2)[None]
    place = keras.ops.convert_to_tensor(centred)
    if shift is not None and scale is not None:
        place = place * scale[:, None] + shift[:, None]
    norm = np.sqrt(np.where(frequency == 0, 1.0, 2.0) / side).astype(np.float32)
    return keras.ops.cos((place + side / 2)[..., None] * (frequency * np.float32(np.pi / side))) * norm


def _frequency_weights(count: int, exponent: float) -> NDArray[np.float32]:
    """1 / frequency^exponent for (count, count) coefficients, their mean square 1."""
    frequency = np.maximum(np.hypot(*np.mgrid[0:count, 0:count]), 1.0)
    weights = frequency**-exponent
    return np.asarray(weights / np.sqrt(np.mean(weights**2)), np.float32)


def preprocess(recipe: Recipe, network: Network, image: Tensor) -> Tensor:
    """Images as the recipe feeds them to the network."""
    import keras

    if not isinstance(recipe, Clear):
        return image
    ordered = keras.ops.flip(image, axis=-1) if network.channel_order == "bgr" else image
    mean, scale = (np.asarray(each, np.float32) for each in (network.channel_mean, network.channel_scale))
    return (ordered * np.float32(255) - mean) / scale


def wanted(recipe: Recipe, maps: Tensor) -> Tensor:
    """What the objective averages, of a filter's output before ReLU."""
    import keras

    return maps if isinstance(recipe, Clear) else keras.ops.relu(maps)


def update(recipe: Recipe, network: Network, state: State, gradient: Tensor, now: Tensor) -> State:
    """One step along the gradient: a fixed length (`original`), or Adam on the gradient of unit mean square (`clear`)."""
    import keras

    squares = keras.ops.sum(keras.ops.square(gradient), axis=(1, 2, 3), keepdims=True)
    match recipe:
        case Original():
            unit = gradient * keras.ops.rsqrt(keras.ops.maximum(squares, recipe.norm_epsilon))
            return (state[0] + recipe.step_length(network) * unit,)
        case Clear():
            parameters, first, second = state
            pace, correction = (keras.ops.reshape(now[:, column], (-1, 1, 1, 1)) for column in (3, 4))
            values = gradient.shape[1] * gradient.shape[2] * gradient.shape[3]
            unit = gradient * keras.ops.rsqrt(keras.ops.maximum(squares / values, 1e-30))
            first = recipe.beta_1 * first + (1.0 - recipe.beta_1) * unit
            second = recipe.beta_2 * second + (1.0 - recipe.beta_2) * keras.ops.square(unit)
            step = pace * first / (keras.ops.sqrt(second * correction) + 1e-8)
            return parameters + step, first, second
    raise TypeError(recipe)
