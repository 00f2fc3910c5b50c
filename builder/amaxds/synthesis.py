"""Synthesis: from a unit of the plan to the rows of its shard, and the ranks of a finished layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from amaxds.image import Pixels, encode_png, pixels_sha256, uniformity_index
from amaxds.network import Layer
from amaxds.plan import Plan, Unit
from amaxds.program import Programs
from amaxds.recipe import Recipe
from amaxds.shard import Row


def synthesise(plan: Plan, programs: Programs, unit: Unit, check: Callable[[], None] = lambda: None) -> list[Row]:
    """Make the images of a unit; the rows of its wanted filters, in order. `check` runs between steps and may raise."""
    network, recipe, layer = plan.network, unit.recipe, unit.layer
    drawn = [(network, plan.seed, layer.index, filter) for filter in unit.rows]
    start = np.stack([recipe.start(*each) for each in drawn])
    schedule = np.stack([recipe.schedule(*each) for each in drawn])
    ascent = programs.ascend(recipe, layer, unit.rows, start, schedule, check)
    rows = []
    for filter in unit.wanted:
        slot = unit.rows.index(filter)
        image = recipe.decode(network, ascent.images[slot])
        rows.append(
            {
                "image": encode_png(image),
                "network": network.name,
                "layer": layer.name,
                "filter": filter,
                "recipe": recipe.name,
                "seed": plan.seed,
                "status": "alive" if ascent.moved[slot] else "dead",
                "activation_start": float(ascent.start_activation[slot]),
                "activation": float(ascent.activation[slot]),
                "uniformity_index": uniformity_index(image),
                "pixels_sha256": pixels_sha256(image),
            }
        )
    return rows


def activation_ranks(
    programs: Programs,
    recipe: Recipe,
    layer: Layer,
    filters: Sequence[int],
    images: Sequence[Pixels],
    batch_size: int,
    check: Callable[[], None] = lambda: None,
) -> list[tuple[int, int]]:
    """The place of each image among all of them by the mean output of its own filter, 1 where none excites it more; and the
    filter whose image excites it most.

    Images (side, side, 3) uint8, one per filter of the list. They are scored in blocks of a fixed size, so that one
    program serves; equal outputs share the better place.
    """
    size = min(batch_size, layer.filters)
    scores: list[NDArray[np.float32]] = []
    for first in range(0, len(images), size):
        check()
        block = list(images[first : first + size])
        filled = block + [block[0]] * (size - len(block))
        scores.append(programs.score(recipe, layer, np.stack(filled))[: len(block)])
    of_filters = np.concatenate(scores)[:, list(filters)]
    own = np.diagonal(of_filters)
    ranks, best = 1 + (of_filters > own).sum(axis=0), of_filters.argmax(axis=0)
    return [(int(rank), filters[int(place)]) for rank, place in zip(ranks, best, strict=True)]
