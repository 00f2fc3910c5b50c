"""The functions that programs are compiled from: rendering, a step of an ascent, all its steps, and the means of outputs.

Each function here makes one of them for a recipe or a layer. What it makes is a pure function of tensors, channels last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from amaxds.compute import backend
from amaxds.compute.forward import DenseForward, ForwardPass, OwnFilters, Params
from amaxds.spec.network import Layer, Network
from amaxds.spec.objective import Term
from amaxds.spec.recipes import AscentRecipe
from amaxds.spec.recipes.base import State, Wandering

Tensor = Any
StepParams = tuple[Params, OwnFilters]
"""The network's weights, and kernel and bias of each image's own filter."""
Value = Callable[[Any, Tensor], Tensor]
"""(params, network input for n images) -> what each of them climbs, (n,)."""
ObjectiveTerm = tuple[Layer | str, tuple[int, int] | None]
"""A term's convolution, or the name of its dense layer, and its place there if it is not averaged over the recipe's window."""
ObjectiveParams = tuple[list[StepParams], Tensor, Tensor]
"""The params of each term, the weights of the terms (terms,), and the objective's diversity."""


def make_render(network: Network, recipe: AscentRecipe) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """Parameters (n, ...) -> the images (n, canvas, canvas, 3), and the network's input for them."""

    def render(parameters: Tensor) -> tuple[Tensor, Tensor]:
        image = recipe.render(network, parameters)
        return image, recipe.preprocess(network, image)

    return render


def make_value(network: Network, forward: ForwardPass, recipe: AscentRecipe, layer: Layer) -> Value:
    """What an image climbs: the mean output of its own filter over the recipe's window for steps."""
    import keras

    def value(params: StepParams, x: Tensor) -> Tensor:
        weights, own = params
        maps = forward.response(weights, own, layer, x)
        maps = keras.ops.cast(maps, x.dtype)  # The network may compute in another precision.
        return _window_mean(recipe.averaged(maps), recipe.step_margin(network, layer))

    return value


def resolve(network: Network, forward: ForwardPass, term: Term) -> ObjectiveTerm:
    """The term in this network; UsageError where it has no such layer, channels or place."""
    layer = term.layer_of(network)
    if isinstance(layer, str) or term.place is None:
        return layer, None
    ((height, width),) = forward.output_sizes([layer], network.canvas)
    return layer, term.place_in(network, height, width)


def objective_wandering(network: Network, recipe: AscentRecipe, terms: Sequence[ObjectiveTerm]) -> Wandering | None:
    """How the canvas wanders for an objective: as far as for any of its terms. None where it has to stay for one of them, and
    where one has a place of its own, which must not move over the picture."""
    found = [recipe.wandering(network, layer) if isinstance(layer, Layer) and place is None else None for layer, place in terms]
    known = [each for each in found if each is not None]
    if len(known) < len(found):
        return None
    return Wandering(max(each.distance for each in known), max(each.grid for each in known))


def make_objective_value(
    network: Network,
    forward: ForwardPass,
    recipe: AscentRecipe,
    terms: Sequence[ObjectiveTerm],
    wanders: bool = False,
    diverse: int | None = None,
) -> Value:
    """The same for an objective of several terms. Which filters they are of, and their weights, are in the params, so that one
    program does for all objectives with these terms.

    wanders: whether the canvas does. Without that, the window is the one that final images are measured with.

    diverse: the place of a term. Each image gives up a share of its value, the diversity, where all have the same texture in
    the layer of this term, a convolution.
    """
    import keras

    ops = keras.ops

    def value(params: ObjectiveParams, x: Tensor) -> Tensor:
        of_terms, factors, diversity = params
        total = 0.0
        for number, ((layer, place), (weights, own)) in enumerate(zip(terms, of_terms, strict=True)):
            if isinstance(layer, str):
                assert isinstance(forward, DenseForward)
                output = ops.cast(forward.dense_output(weights, own, layer, x), x.dtype)
            else:
                maps = recipe.averaged(ops.cast(forward.response(weights, own, layer, x), x.dtype))
                margin = recipe.step_margin(network, layer) if wanders else recipe.window_margin
                output = _window_mean(maps, margin) if place is None else maps[:, place[0], place[1]]
            total += factors[number] * output
        if diverse is None:
            return total
        layer = terms[diverse][0]
        assert isinstance(layer, Layer)
        maps = ops.cast(forward.activated(of_terms[diverse][0], layer, x), x.dtype)
        images, channels = maps.shape[0], maps.shape[-1]
        outputs = ops.reshape(maps, (images, -1, channels))
        grams = ops.reshape(ops.matmul(ops.transpose(outputs, (0, 2, 1)), outputs), (images, -1))
        grams = grams * ops.rsqrt(ops.maximum(ops.sum(ops.square(grams), axis=1, keepdims=True), 1e-30))
        alike = (ops.sum(ops.matmul(grams, ops.transpose(grams)), axis=1) - 1.0) / (images - 1)
        return total - diversity * ops.stop_gradient(ops.abs(total)) * alike

    return value


def make_step(
    network: Network, recipe: AscentRecipe, value: Value, wandering: Wandering | None
) -> Callable[[Any, State, Tensor, Tensor], tuple[State, Tensor]]:
    """One step of the ascent: (params of the value, state, moved, inputs) -> the next state and moved.

    moved (n,) says whether any gradient of the image was ever different from zero; inputs (n, k) is the step's row of each
    image's schedule. wandering: how the canvas moves over the picture.
    """
    import keras

    def step(params: Any, state: State, moved: Tensor, inputs: Tensor) -> tuple[State, Tensor]:

        def objective(parameters: Tensor) -> Tensor:
            return value(params, recipe.preprocess(network, recipe.render(network, parameters, inputs, wandering)))

        _, gradient = backend.value_and_gradient(objective)(state[0])
        moved = keras.ops.logical_or(moved, keras.ops.any(gradient != 0, axis=(1, 2, 3)))
        return recipe.update(network, state, gradient, inputs), moved

    return step


def make_climb(
    network: Network, recipe: AscentRecipe, value: Value, wandering: Wandering | None
) -> Callable[[Any, State, Tensor, Tensor], tuple[State, Tensor]]:
    """All steps of the ascent in a loop: as `make_step`, with the whole schedule (n, steps, k) for inputs."""
    import keras

    step = make_step(network, recipe, value, wandering)

    def climb(params: Any, state: State, moved: Tensor, schedule: Tensor) -> tuple[State, Tensor]:
        def body(number: Tensor, carried: tuple[State, Tensor]) -> tuple[State, Tensor]:
            return step(params, *carried, keras.ops.take(schedule, number, axis=1))

        ended: tuple[State, Tensor] = keras.ops.fori_loop(0, recipe.steps, body, (state, moved))
        return ended

    return climb


def make_score(forward: ForwardPass, recipe: AscentRecipe, layer: Layer) -> Callable[[Params, Tensor], Tensor]:
    """(params, network input) -> the mean output after ReLU of every filter of the layer over the recipe's window,
    (n, filters)."""

    def score(params: Params, x: Tensor) -> Tensor:
        return _window_mean(forward.activated(params, layer, x), recipe.window_margin)

    return score


def make_embed(forward: ForwardPass) -> Callable[[Params, Tensor], Tensor]:
    """(params, network input) -> the mean output after ReLU of every filter of every usable layer, in network order,
    (n, filters)."""
    import keras

    def embed(params: Params, x: Tensor) -> Tensor:
        return keras.ops.concatenate([_window_mean(maps, 0) for maps in forward.all_activated(params, x)], axis=1)

    return embed


def _window_mean(maps: Tensor, margin: int) -> Tensor:
    """Mean over height and width, without that many rows and columns at each edge: (n, h, w, ...) -> (n, ...)."""
    import keras

    height, width = maps.shape[1:3]
    return keras.ops.mean(maps[:, margin : height - margin, margin : width - margin], axis=(1, 2))
