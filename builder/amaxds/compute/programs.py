"""Compiled programs: the step that climbs one filter per image, and the scoring pass, each cut at a layer of the network.

All functions here are pure; tensors are channels last.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amaxds.compute import backend
from amaxds.compute.keras_graph import Graph
from amaxds.compute.vgg import Chain
from amaxds.compute.weights import Weights
from amaxds.spec.network import Layer, Network
from amaxds.spec.recipes import AscentRecipe
from amaxds.spec.recipes.base import State

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


PROGRAMS_ON_GPU = 2
"""How many run at once on a GPU, so that its queue never empties. Its memory is shared out between them."""


class _Made:
    """A program, once it is made, and the lock to make it under."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.program: Callable[..., Any] | None = None


class Programs:
    """The compiled programs of one network with its weights, each made at first use and kept. Safe to use from threads."""

    def __init__(self, network: Network, weights: Weights, precision: str = "float32", on_gpu: bool | None = None) -> None:
        """precision: of the network's arithmetic in the steps of an ascent, one of plan.PRECISIONS; all else is as precise as
        the weights. on_gpu: work as on a GPU, all steps in one program, and each compiled before its thread waits for one of
        PROGRAMS_ON_GPU turns, so that threads compile side by side what then runs in turn; by default where there is one.
        """
        self.network = network
        compute: Callable[..., Chain | Graph] = Chain if network.model is None else Graph
        self._forward = compute(network, weights)
        self._forward_in_steps = self._forward if precision == "float32" else compute(network, weights, precision)
        self._on_gpu = backend.device()["kind"] == "gpu" if on_gpu is None else on_gpu
        self._turn = threading.Semaphore(PROGRAMS_ON_GPU) if self._on_gpu else contextlib.nullcontext()
        self._lock = threading.Lock()
        self._made: dict[Hashable, _Made] = {}

    def ascend(
        self,
        recipe: AscentRecipe,
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
        count, side = len(filters), self.network.canvas
        given = self._forward_in_steps.given(layer), self._forward_in_steps.own(layer, list(filters))

        def begun() -> tuple[Any, ...]:
            return given, recipe.first_state(to_device(start)), keras.ops.zeros(count, "bool")

        render = self._program("render", recipe, None, start.shape, self._make_render, lambda: (to_device(start),))
        score = self._score_program(recipe, layer, (count, side, side, 3), start.dtype)

        def shown(parameters: Tensor) -> tuple[NDArray[Any], NDArray[Any]]:
            """The images of these parameters, and how strongly each excites its own filter."""
            image, x = render(parameters)
            scores = to_host(score(self._forward.given(layer), x))
            return to_host(image), scores[np.arange(count), list(filters)]

        kind, make = ("climb", self._make_climb) if self._on_gpu else ("step", self._make_step)
        advance = self._program(kind, recipe, layer, start.shape, make, lambda: (*begun(), to_device(schedule)))
        with self._turn:
            _, state, moved = begun()
            _, start_activation = shown(state[0])
            if self._on_gpu:
                state, moved = advance(given, state, moved, to_device(schedule))
            else:
                for number in range(recipe.steps):
                    check()
                    state, moved = advance(given, state, moved, to_device(schedule[:, number]))
            return Ascended(*shown(state[0]), start_activation, to_host(moved))

    def score(self, recipe: AscentRecipe, layer: Layer, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Mean post-ReLU output over the recipe's window of every filter of the layer for every 8-bit image, fed with the
        network's own preprocessing: (n, h, w, 3) uint8 -> (n, filters)."""
        x = self.network.preprocess(images)
        return self._on_host(self._score_program(recipe, layer, x.shape, x.dtype), self._forward.given(layer), x)

    def embed(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Mean post-ReLU output of every filter of every layer, in network order, for every 8-bit image, fed with the
        network's own preprocessing: (n, h, w, 3) uint8 -> (n, filters)."""
        x, given = self.network.preprocess(images), self._forward.given()
        return self._on_host(self._program("embed", None, None, x.shape, self._make_embed, lambda: (given, x)), given, x)

    def _on_host(self, program: Callable[..., Any], given: Given, x: NDArray[Any]) -> NDArray[np.float32]:
        import keras

        with self._turn:
            return np.asarray(keras.ops.convert_to_numpy(program(given, keras.ops.convert_to_tensor(x))))

    def _score_program(self, recipe: AscentRecipe, layer: Layer, shape: tuple[int, ...], dtype: Any) -> Callable[..., Any]:
        import keras

        given = self._forward.given(layer)
        return self._program(
            "score", recipe, layer, shape, self._make_score, lambda: (given, keras.ops.zeros(shape, str(dtype)))
        )

    def _program(
        self,
        kind: str,
        recipe: AscentRecipe | None,
        layer: Layer | None,
        shape: tuple[int, ...],
        make: Callable[..., Callable[..., Any]],
        arguments: Callable[[], tuple[Any, ...]],
    ) -> Callable[..., Any]:
        """The program that `make` makes for recipe and layer, kept for the shape of its images. As on a GPU it is compiled
        here, for such arguments; else at its first call."""
        of = [each for each in (recipe, layer) if each is not None]
        key = kind, recipe and recipe.digest, layer and layer.name, shape
        with self._lock:
            made = self._made.setdefault(key, _Made())
        with made.lock:
            if made.program is None:
                program = backend.compiled(make(*of))
                made.program = backend.compiled_for(program, arguments) if self._on_gpu else program
            return made.program

    def _response(self, given: ForSteps, recipe: AscentRecipe, layer: Layer, image: Tensor) -> Tensor:
        """Each image's own filter's output before ReLU: (n, height, width), in the image's type, computed in the weights'."""
        import keras

        weights, own = given
        x = recipe.preprocess(self.network, image)
        return keras.ops.cast(self._forward_in_steps.response(weights, own, layer, x), image.dtype)

    def _make_render(self, recipe: AscentRecipe) -> Callable[[Tensor], tuple[Tensor, Tensor]]:

        def render(parameters: Tensor) -> tuple[Tensor, Tensor]:
            image = recipe.render(self.network, parameters)
            return image, recipe.preprocess(self.network, image)

        return render

    def _make_step(self, recipe: AscentRecipe, layer: Layer) -> Callable[..., tuple[State, Tensor]]:
        import keras

        def step(given: ForSteps, state: State, moved: Tensor, now: Tensor) -> tuple[State, Tensor]:
            def objective(parameters: Tensor) -> Tensor:
                image = recipe.render(self.network, parameters, now)
                maps = self._response(given, recipe, layer, image)
                return _window_mean(recipe.averaged(maps), recipe.window_margin)

            _, gradient = backend.value_and_gradient(objective)(state[0])
            moved = keras.ops.logical_or(moved, keras.ops.any(gradient != 0, axis=(1, 2, 3)))
            return recipe.update(self.network, state, gradient, now), moved

        return step

    def _make_climb(self, recipe: AscentRecipe, layer: Layer) -> Callable[..., tuple[State, Tensor]]:
        import keras

        step = self._make_step(recipe, layer)

        def climb(given: ForSteps, state: State, moved: Tensor, schedule: Tensor) -> tuple[State, Tensor]:
            def body(number: Tensor, carried: tuple[State, Tensor]) -> tuple[State, Tensor]:
                return step(given, *carried, keras.ops.take(schedule, number, axis=1))

            ended: tuple[State, Tensor] = keras.ops.fori_loop(0, recipe.steps, body, (state, moved))
            return ended

        return climb

    def _make_score(self, recipe: AscentRecipe, layer: Layer) -> Callable[[Given, Tensor], Tensor]:

        def score(given: Given, x: Tensor) -> Tensor:
            return _window_mean(self._forward.activated(given, layer, x), recipe.window_margin)

        return score

    def _make_embed(self) -> Callable[[Given, Tensor], Tensor]:
        import keras

        def embed(given: Given, x: Tensor) -> Tensor:
            means = [_window_mean(maps, 0) for maps in self._forward.all_activated(given, x)]
            return keras.ops.concatenate(means, axis=1)

        return embed
