"""Compiled programs: the network cut at a layer, the step that climbs one filter per image, and the scoring pass.

Nothing past the asked-for layer is computed, and of that layer only the asked-for filters. All functions here are pure;
tensors are channels last.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amaxds import ascent, backend
from amaxds.network import Layer, Network
from amaxds.recipe import Recipe
from amaxds.weights import Weights

Tensor = Any


def _pool(x: Tensor) -> Tensor:
    """2x2 max pooling that drops an odd last row and column.

    Written as two elementwise maxima: the gradient of a window reduction costs more than a convolution on a CPU.
    Equal values may share their gradient otherwise than `MaxPooling2D` would; after ReLU only zeros are ever equal.
    """
    import keras

    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    rows = keras.ops.maximum(x[:, 0:height:2, :width], x[:, 1:height:2, :width])
    return keras.ops.maximum(rows[:, :, 0::2], rows[:, :, 1::2])


def _activated(x: Tensor, tensors: dict[str, Tensor], layer: Layer) -> Tensor:
    """The layer's output after ReLU."""
    import keras

    kernel, bias = tensors[f"{layer.name}/kernel"], tensors[f"{layer.name}/bias"]
    return keras.ops.relu(keras.ops.conv(x, kernel, padding="same", data_format="channels_last") + bias)


def _inputs_of(x: Tensor, tensors: dict[str, Tensor], network: Network, layer: Layer) -> Tensor:
    """What the layer's convolution is given, for network input x."""
    for each in network.layers[: layer.index]:
        x = _activated(_pool(x) if each.pooled else x, tensors, each)
    return _pool(x) if layer.pooled else x


def _convolve_one_filter(x: Tensor, kernels: Tensor, biases: Tensor) -> Tensor:
    """A convolution with another single filter for each image: (n, h, w, c), (n, 9, c), (n,) -> (n, h, w).

    One product of pixels with nine taps, and nine shifted additions; the borders are padded with zeros.
    """
    import keras

    n, height, width, channels = x.shape
    taps = keras.ops.matmul(keras.ops.reshape(x, (n, height * width, channels)), keras.ops.transpose(kernels, (0, 2, 1)))
    taps = keras.ops.pad(keras.ops.reshape(taps, (n, height, width, 9)), ((0, 0), (1, 1), (1, 1), (0, 0)))
    total = keras.ops.reshape(biases, (n, 1, 1))
    for tap in range(9):
        top, left = divmod(tap, 3)
        total = total + taps[:, top : top + height, left : left + width, tap]
    return total


def _window_mean(maps: Tensor, margin: int) -> Tensor:
    """Mean over height and width without the margin: (n, h, w, ...) -> (n, ...)."""
    import keras

    height, width = maps.shape[1:3]
    return keras.ops.mean(maps[:, margin : height - margin, margin : width - margin], axis=(1, 2))


@dataclass(frozen=True)
class Ascended:
    """Where the ascent of n images ended, all on the host."""

    images: NDArray[np.float32]
    """(n, canvas, canvas, 3)"""
    moved: NDArray[np.bool_]
    """(n,) whether any gradient of the image was ever different from zero."""
    start_activation: NDArray[np.float32]
    activation: NDArray[np.float32]
    """(n,) the filter's mean output after ReLU over the recipe's window, for the start and for the final image."""


class Programs:
    """The compiled programs of one network with its weights, each made at first use and kept. Safe to use from threads."""

    def __init__(self, network: Network, weights: Weights, whole_ascents: bool | None = None) -> None:
        """whole_ascents: all steps in one program; by default on a GPU only."""
        import keras

        self.network = network
        self._host = weights.tensors
        self._tensors = {name: keras.ops.convert_to_tensor(value) for name, value in weights.tensors.items()}
        self._whole_ascents = backend.device()["kind"] == "gpu" if whole_ascents is None else whole_ascents
        self._lock = threading.Lock()
        self._made: dict[tuple[str, ...], Callable[..., Any]] = {}

    def ascend(
        self,
        recipe: Recipe,
        layer: Layer,
        filters: tuple[int, ...],
        start: NDArray[np.float32],
        schedule: NDArray[np.float32],
        check: Callable[[], None] = lambda: None,
    ) -> Ascended:
        """Climb one filter per image from start (n, ...) along schedule (n, steps, ...), as the recipe draws them.

        On a GPU all steps are one program; on a CPU a loop inside the program is several times slower than one program a
        step, called in turn. `check` runs between steps and may raise.
        """
        import keras

        to_device, to_host = keras.ops.convert_to_tensor, keras.ops.convert_to_numpy
        kernel, bias = self._host[f"{layer.name}/kernel"], self._host[f"{layer.name}/bias"]
        chosen = list(filters)
        kernels = to_device(np.ascontiguousarray(kernel[..., chosen].reshape(9, layer.channels, -1).transpose(2, 0, 1)))
        biases = to_device(bias[chosen])
        show = self._program("show", layer, recipe, self._make_show)
        state, moved = ascent.first_state(recipe, to_device(start)), keras.ops.zeros(len(chosen), "bool")
        start_activation = show(state[0], kernels, biases)[1]
        if self._whole_ascents:
            climb = self._program("climb", layer, recipe, self._make_climb)
            state, moved = climb(state, moved, to_device(schedule), kernels, biases)
        else:
            step = self._program("step", layer, recipe, self._make_step)
            for number in range(recipe.steps):
                check()
                state, moved = step(state, moved, to_device(schedule[:, number]), kernels, biases)
        images, activation = show(state[0], kernels, biases)
        return Ascended(to_host(images), to_host(moved), to_host(start_activation), to_host(activation))

    def score(self, recipe: Recipe, layer: Layer, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Mean post-ReLU output over the recipe's window of every filter of the layer for every 8-bit image, fed with the
        network's own preprocessing: (n, h, w, 3) uint8 -> (n, filters)."""
        import keras

        program = self._program("score", layer, recipe, self._make_score)
        return np.asarray(keras.ops.convert_to_numpy(program(keras.ops.convert_to_tensor(self.network.preprocess(images)))))

    def embed(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Mean post-ReLU output of every filter of every layer, in network order, for every 8-bit image, fed with the
        network's own preprocessing: (n, h, w, 3) uint8 -> (n, filters)."""
        import keras

        program = self._kept(("embed",), self._make_embed)
        return np.asarray(keras.ops.convert_to_numpy(program(keras.ops.convert_to_tensor(self.network.preprocess(images)))))

    def _program(
        self, kind: str, layer: Layer, recipe: Recipe, make: Callable[[Recipe, Layer], Callable[..., Any]]
    ) -> Callable[..., Any]:
        return self._kept((kind, layer.name, recipe.digest), lambda: make(recipe, layer))

    def _kept(self, key: tuple[str, ...], make: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
        with self._lock:
            if key not in self._made:
                self._made[key] = backend.compiled(make())
            return self._made[key]

    def _response(self, recipe: Recipe, layer: Layer, image: Tensor, kernels: Tensor, biases: Tensor) -> Tensor:
        """Each image's own filter's output before ReLU: (n, height, width)."""
        x = ascent.preprocess(recipe, self.network, image)
        return _convolve_one_filter(_inputs_of(x, self._tensors, self.network, layer), kernels, biases)

    def _make_show(self, recipe: Recipe, layer: Layer) -> Callable[..., tuple[Tensor, Tensor]]:
        import keras

        def show(parameters: Tensor, kernels: Tensor, biases: Tensor) -> tuple[Tensor, Tensor]:
            image = ascent.render(recipe, self.network, parameters)
            maps = self._response(recipe, layer, image, kernels, biases)
            return image, _window_mean(keras.ops.relu(maps), recipe.window_margin)

        return show

    def _make_step(self, recipe: Recipe, layer: Layer) -> Callable[..., tuple[ascent.State, Tensor]]:
        import keras

        def step(
            state: ascent.State, moved: Tensor, now: Tensor, kernels: Tensor, biases: Tensor
        ) -> tuple[ascent.State, Tensor]:
            def objective(parameters: Tensor) -> Tensor:
                image = ascent.render(recipe, self.network, parameters, now)
                maps = self._response(recipe, layer, image, kernels, biases)
                return _window_mean(ascent.wanted(recipe, maps), recipe.window_margin)

            _, gradient = backend.value_and_gradient(objective)(state[0])
            moved = keras.ops.logical_or(moved, keras.ops.any(gradient != 0, axis=(1, 2, 3)))
            return ascent.update(recipe, self.network, state, gradient, now), moved

        return step

    def _make_climb(self, recipe: Recipe, layer: Layer) -> Callable[..., tuple[ascent.State, Tensor]]:
        import keras

        step = self._make_step(recipe, layer)

        def climb(
            state: ascent.State, moved: Tensor, schedule: Tensor, kernels: Tensor, biases: Tensor
        ) -> tuple[ascent.State, Tensor]:
            def body(number: Tensor, carried: tuple[ascent.State, Tensor]) -> tuple[ascent.State, Tensor]:
                return step(*carried, keras.ops.take(schedule, number, axis=1), kernels, biases)

            ended: tuple[ascent.State, Tensor] = keras.ops.fori_loop(0, recipe.steps, body, (state, moved))
            return ended

        return climb

    def _make_score(self, recipe: Recipe, layer: Layer) -> Callable[[Tensor], Tensor]:

        def score(x: Tensor) -> Tensor:
            x = _inputs_of(x, self._tensors, self.network, layer)
            return _window_mean(_activated(x, self._tensors, layer), recipe.window_margin)

        return score

    def _make_embed(self) -> Callable[[Tensor], Tensor]:
        import keras

        def embed(x: Tensor) -> Tensor:
            means = []
            for layer in self.network.layers:
                x = _activated(_pool(x) if layer.pooled else x, self._tensors, layer)
                means.append(_window_mean(x, 0))
            return keras.ops.concatenate(means, axis=1)

        return embed
