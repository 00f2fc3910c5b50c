"""A recipe that no style is reserved for gets one of its own, different from all others."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from amaxds.analysis.depth_figure import draw_depth
from amaxds.analysis.figure_style import RECIPE_STYLES, recipe_styles, styled
from amaxds.analysis.figures import draw
from amaxds.analysis.index_figure import draw_index
from amaxds.analysis.measures import BINS, LayerMeasures
from amaxds.analysis.study_values import StudyValues


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
        *("index.svg", "depth.svg", "spectrum.svg"),
        *(f"histograms-{recipe}.svg" for recipe in ("clear", "newer", "new")),
    }
    for style in recipe_styles(["clear", "newer", "new"]).values():
        for name in ("index.svg", "depth.svg", "spectrum.svg"):
            assert style.colour.lower() in files[name].decode()


def test_names_beside_the_lines_of_the_index_do_not_touch() -> None:
    study = StudyValues("", {"block1_conv1": 0.45}, {"block1_conv1": 0.5})
    with styled():
        figure = draw_index({recipe: [_measures(recipe)] for recipe in ("clear", "original")}, study)
        figure.draw_without_rendering()  # type: ignore[no-untyped-call]  # the library has no types
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == ["clear", "original", "published"]
    boxes = [text.get_window_extent() for text in axes.texts]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    assert all(box.x1 <= figure.bbox.x1 for box in boxes), "they are inside the figure"


def test_shares_over_depth_are_drawn_where_they_are_known_and_no_panel_is_empty() -> None:
    study = StudyValues("", {"block1_conv1": 0.45}, {"block1_conv1": 0.5})
    with styled():
        figure = draw_depth({recipe: [_measures(recipe)] for recipe in ("clear", "original")}, study)
        figure.draw_without_rendering()  # type: ignore[no-untyped-call]  # the library has no types
        living = replace(_measures("clear"), alive=np.array([True, True]), rank=np.array([1, 1]))
        titles = [axes.get_title("left") for axes in draw_depth({"clear": [living]}, None).axes]
        silent = replace(_measures("original"), alive=np.array([False, False]))
        beside = draw_depth({"clear": [living], "original": [silent]}, None).axes[1]
        described = replace(living, gain=None, rank=None)  # Made elsewhere, and none of it noise.
        alone = [axes.get_title("left") for axes in draw_depth({"clear": [described]}, None).axes]
    assert beside.get_title("left").startswith("b   Activation gained")
    assert len(beside.patches) == 1, "a box of one recipe, as the other has no living filter"
    *_, first, dead = figure.axes
    assert [list(line.get_ydata()) for line in dead.lines] == [[50], [50], [50]], "two recipes and the study"
    assert [list(line.get_ydata()) for line in first.lines] == [[50], [50]]
    assert figure.get_figwidth() < 3.4, "a column of a journal"
    assert len(titles) == 3, "no ranks, which are all 1, and no dead filters"
    assert titles[-1].endswith("(no filter is dead)")
    assert len(alone) == 1, "the index, which is always known"


@pytest.mark.parametrize(
    ("least", "most", "lowest"),
    [(1e-3, 1e4, -50), (1, 1e3, -3), (1e-6, 1e6, -1e4), (5, 20, -1), (1, 2, -1e3), (2, 9, -9), (0.3, 0.9, -0.5)],
)
def test_labels_of_gains_of_both_signs_do_not_touch(least: float, most: float, lowest: float) -> None:
    gains = np.concatenate([np.geomspace(least, most, 50), np.linspace(lowest, 0, 5)])
    many = {"filters": np.arange(55), "alive": np.full(55, True), "index": np.full(55, 0.5), "rank": np.ones(55, int)}
    with styled():
        figure = draw_depth({"clear": [replace(_measures("clear"), gain=gains, **many)]}, None)
        figure.draw_without_rendering()  # type: ignore[no-untyped-call]  # the library has no types
    axes = figure.axes[1]
    low, high = axes.get_ylim()
    labels = [label for label in axes.get_yticklabels() if low <= label.get_position()[1] <= high]
    boxes = [label.get_window_extent() for label in labels]
    assert low < lowest
    assert high > most
    assert len(boxes) >= 3
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
