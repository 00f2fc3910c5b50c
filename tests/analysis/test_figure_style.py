"""A recipe that no style is reserved for gets one of its own, different from all others."""

from __future__ import annotations

import numpy as np

from amaxds.analysis.figure_style import RECIPE_STYLES, recipe_styles
from amaxds.analysis.figures import draw
from amaxds.analysis.measures import BINS, LayerMeasures


def _measures(recipe: str) -> LayerMeasures:
    """Two filters of one layer, one of them dead, with values of no meaning."""
    return LayerMeasures(
        recipe=recipe,
        layer="block1_conv1",
        filters=np.arange(2),
        alive=np.array([True, False]),
        index=np.array([0.4, 0.5]),
        gain=np.array([3.0, -1.0]),
        rank=np.array([1, 2]),
        histogram=np.full((3, 256), 1 / 256),
        spectrum=np.geomspace(1, 1e-3, BINS),
    )


def test_recipes_with_a_reserved_style_have_it_whatever_stands_beside_them() -> None:
    styles = recipe_styles(["new", "clear", "original"])
    assert {name: styles[name] for name in ("clear", "original")} == {
        name: RECIPE_STYLES[name] for name in ("clear", "original")
    }


def test_new_recipes_differ_from_all_others_in_more_than_colour() -> None:
    styles = list(recipe_styles([*RECIPE_STYLES, *(f"new-{number}" for number in range(200))]).values())
    assert len(set(styles)) == len(styles)
    first = styles[: len(RECIPE_STYLES) + 2]
    for parts in (
        {style.colour for style in first},
        {style.hatch for style in first},
        {style.line for style in first},
        {style.marker for style in first},
    ):
        assert len(parts) == len(first)


def test_every_figure_is_drawn_of_new_recipes() -> None:
    files = dict(draw([_measures(recipe) for recipe in ("clear", "newer", "new")], None))
    assert {name for name in files if name.endswith(".svg")} == {
        *("depth.svg", "spectrum.svg"),
        *(f"{figure}-{recipe}.svg" for figure in ("index", "histograms") for recipe in ("clear", "newer", "new")),
    }
    for style in recipe_styles(["clear", "newer", "new"]).values():
        for name in ("depth.svg", "spectrum.svg"):
            assert style.colour.lower() in files[name].decode()
