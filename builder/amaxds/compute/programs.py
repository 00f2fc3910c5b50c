"""Compiled programs of a network: the ascent of images, and the scores of images that are made."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amaxds.compute import backend, environment
from amaxds.compute.ascent import (
    ObjectiveParams,
    ObjectiveTerm,
    StepParams,
    Value,
    make_climb,
    make_embed,
    make_objective_value,
    make_render,
    make_score,
    make_step,
    make_value,
    objective_wandering,
    resolve,
)
from amaxds.compute.forward import DenseForward, ForwardPass, Params, require_side
from amaxds.compute.networks import forward_pass
from amaxds.compute.weights import Weights
from amaxds.spec.network import LEAST_SIDE, Layer, Network
from amaxds.spec.objective import Objective
from amaxds.spec.recipes import AscentRecipe
from amaxds.spec.recipes.base import State, Wandering

Tensor = Any
Compiled = Callable[..., Any]

PROGRAMS_ON_GPU = 2
"""How many programs run on a GPU at the same time, so that it never waits for the next. They share its memory."""


@dataclass(frozen=True)
class Ascended:
    """Where the ascent of n images ended, in arrays on the host."""

    images: NDArray[np.float32]
    """(n, canvas, canvas, 3)"""
    activation: NDArray[np.float32]
    """(n,) the mean output after ReLU of each image's own filter over the recipe's window, for the final image."""
    start_activation: NDArray[np.float32]
    """(n,) the same for the image that the ascent began with."""
    moved: NDArray[np.bool_]
    """(n,) whether any gradient of the image was ever different from zero."""
    on_the_way: tuple[NDArray[np.float32], ...] = ()
    """The images (n, canvas, canvas, 3) after the steps that were watched, in their order."""


@dataclass(frozen=True)
class _Key:
    """Which program it is. Programs for all layers have no recipe and no layer."""

    kind: str
    shape: tuple[int, ...]
    """Of the images, or of their parameters."""
    recipe: AscentRecipe | None = None
    layer: Layer | None = None
    wandering: Wandering | None = None
    """How the canvas moves from step to step."""
    terms: tuple[ObjectiveTerm, ...] = ()
    """Those of an objective, whatever their filters and weights."""
    diverse: int | None = None
    """The place of the term in whose layer textures are compared; None where the images are not kept apart."""


@dataclass
class _Program:
    """A program, once it has been compiled, and the lock that is held while it is."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    compiled: Compiled | None = None


class Programs:
    """The compiled programs of one network with its weights, each made at first use and kept. Safe to use from threads."""

    def __init__(self, network: Network, weights: Weights, precision: str = "float32", on_gpu: bool | None = None) -> None:
        """precision: what the network computes in during the steps of an ascent, one of plan.PRECISIONS; everything else is
        computed as precisely as the weights are given.

        on_gpu: work as on a GPU; by default where there is one. All steps are then one program, programs are compiled before
        they are needed, and at most PROGRAMS_ON_GPU run at a time, so that threads compile side by side and run in turn.
        """
        self.network = network
        compute = forward_pass(network)
        self._forward = compute(network, weights)
        self._forward_in_steps = self._forward if precision == "float32" else compute(network, weights, precision)
        self._on_gpu = environment.on_gpu() if on_gpu is None else on_gpu
        self._turn = threading.Semaphore(PROGRAMS_ON_GPU) if self._on_gpu else contextlib.nullcontext()
        self._lock = threading.Lock()
        self._programs: dict[_Key, _Program] = {}

    def ascend(
        self,
        recipe: AscentRecipe,
        layer: Layer,
        filters: tuple[int, ...],
        start: NDArray[np.float32],
        schedule: NDArray[np.float32],
        check: Callable[[], None] = lambda: None,
        watched: Sequence[int] = (),
    ) -> Ascended:
        """Climb one filter of the layer per image, from the parameters start (n, ...) along schedule (n, steps, k), as the
        recipe draws them.

        On a GPU all steps are one program. On a CPU, where a loop inside the program is several times slower, each step is a
        call of one, and `check` is called before it and may raise. watched: after which steps, from 0 for the start, the
        images are kept besides; a GPU then works step by step, too, and may round otherwise.
        """
        side, ahead = self.network.canvas, self._forward_in_steps
        params = ahead.params(layer), ahead.own_filters(layer, list(filters))
        score = self._score_program(recipe, layer, (len(filters), side, side, 3), start.dtype)
        value = make_value(self.network, ahead, recipe, layer)
        key = _Key("", start.shape, recipe, layer, recipe.wandering(self.network, layer))

        def measure(x: Tensor) -> NDArray[np.float32]:
            import keras

            scores: NDArray[np.float32] = keras.ops.convert_to_numpy(score(self._forward.params(layer), x))
            return scores[np.arange(len(filters)), list(filters)]

        return self._climb(recipe, key, value, params, measure, start, schedule, check, watched)

    def ascend_objective(
        self,
        recipe: AscentRecipe,
        objective: Objective,
        start: NDArray[np.float32],
        schedule: NDArray[np.float32],
        check: Callable[[], None] = lambda: None,
        watched: Sequence[int] = (),
    ) -> Ascended:
        """As `ascend`, with the same objective for all images, whose own value stands for the filter's output."""
        import keras

        terms = tuple(resolve(self.network, self._forward, term) for term in objective.terms)
        diverse = objective.diverse_term if objective.diversity > 0 else None
        largest = max(abs(term.weight) for term in objective.terms) or 1.0
        wandering = objective_wandering(self.network, recipe, terms)
        key = _Key("", start.shape, recipe, None, wandering, terms, diverse)

        def params_of(forward: ForwardPass) -> ObjectiveParams:
            found: list[StepParams] = []
            for term, (layer, _) in zip(objective.terms, terms, strict=True):
                if isinstance(layer, str):
                    assert isinstance(forward, DenseForward)
                    found.append(forward.dense_params(layer, term.leading))
                else:
                    found.append((forward.params(layer), forward.own_direction(layer, term.vector(layer), len(start))))
            factors = [term.weight / largest for term in objective.terms]  # Else, very small or large ones move nothing.
            numbers = np.asarray(factors, start.dtype), start.dtype.type(objective.diversity)
            weights, diversity = (keras.ops.convert_to_tensor(each) for each in numbers)
            return found, weights, diversity

        exact = params_of(self._forward)
        shape = (len(start), *(self.network.canvas,) * 2, 3)
        value = make_objective_value(self.network, self._forward_in_steps, recipe, terms, key.wandering is not None, diverse)
        of_terms = make_objective_value(self.network, self._forward, recipe, terms)
        of_value = dataclasses.replace(key, kind="value", diverse=None)
        score = self._compile(of_value, of_terms, lambda: (exact, keras.ops.zeros(shape, str(start.dtype))))

        def measure(x: Tensor) -> NDArray[np.float32]:
            scores: NDArray[np.float32] = keras.ops.convert_to_numpy(score(exact, x))
            return scores * np.float32(largest)

        params = params_of(self._forward_in_steps)
        return self._climb(recipe, key, value, params, measure, start, schedule, check, watched)

    def _climb(
        self,
        recipe: AscentRecipe,
        key: _Key,
        value: Value,
        params: Any,
        measure: Callable[[Tensor], NDArray[np.float32]],
        start: NDArray[np.float32],
        schedule: NDArray[np.float32],
        check: Callable[[], None],
        watched: Sequence[int],
    ) -> Ascended:
        """Climb a value with these params. key: of the programs that are compiled for it. measure: network input -> (n,)."""
        import keras

        to_device = keras.ops.convert_to_tensor
        render = self._render_program(recipe, start)
        at_once = self._on_gpu and not watched
        advance = self._advance_program(recipe, key, value, params, start, schedule, at_once)
        seen: dict[int, NDArray[np.float32]] = {}
        with self._turn:
            state, moved = _before_first_step(recipe, start)
            start_activation = measure(render(state[0])[1])
            if at_once:
                state, moved = advance(params, state, moved, to_device(schedule))
            else:
                for number in range(recipe.steps):
                    if number in watched:
                        seen[number] = keras.ops.convert_to_numpy(render(state[0])[0])
                    check()
                    state, moved = advance(params, state, moved, to_device(schedule[:, number]))
            image, x = render(state[0])
            seen[recipe.steps] = images = keras.ops.convert_to_numpy(image)
            activation, kept = measure(x), tuple(seen[number] for number in watched)
            return Ascended(images, activation, start_activation, keras.ops.convert_to_numpy(moved), kept)

    def score(self, recipe: AscentRecipe, layer: Layer, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The mean output after ReLU of every filter of the layer over the recipe's window, for 8-bit images (n, h, w, 3) with
        the network's own preprocessing: (n, filters)."""
        x = self.network.preprocess(images)
        return self._run(self._score_program(recipe, layer, x.shape, x.dtype), self._forward.params(layer), x)

    def require_side(self, side: int, layers: Sequence[Layer], least: int = LEAST_SIDE) -> None:
        """UsageError where outputs of these layers for images (side, side, 3) cannot be had, or are smaller than `least`."""
        require_side(self._forward, self.network, side, layers, least)

    def embed(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The mean output after ReLU of every filter of every usable layer, in network order, for 8-bit images (n, h, w, 3)
        with the network's own preprocessing: (n, filters)."""
        x, params = self.network.preprocess(images), self._forward.params()
        program = self._compile(_Key("embed", x.shape), make_embed(self._forward), lambda: (params, x))
        return self._run(program, params, x)

    def forget(self, recipe: AscentRecipe, layer: Layer) -> None:
        """Let go of the programs of a layer under a recipe. They are made again where they are needed again."""
        with self._lock:
            for key in [each for each in self._programs if (each.recipe, each.layer) == (recipe, layer)]:
                del self._programs[key]
        gc.collect()  # A traced program refers to itself in many ways.

    def _run(self, program: Compiled, params: Params, x: NDArray[Any]) -> NDArray[np.float32]:
        import keras

        with self._turn:
            return np.asarray(keras.ops.convert_to_numpy(program(params, keras.ops.convert_to_tensor(x))))

    def _render_program(self, recipe: AscentRecipe, start: NDArray[Any]) -> Compiled:
        import keras

        function = make_render(self.network, recipe)
        return self._compile(_Key("render", start.shape, recipe), function, lambda: (keras.ops.convert_to_tensor(start),))

    def _score_program(self, recipe: AscentRecipe, layer: Layer, shape: tuple[int, ...], dtype: Any) -> Compiled:
        import keras

        params, function = self._forward.params(layer), make_score(self._forward, recipe, layer)
        key = _Key("score", shape, recipe, layer)
        return self._compile(key, function, lambda: (params, keras.ops.zeros(shape, str(dtype))))

    def _advance_program(
        self,
        recipe: AscentRecipe,
        key: _Key,
        value: Value,
        params: Any,
        start: NDArray[Any],
        schedule: NDArray[Any],
        at_once: bool,
    ) -> Compiled:
        """The program of all steps at once, or that of one."""
        import keras

        kind, make = ("climb", make_climb) if at_once else ("step", make_step)
        function = make(self.network, recipe, value, key.wandering)
        inputs = schedule if at_once else schedule[:, 0]
        return self._compile(
            dataclasses.replace(key, kind=kind),
            function,
            lambda: (params, *_before_first_step(recipe, start), keras.ops.convert_to_tensor(inputs)),
        )

    def _compile(self, key: _Key, function: Callable[..., Any], arguments: Callable[[], tuple[Any, ...]]) -> Compiled:
        """The program of that key: made of the function if there is none yet. As on a GPU it is compiled here, for such
        arguments, which are not computed; else by its first call."""
        with self._lock:
            program = self._programs.setdefault(key, _Program())
        with program.lock:
            if program.compiled is None:
                compiled = backend.compiled(function)
                program.compiled = backend.compiled_for(compiled, arguments) if self._on_gpu else compiled
            return program.compiled


def _before_first_step(recipe: AscentRecipe, start: NDArray[Any]) -> tuple[State, Tensor]:
    """The first state for these parameters (n, ...), and that no image has moved yet, (n,)."""
    import keras

    return recipe.first_state(keras.ops.convert_to_tensor(start)), keras.ops.zeros(len(start), "bool")
