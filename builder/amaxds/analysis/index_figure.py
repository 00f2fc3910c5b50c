"""The index figure: the uniformity index of every filter in one panel, at the width of a column, layers from left to right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from amaxds.analysis.figure_style import BLACK, COLUMN, RecipeStyle, recipe_styles, short_names
from amaxds.analysis.measures import LayerMeasures
from amaxds.analysis.study_values import StudyValues

_STUDY: dict[str, Any] = {
    "color": BLACK,
    "marker": "D",
    "markersize": 2.6,
    "markerfacecolor": "white",
    "markeredgewidth": 0.6,
    "linestyle": ":",
}
_LINE_OF_TEXT = 0.075
"""The height of a label beside the lines, on the scale of the index."""


def draw_index(recipes: Mapping[str, Sequence[LayerMeasures]], study: StudyValues | None) -> Figure:
    """The figure: a dot per filter and a line through the layers' means for each recipe, dead filters as crosses, and the means
    that the original study published where there are any."""
    names = [each.layer for each in next(iter(recipes.values()))]
    short, title = short_names(names)
    figure = Figure(figsize=(COLUMN, 2.35 if short != names else 2.9))
    axes = figure.add_subplot()
    ends: dict[str, tuple[float, str]] = {}
    for number, ((recipe, style), layers) in enumerate(zip(recipe_styles(recipes).items(), recipes.values(), strict=True)):
        width = 0.8 / len(recipes)
        places = np.arange(len(layers)) + (number - (len(recipes) - 1) / 2) * width
        _draw_recipe(axes, layers, style, places, 0.75 * width)
        ends[recipe] = (layers[-1].mean_index, style.colour)
    if study:
        published = [study.mean_index[name] for name in names]
        axes.plot(published, zorder=4, **_STUDY)
        ends["published"] = (published[-1], BLACK)
    _label_lines(axes, ends)
    for place, (left, right) in enumerate(pairwise(short), start=1):
        if short != names and left.split(".")[0] != right.split(".")[0]:
            axes.axvline(place - 0.5, color="#C8C8C8", linewidth=0.5, zorder=0)
    shown = range(0, len(names), -(-len(names) // 30))
    axes.set_xticks(shown, [short[place] for place in shown], rotation=0 if short != names else 90, fontsize=6)
    axes.set(xlim=(-0.6, len(names) - 0.4), ylim=(0, 1), xlabel=title, ylabel="uniformity index")
    axes.grid(visible=False, axis="x")
    handles = [
        Line2D([], [], color="#666666", marker="o", markersize=2, linestyle="", label="one filter"),
        Line2D([], [], color="#444444", label="layer mean"),
    ]
    if any(each.dead for layers in recipes.values() for each in layers):
        crosses: dict[str, Any] = {"marker": "x", "markersize": 3, "markeredgewidth": 0.6, "linestyle": ""}
        handles.append(Line2D([], [], color=BLACK, label="dead filter: starting noise", **crosses))
    figure.legend(handles=handles, loc="outside upper center", ncols=3, fontsize=6, handletextpad=0.4, columnspacing=1.2)
    return figure


def _draw_recipe(axes: Axes, layers: Sequence[LayerMeasures], style: RecipeStyle, places: Any, width: float) -> None:
    size = 1.6 if max(len(each.filters) for each in layers) <= 128 else 0.9
    for place, each in zip(places, layers, strict=True):
        # Multiples of the golden ratio spread dots evenly, however many there are, and the same way again.
        across = place + (each.filters * 0.6180339887 % 1 - 0.5) * width
        living, dead = each.alive, ~each.alive
        dots: dict[str, Any] = {
            "color": style.colour,
            "marker": style.marker,
            "markersize": size,
            "markeredgewidth": 0,
            "alpha": 0.55,
        }
        axes.plot(across[living], each.index[living], linestyle="", clip_on=False, **dots)
        axes.plot(across[dead], each.index[dead], "x", color=BLACK, markersize=size + 0.6, markeredgewidth=0.35, zorder=3)
    means = [each.mean_index for each in layers]
    axes.plot(places, means, color="white", linewidth=2, zorder=3.4)
    axes.plot(places, means, color=style.colour, linestyle=style.line, linewidth=1.1, zorder=3.5)
    if len(layers) == 1:
        axes.plot(places, means, "_", color=style.colour, markersize=9, markeredgewidth=1.2, zorder=3.5)


def _label_lines(axes: Axes, ends: Mapping[str, tuple[float, str]]) -> None:
    """Write each line's name behind its end, moved up where it would stand on the one below."""
    lowest = 0.0
    for name, (value, colour) in sorted(ends.items(), key=lambda item: item[1][0]):
        lowest = max(value, lowest)
        axes.annotate(
            name,
            (1.01, lowest),
            xycoords=axes.get_yaxis_transform(),
            color=colour,
            weight="bold",
            fontsize=6,
            va="center",
            annotation_clip=False,
        )
        lowest += _LINE_OF_TEXT
