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
from amaxds.convolution import DIRECT, Form, choose, convolve_one_filter, turned
from amaxds.network import Layer, Network
from amaxds.recipe import Recipe
from amaxds.weights import Weights

Tensor = Any
Given = dict[str, tuple[Tensor, ...]]
"""Layer -> kernel, turned kernel and bias, in the forms that its convolution wants. Programs take them as an argument: JAX
would write them into every compiled program otherwise."""

ForSteps = tuple[Given, Tensor, Tensor]
"""The same, and the kernel (9, c) and bias of each image's own filter."""


def _pool(x: Tensor) -> Tensor:
    """2x2 max pooling that drops an odd last row and column.

    Elementwise, with its gradient said: that of a window reduction costs more than a convolution on a CPU. Equal maxima of a
    window share its gradient.
    """
    import keras

    n, height, width, channels = x.shape
    down, across = height // 2, width // 2

    @keras.ops.custom_gradient  # type: ignore[untyped-decorator]
    def pool(x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        windows = keras.ops.reshape(x[:, : 2 * down, : 2 * across], (n, down, 2, across, 2, channels))
        rows = keras.ops.maximum(windows[:, :, 0], windows[:, :, 1])
        most = keras.ops.maximum(rows[:, :, :, 0], rows[:, :, :, 1])

        def gradient(upstream: Tensor) -> Tensor:
            wide = (n, down, 1, across, 1, channels)
            equal = [windows[:, :, row, :, column] == most for row in (0, 1) for column in (0, 1)]
            share = upstream / sum(keras.ops.cast(each, upstream.dtype) for each in equal)
            found = keras.ops.where(windows == keras.ops.reshape(most, wide), keras.ops.reshape(share, wide), 0.0)
            found = keras.ops.reshape(found, (n, 2 * down, 2 * across, channels))
            return keras.ops.pad(found, ((0, 0), (0, height - 2 * down), (0, width - 2 * across), (0, 0)))

        return most, gradient

    found: Tensor = pool(x)
    return found


def _dtype(x: Tensor) -> str:
    import keras

    return str(keras.backend.standardize_dtype(x.dtype))


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
    activation: NDArray[np.float32]
    start_activation: NDArray[np.float32]
    """(n,) the filter's mean output after ReLU over the recipe's window, for the final image and for the start."""
    moved: NDArray[np.bool_]
    """(n,) whether any gradient of the image was ever different from zero."""


class Programs:
    """The compiled programs of one network with its weights, each made at first use and kept. Safe to use from threads."""

    def __init__(
        self, network: Network, weights: Weights, precision: str = "float32", whole_ascents: bool | None = None
    ) -> None:
        """precision: of the network's arithmetic in the steps of an ascent, one of plan.PRECISIONS; all else is as precise as
        the weights. whole_ascents: all steps in one program; by default on a GPU only.
        """
        self.network = network
        self._host = weights.tensors
        self._precision = precision
        on_gpu = backend.device()["kind"] == "gpu"
        self._forms: dict[tuple[str, str], tuple[Form, Form]] = {}
        self._given = self._prepare(on_gpu)
        self._given_to_steps = self._given if precision == "float32" else self._prepare(True, precision)
        self._whole_ascents = on_gpu if whole_ascents is None else whole_ascents
        self._lock = threading.Lock()
        self._made: dict[tuple[str, ...], Callable[..., Any]] = {}

    def _prepare(self, all_direct: bool, dtype: str | None = None) -> Given:
        """Every layer's tensors for the forms of convolution that it takes from now on in this type."""
        import keras

        given: Given = {}
        for each in self.network.layers:
            kernel, bias = (self._host[f"{each.name}/{part}"] for part in ("kernel", "bias"))
            side = each.outputs(self.network.canvas)
            there, back = choose(side, each.channels, each.filters), choose(side, each.filters, each.channels)
            if all_direct:
                there = back = DIRECT
            prepared = there.prepare(kernel), back.prepare(turned(kernel)), bias
            given[each.name] = tuple(keras.ops.convert_to_tensor(part, dtype) for part in prepared)
            self._forms[each.name, _dtype(given[each.name][0])] = there, back
        return given

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
        chosen, dtype = list(filters), None if self._precision == "float32" else self._precision
        kernels = np.ascontiguousarray(kernel[..., chosen].reshape(9, layer.channels, -1).transpose(2, 0, 1))
        given = self._given_to_steps, to_device(kernels, dtype), to_device(bias[chosen], dtype)
        state, moved = ascent.first_state(recipe, to_device(start)), keras.ops.zeros(len(chosen), "bool")
        _, start_activation = self._show(recipe, layer, chosen, state[0])
        if self._whole_ascents:
            climb = self._program("climb", layer, recipe, self._make_climb)
            state, moved = climb(given, state, moved, to_device(schedule))
        else:
            step = self._program("step", layer, recipe, self._make_step)
            for number in range(recipe.steps):
                check()
                state, moved = step(given, state, moved, to_device(schedule[:, number]))
        return Ascended(*self._show(recipe, layer, chosen, state[0]), start_activation, to_host(moved))

    def _show(self, recipe: Recipe, layer: Layer, filters: list[int], parameters: Tensor) -> tuple[NDArray[Any], NDArray[Any]]:
        """The images of these parameters, and how strongly each excites its own filter."""
        import keras

        render = self._kept(("render", recipe.digest), lambda: self._make_render(recipe))
        score = self._program("score", layer, recipe, self._make_score)
        image, x = render(parameters)
        scores = keras.ops.convert_to_numpy(score(self._given, x))
        return keras.ops.convert_to_numpy(image), scores[np.arange(len(filters)), filters]

    def score(self, recipe: Recipe, layer: Layer, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Mean post-ReLU output over the recipe's window of every filter of the layer for every 8-bit image, fed with the
        network's own preprocessing: (n, h, w, 3) uint8 -> (n, filters)."""
        import keras

        program = self._program("score", layer, recipe, self._make_score)
        return np.asarray(
            keras.ops.convert_to_numpy(program(self._given, keras.ops.convert_to_tensor(self.network.preprocess(images))))
        )

    def embed(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Mean post-ReLU output of every filter of every layer, in network order, for every 8-bit image, fed with the
        network's own preprocessing: (n, h, w, 3) uint8 -> (n, filters)."""
        import keras

        program = self._kept(("embed",), self._make_embed)
        return np.asarray(
            keras.ops.convert_to_numpy(program(self._given, keras.ops.convert_to_tensor(self.network.preprocess(images))))
        )

    def _program(
        self, kind: str, layer: Layer, recipe: Recipe, make: Callable[[Recipe, Layer], Callable[..., Any]]
    ) -> Callable[..., Any]:
        return self._kept((kind, layer.name, recipe.digest), lambda: make(recipe, layer))

    def _kept(self, key: tuple[str, ...], make: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
        with self._lock:
            if key not in self._made:
                self._made[key] = backend.compiled(make())
            return self._made[key]

    def _activated(self, given: Given, x: Tensor, layer: Layer) -> Tensor:
        """The layer's output after ReLU, for its convolution's input.

        The gradient is said to be the convolution with the turned kernel, so that its form can be chosen too.
        """
        import keras

        kernel, turned, bias = given[layer.name]
        forward, backward = self._forms[layer.name, _dtype(kernel)]

        @keras.ops.custom_gradient  # type: ignore[untyped-decorator]
        def convolve(x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
            return forward.convolve(x, kernel), lambda upstream: backward.convolve(upstream, turned)

        return keras.ops.relu(convolve(x) + bias)

    def _inputs_of(self, given: Given, x: Tensor, layer: Layer) -> Tensor:
        """What the layer's convolution is given, for network input x."""
        for each in self.network.layers[: layer.index]:
            x = self._activated(given, _pool(x) if each.pooled else x, each)
        return _pool(x) if layer.pooled else x

    def _response(self, given: ForSteps, recipe: Recipe, layer: Layer, image: Tensor) -> Tensor:
        """Each image's own filter's output before ReLU: (n, height, width), in the image's type, computed in the kernels'."""
        import keras

        network, kernels, biases = given
        x = keras.ops.cast(ascent.preprocess(recipe, self.network, image), kernels.dtype)
        return keras.ops.cast(convolve_one_filter(self._inputs_of(network, x, layer), kernels, biases), image.dtype)

    def _make_render(self, recipe: Recipe) -> Callable[[Tensor], tuple[Tensor, Tensor]]:

        def render(parameters: Tensor) -> tuple[Tensor, Tensor]:
            image = ascent.render(recipe, self.network, parameters)
            return image, ascent.preprocess(recipe, self.network, image)

        return render

    def _make_step(self, recipe: Recipe, layer: Layer) -> Callable[..., tuple[ascent.State, Tensor]]:
        import keras

        def step(given: ForSteps, state: ascent.State, moved: Tensor, now: Tensor) -> tuple[ascent.State, Tensor]:
            def objective(parameters: Tensor) -> Tensor:
                image = ascent.render(recipe, self.network, parameters, now)
                maps = self._response(given, recipe, layer, image)
                return _window_mean(ascent.wanted(recipe, maps), recipe.window_margin)

            _, gradient = backend.value_and_gradient(objective)(state[0])
            moved = keras.ops.logical_or(moved, keras.ops.any(gradient != 0, axis=(1, 2, 3)))
            return ascent.update(recipe, self.network, state, gradient, now), moved

        return step

    def _make_climb(self, recipe: Recipe, layer: Layer) -> Callable[..., tuple[ascent.State, Tensor]]:
        import keras

        step = self._make_step(recipe, layer)

        def climb(given: ForSteps, state: ascent.State, moved: Tensor, schedule: Tensor) -> tuple[ascent.State, Tensor]:
            def body(number: Tensor, carried: tuple[ascent.State, Tensor]) -> tuple[ascent.State, Tensor]:
                return step(given, *carried, keras.ops.take(schedule, number, axis=1))

            ended: tuple[ascent.State, Tensor] = keras.ops.fori_loop(0, recipe.steps, body, (state, moved))
            return ended

        return climb

    def _make_score(self, recipe: Recipe, layer: Layer) -> Callable[[Given, Tensor], Tensor]:

        def score(given: Given, x: Tensor) -> Tensor:
            x = self._inputs_of(given, x, layer)
            return _window_mean(self._activated(given, x, layer), recipe.window_margin)

        return score

    def _make_embed(self) -> Callable[[Given, Tensor], Tensor]:
        import keras

        def embed(given: Given, x: Tensor) -> Tensor:
            means = []
            for layer in self.network.layers:
                x = self._activated(given, _pool(x) if layer.pooled else x, layer)
                means.append(_window_mean(x, 0))
            return keras.ops.concatenate(means, axis=1)

        return embed
