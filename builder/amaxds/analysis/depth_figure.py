"""The depth figure: uniformity index, activation gain, rank and dead filters layer by layer, the recipes side by side, at the
width of a column."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import NullLocator

from amaxds.analysis.figure_style import BLACK, COLUMN, WIDTH, RecipeStyle, log_scale, recipe_styles, short_names
from amaxds.analysis.measures import LayerMeasures, Numbers
from amaxds.analysis.study_values import StudyValues

Recipes = Mapping[str, Sequence[LayerMeasures]]
"""Recipe -> the measures of its layers, in the order of the network."""
_STUDY = RecipeStyle(BLACK, "#FFFFFF", "", ":", "D")
_MOST_IN_COLUMN = 16
"""Layers, beside each other."""


@dataclass(frozen=True)
class _Panel:
    """One panel of the figure."""

    title: str
    height: float
    """Relative to that of the other panels."""
    y_label: str
    draw: Callable[[Axes], None]
    """Draws the values of all recipes."""
    scale: Callable[[Axes], object]
    """Sets the y axis, after drawing."""


def draw_depth(recipes: Recipes, study: StudyValues | None) -> Figure:
    """The figure, a panel per quantity. Quantities that are known of no recipe have no panel. It is as wide as a column, or as
    a page where there are many layers."""
    shown, layers = _panels(recipes, study), [each.layer for each in next(iter(recipes.values()))]
    heights = [panel.height for panel in shown]
    figure = Figure(figsize=(COLUMN if len(layers) <= _MOST_IN_COLUMN else WIDTH, 1.05 * sum(heights) + 0.75))
    axes = list(figure.subplots(len(shown), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0])
    for letter, panel, each in zip("abcde", shown, axes, strict=False):
        panel.draw(each)
        panel.scale(each)
        each.set_title(f"{letter}   {panel.title}", loc="left")
        each.set_ylabel(panel.y_label)
        each.grid(visible=False, axis="x")
    figure.align_ylabels()
    _label_layers(axes[-1], layers)
    handles: list[Any] = [
        Patch(facecolor=style.light, edgecolor=style.colour, hatch=style.hatch, label=f"recipe {recipe}")
        for recipe, style in recipe_styles(recipes).items()
    ]
    if study:
        handles.append(Line2D([], [], label="study, read off its figure", **_line(_STUDY)))
    figure.legend(handles=handles, loc="outside upper center", ncols=2, handleheight=1.2)
    return figure


def _panels(recipes: Recipes, study: StudyValues | None) -> list[_Panel]:
    every = [each for found in recipes.values() for each in found]
    if all(each.gain is None for each in every):
        return [_index_panel(recipes, 1.0), *_dead_panel(recipes, study, "Dead (activations and ranks are not known)", 1.0)]
    no_dead = not any(each.dead for each in every)
    gains = np.concatenate([each.living_gain for each in every if each.living_gain is not None])
    ranks = np.concatenate([[1.0], *(each.living_rank for each in every if each.living_rank is not None)])
    return [
        _index_panel(recipes, 1.3),
        *[
            _Panel(
                "Activation gained by every living filter,\non its recipe's own scale of inputs",
                1.3,
                "activation gain",
                draw=lambda axes: _boxes(axes, recipes, lambda each: each.living_gain),
                scale=lambda axes: _scale_gains(axes, gains),
            )
        ]
        * (len(gains) > 0),
        *[
            _Panel(
                "Rank of every living filter's image among its layer's\n(1: none excites the filter more)",
                0.8,
                "rank",
                draw=lambda axes: _boxes(axes, recipes, lambda each: each.living_rank),
                scale=lambda axes: log_scale(axes, ranks, least=1),
            )
        ]
        * bool((ranks > 1).any()),
        _Panel(
            "Alive, and ranked first by its own filter" + ("\n(no filter is dead)" if no_dead else ""),
            0.8,
            "share in %",
            draw=lambda axes: _shares(axes, recipes, lambda each: each.ranked_first_share),
            scale=lambda axes: axes.set(ylim=(-4, 104), yticks=[0, 25, 50, 75, 100]),
        ),
        *_dead_panel(recipes, study, "Dead", 0.9),
    ]


def _index_panel(recipes: Recipes, height: float) -> _Panel:
    return _Panel(
        "Uniformity index of every filter\n(line: median, box: quartiles, whiskers: 5% to 95%)",
        height,
        "uniformity index",
        draw=lambda axes: _boxes(axes, recipes, lambda each: each.index),
        scale=lambda axes: axes.set_ylim(0, 1),
    )


def _dead_panel(recipes: Recipes, study: StudyValues | None, title: str, height: float) -> list[_Panel]:
    """The share of dead filters, with the original study's where there are any; no panel where all shares are 0."""
    shares = [each.dead_share for found in recipes.values() for each in found]
    of_study = [study.dead_share_estimated[each.layer] for each in next(iter(recipes.values()))] if study else []

    def draw(axes: Axes) -> None:
        _shares(axes, recipes, lambda each: each.dead_share, of_study)

    highest = max(5, 100 * max(shares + of_study))
    if not any(shares + of_study):
        return []
    return [_Panel(title, height, "share in %", draw, lambda axes: axes.set_ylim(-0.05 * highest, 1.08 * highest))]


def _label_layers(axes: Axes, names: Sequence[str]) -> None:
    """Name the layers on the x axis: all of them, or as many as fit, evenly spaced."""
    short, title = short_names(names)
    shown = range(0, len(names), -(-len(names) // 80))
    turned = 0 if short != names and len(names) <= _MOST_IN_COLUMN else 90
    axes.set_xticks(shown, [short[place] for place in shown], rotation=turned, fontsize=min(7.0, 400 / len(shown)))
    axes.set(xlim=(-0.5, len(names) - 0.5), xlabel=title)


def _places(recipes: Recipes) -> Iterator[tuple[RecipeStyle, Sequence[LayerMeasures], Numbers, float]]:
    """For each recipe its style, its layers, where they stand on the x axis, and how wide a box may be there."""
    layers = max(map(len, recipes.values()))
    width = 0.76 / max(len(recipes), 2) * min(1.0, max(layers / 8, 0.3))
    for number, (style, found) in enumerate(zip(recipe_styles(recipes).values(), recipes.values(), strict=True)):
        places = np.arange(len(found)) + (number - (len(recipes) - 1) / 2) * width
        yield style, found, places.astype(np.float64), 0.82 * width


def _boxes(axes: Axes, recipes: Recipes, values: Callable[[LayerMeasures], Any]) -> None:
    """Draw median, quartiles, and whiskers from the 5th to the 95th percentile; values outside them are dots."""
    for style, found, places, width in _places(recipes):
        shown = [(place, values(each)) for place, each in zip(places, found, strict=True)]
        shown = [(place, each) for place, each in shown if each is not None and len(each)]
        if not shown:
            continue
        axes.boxplot(
            [each for _, each in shown],
            positions=[place for place, _ in shown],
            widths=width,
            whis=(5, 95),
            patch_artist=True,
            manage_ticks=False,
            boxprops={"facecolor": style.light, "edgecolor": style.colour, "hatch": style.hatch, "linewidth": 0.7},
            medianprops={"color": BLACK, "linewidth": 1.2},
            whiskerprops={"color": style.colour, "linewidth": 0.7},
            capprops={"color": style.colour, "linewidth": 0.7},
            flierprops={"marker": style.marker, "markersize": 1.5, "markeredgewidth": 0, "markerfacecolor": style.colour},
        )


def _shares(axes: Axes, recipes: Recipes, share: Callable[[LayerMeasures], float | None], study: Sequence[float] = ()) -> None:
    """Draw shares in percent as a line with a marker for each layer, nothing where a share is not known, and those of the
    original study, where given."""
    for style, found, places, _ in _places(recipes):
        known = [np.nan if (value := share(each)) is None else 100 * value for each in found]
        axes.plot(places, known, clip_on=False, zorder=3, **_line(style))
    if study:
        axes.plot(np.arange(len(study)), 100 * np.asarray(study), clip_on=False, zorder=2, **_line(_STUDY))


def _line(style: RecipeStyle) -> dict[str, Any]:
    return {
        "color": style.colour,
        "linestyle": style.line,
        "marker": style.marker,
        "markersize": 3,
        "markerfacecolor": style.light,
        "markeredgewidth": 0.7,
    }


def _scale_gains(axes: Axes, gains: Numbers) -> None:
    """A logarithmic y axis where every gain is positive; else linear around 0, up to the positive ones' 5th percentile."""
    positive = gains[gains > 0]
    if len(positive) == len(gains) > 0:
        axes.set_yscale("log")
    elif len(positive):
        axes.autoscale_view()  # Limits with the margins of a linear axis, chosen before the scale changes.
        linear_width = float(np.percentile(positive, 5))
        axes.set_yscale("asinh", linear_width=linear_width)
        axes.set_yticks(_powers_of_ten(*axes.get_ylim(), linear_width))
    axes.yaxis.set_minor_locator(NullLocator())


def _powers_of_ten(low: float, high: float, linear_width: float) -> list[float]:
    """0 and the powers of ten of both signs to label on an axis from `low` to `high` that is linear up to `linear_width`: from
    both ends inwards, those that are at least a fifth of the axis from each other. If these are few, 2 and 5 times them, too.
    """
    exponents = np.arange(np.ceil(np.log10(max(-low, high))), np.floor(np.log10(linear_width)) - 1, -1)
    apart = (np.arcsinh(high / linear_width) - np.arcsinh(low / linear_width)) / 5
    for factors in ((1,), (5, 2, 1)):
        shown = [0.0]
        for exponent, factor, sign in itertools.product(exponents, factors, (1, -1)):
            value = sign * factor * 10.0**exponent
            places = np.arcsinh(np.array([*shown, value]) / linear_width)
            if low <= value <= high and np.abs(places[:-1] - places[-1]).min() >= apart:
                shown.append(value)
        if len(shown) > 2:
            break
    return shown
