"""Synthesis: makes the images of a unit as the rows of its shard, and ranks the images of a finished layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from amaxds.builds.executors.base import Check
from amaxds.compute.programs import Ascended, Programs
from amaxds.dataset.record import Row
from amaxds.errors import AmaxdsError
from amaxds.image import Pixels, encode_png, pixels_sha256, uniformity_index
from amaxds.spec.network import Layer, Network
from amaxds.spec.objective import Objective
from amaxds.spec.plan import Plan, Unit
from amaxds.spec.recipes import AscentRecipe

_NOT_FINITE = "The network overflows there: in a new OUT, leave that layer out (--layers), or choose another recipe (--recipe)."


def synthesise(plan: Plan, programs: Programs, unit: Unit, check: Check = lambda: None, frames: int = 0) -> list[Row]:
    """Make the images of a unit and return the rows of its wanted filters, in order. `check` is called between steps.

    frames: so many images on the way, evenly spaced from the start to the end, are in each row as `frame_pngs`.
    """
    network, recipe, layer = plan.network, unit.recipe, unit.layer
    drawn = [(network, plan.seed, layer.index, filter) for filter in unit.rows]
    start = np.stack([recipe.start(*each) for each in drawn])
    schedule = np.stack([recipe.schedule(*each) for each in drawn])
    ascent = programs.ascend(recipe, layer, unit.rows, start, schedule, check, watched_steps(recipe.steps, frames))
    rows = []
    for filter in unit.wanted:
        slot = unit.rows.index(filter)
        _require_finite(ascent, slot, f"filter {filter} of {layer.name}")
        on_the_way = [encode_png(recipe.decode(network, images[slot])) for images in ascent.on_the_way]
        entries = {
            "network": network.name,
            "layer": layer.name,
            "filter": filter,
            "recipe": recipe.name,
            "seed": plan.seed,
            "status": "alive" if ascent.moved[slot] else "dead",
            "activation_start": float(ascent.start_activation[slot]),
            "activation": float(ascent.activation[slot]),
        }
        row = of_pixels(recipe.decode(network, ascent.images[slot])) | entries
        rows.append(row | {"frame_pngs": tuple(on_the_way)} if frames else row)
    return rows


def synthesise_objective(
    network: Network,
    programs: Programs,
    recipe: AscentRecipe,
    objective: Objective,
    seed: int,
    check: Check = lambda: None,
    frames: int = 0,
) -> list[Row]:
    """Make the images of an objective, and return their rows, with the objective in place of a layer and no filter.

    Each begins as the image of the first term's leading channel would, with a seed of its own: the given one, the next, ...
    """
    first = objective.terms[0]
    seeds = range(seed, seed + objective.images)
    index = len(network.layers) if first.dense else network.layer(first.layer).index
    start = np.stack([recipe.start(network, each, index, first.leading) for each in seeds])
    schedule = np.stack([recipe.schedule(network, each, index, first.leading) for each in seeds])
    ascent = programs.ascend_objective(recipe, objective, start, schedule, check, watched_steps(recipe.steps, frames))
    for slot in range(objective.images):
        _require_finite(ascent, slot, str(objective))
    return [
        of_pixels(recipe.decode(network, ascent.images[slot]))
        | {
            "network": network.name,
            "layer": str(objective),
            "filter": None,
            "recipe": recipe.name,
            "seed": each,
            "status": "alive" if ascent.moved[slot] else "dead",
            "activation_start": float(ascent.start_activation[slot]),
            "activation": float(ascent.activation[slot]),
            "frame_pngs": tuple(encode_png(recipe.decode(network, images[slot])) for images in ascent.on_the_way),
        }
        for slot, each in enumerate(seeds)
    ]


def _require_finite(ascent: Ascended, slot: int, what: str) -> None:
    """AmaxdsError where the ascent of one image met numbers that are not finite."""
    for name, numbers in (
        ("the image", ascent.images[slot]),
        ("its activation", ascent.activation[slot]),
        ("its activation at the start", ascent.start_activation[slot]),
    ):
        if not np.isfinite(numbers).all():
            raise AmaxdsError(
                f"{what}: {name} has numbers that are not finite.",
                _NOT_FINITE,
            )


def of_pixels(image: Pixels) -> Row:
    """The entries of a row that the pixels decide."""
    return {"image": encode_png(image), "uniformity_index": uniformity_index(image), "pixels_sha256": pixels_sha256(image)}


def watched_steps(steps: int, frames: int) -> list[int]:
    """After which of so many steps an image is kept, from 0 for the start to the last: `frames` of them, or all."""
    frames = min(frames, steps + 1)
    return sorted({int(step) for step in np.linspace(0, steps, frames).round()} if frames > 1 else {steps} if frames else set())


def layer_scores(
    programs: Programs,
    recipe: AscentRecipe,
    layer: Layer,
    filters: Sequence[int],
    images: Sequence[Pixels],
    batch_size: int,
    check: Check = lambda: None,
) -> NDArray[np.float32]:
    """How much every image excites every filter: the mean outputs of the filters, shape (images, filters).

    images: (side, side, 3) uint8, one for each filter of the list. They are scored in blocks of a fixed size, so that one
    compiled program does for all of them. `check` is called between blocks.
    """
    size = min(batch_size, layer.filters)
    scores: list[NDArray[np.float32]] = []
    for first in range(0, len(images), size):
        check()
        block = list(images[first : first + size])
        filled = block + [block[0]] * (size - len(block))
        scores.append(programs.score(recipe, layer, np.stack(filled))[: len(block)])
    found: NDArray[np.float32] = np.concatenate(scores)[:, list(filters)]
    if not np.isfinite(found).all():
        raise AmaxdsError(
            f"the images of {layer.name} have activations that are not finite.",
            _NOT_FINITE,
        )
    return found


def activation_ranks(scores: NDArray[np.float32]) -> list[tuple[int, int]]:
    """For each filter, the rank of its own image and the index of the image that excites it most.

    scores: shape (n, n), from images to filters, where image i was made for filter i. Rank 1 means that no image excites the
    filter more than its own; images with equal scores share the better rank.
    """
    ranks, best = 1 + (scores > np.diagonal(scores)).sum(axis=0), scores.argmax(axis=0)
    return [(int(rank), int(index)) for rank, index in zip(ranks, best, strict=True)]
