"""Recipes: everything that turns (network, filter, seed) into an image, one file a recipe.

A new recipe is a new file here and its name in `catalogue.RECIPES`.
"""

from amaxds.spec.recipes.base import AscentRecipe, Recipe
from amaxds.spec.recipes.catalogue import DEFAULT_RECIPE, RECIPES, get_recipe, read_recipe
from amaxds.spec.recipes.clear import CLEAR, Clear
from amaxds.spec.recipes.described import DESCRIBED, Described
from amaxds.spec.recipes.original import ORIGINAL, Original

__all__ = [
    "CLEAR",
    "DEFAULT_RECIPE",
    "DESCRIBED",
    "ORIGINAL",
    "RECIPES",
    "AscentRecipe",
    "Clear",
    "Described",
    "Original",
    "Recipe",
    "get_recipe",
    "read_recipe",
]
