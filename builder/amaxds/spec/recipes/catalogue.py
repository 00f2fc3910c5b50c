"""The recipes that there are, by name, and a recipe read back from build.json."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from amaxds.errors import UsageError, nearest
from amaxds.spec.recipes.base import AscentRecipe, Recipe
from amaxds.spec.recipes.clear import CLEAR
from amaxds.spec.recipes.described import DESCRIBED
from amaxds.spec.recipes.original import ORIGINAL

RECIPES: dict[str, AscentRecipe] = {recipe.name: recipe for recipe in (CLEAR, ORIGINAL)}
"""What `--recipe` names, in the order in which a dataset has them."""
DEFAULT_RECIPE = CLEAR.name
MAX_STEPS = 100_000


def get_recipe(name: str, steps: int | None = None) -> AscentRecipe:
    """The recipe of that name, with another number of steps where asked (which changes its digest).

    UsageError for an unknown name, and for steps that are not from 1 to MAX_STEPS.
    """
    if name not in RECIPES:
        raise UsageError(f"unknown recipe {name!r}.", f"{nearest(name, RECIPES)}There is {' and '.join(RECIPES)}.")
    if steps is None:
        return RECIPES[name]
    if not 1 <= steps <= MAX_STEPS:
        raise UsageError(f"steps {steps} is out of range.", f"Give a number from 1 to {MAX_STEPS}.")
    return dataclasses.replace(RECIPES[name], steps=steps)


def read_recipe(settings: Mapping[str, Any]) -> Recipe:
    """The recipe that `Recipe.settings` wrote. ValueError if it is not one, or not the one that its digest is of."""
    name = settings.get("name")
    recipes: dict[str, Recipe] = {**RECIPES, DESCRIBED.name: DESCRIBED}
    if not isinstance(name, str) or name not in recipes:
        raise ValueError(f"unknown recipe {name!r}")
    known = dataclasses.asdict(recipes[name])
    values = {key: value for key, value in settings.items() if key != "digest"}
    for key in [*known, *values]:
        if key not in values:
            raise ValueError(f"{name} has no {key}")
        if key not in known:
            raise ValueError(f"{name} has {key}, which is no setting of it")
        value = values[key]
        if type(value) is not type(known[key]) or (isinstance(value, float) and not np.isfinite(value)):
            raise ValueError(f"{name}.{key} is {value!r}, expected {type(known[key]).__name__}")
    if not (1 <= values["steps"] <= MAX_STEPS or name == DESCRIBED.name) or not 0 < values.get("side", 1) <= 4096:
        raise ValueError(f"{name}.steps is {values['steps']}, its side {values.get('side')}")
    recipe = dataclasses.replace(recipes[name], **values)
    if settings.get("digest") != recipe.digest:
        raise ValueError(f"{name}.digest is {settings.get('digest')!r}, of these settings it is {recipe.digest}")
    return recipe
