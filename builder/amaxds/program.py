"""Compiled programs: the step that climbs one filter per image, and the scoring pass, each cut at a layer of the network.

All functions here are pure; tensors are channels last.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amaxds import ascent, backend
from amaxds.chain import Chain
from amaxds.graph import Graph
from amaxds.network import Layer, Network
from amaxds.recipe import Recipe
from amaxds.weights import Weights

Tensor = Any
Given = Any
"""The weights, in the form that the network's computation wants. Programs take them as an argument: JAX would write them into
every compiled program otherwise."""

ForSteps = tuple[Given, tuple[Tensor, Tensor]]
"""The same, and kernel and bias of each image's own filter."""


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
        compute: Callable[..., Chain | Graph] = Chain if network.model is None else Graph
        self._forward = compute(network, weights)
        self._forward_in_steps = self._forward if precision == "float32" else compute(network, weights, precision)
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
        chosen = list(filters)
        given = self._forward_in_steps.given(layer), self._forward_in_steps.own(layer, chosen)
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
        scores = keras.ops.convert_to_numpy(score(self._forward.given(layer), x))
        return keras.ops.convert_to_numpy(image), scores[np.arange(len(filters)), filters]

    def score(self, recipe: Recipe, layer: Layer, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Mean post-ReLU output over the recipe's window of every filter of the layer for every 8-bit image, fed with the
        network's own preprocessing: (n, h, w, 3) uint8 -> (n, filters)."""
        import keras

        program = self._program("score", layer, recipe, self._make_score)
        return np.asarray(
            keras.ops.convert_to_numpy(
                program(self._forward.given(layer), keras.ops.convert_to_tensor(self.network.preprocess(images)))
            )
        )

    def embed(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Mean post-ReLU output of every filter of every layer, in network order, for every 8-bit image, fed with the
        network's own preprocessing: (n, h, w, 3) uint8 -> (n, filters)."""
        import keras

        program = self._kept(("embed",), self._make_embed)
        return np.asarray(
            keras.ops.convert_to_numpy(
                program(self._forward.given(), keras.ops.convert_to_tensor(self.network.preprocess(images)))
            )
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

    def _response(self, given: ForSteps, recipe: Recipe, layer: Layer, image: Tensor) -> Tensor:
        """Each image's own filter's output before ReLU: (n, height, width), in the image's type, computed in the weights'."""
        import keras

        weights, own = given
        x = ascent.preprocess(recipe, self.network, image)
        return keras.ops.cast(self._forward_in_steps.response(weights, own, layer, x), image.dtype)

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
            return _window_mean(self._forward.activated(given, layer, x), recipe.window_margin)

        return score

    def _make_embed(self) -> Callable[[Given, Tensor], Tensor]:
        import keras

        def embed(given: Given, x: Tensor) -> Tensor:
            means = [_window_mean(maps, 0) for maps in self._forward.all_activated(given, x)]
            return keras.ops.concatenate(means, axis=1)

        return embed
