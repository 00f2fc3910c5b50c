"""The depth figure: uniformity index, activation gain, rank and dead filters layer by layer, the recipes side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import NullLocator

from amaxds.analysis.figure_style import BLACK, WIDTH, RecipeStyle, log_scale, recipe_styles
from amaxds.analysis.measures import LayerMeasures, Numbers
from amaxds.analysis.study_values import StudyValues

Recipes = Mapping[str, Sequence[LayerMeasures]]
"""Recipe -> the measures of its layers, in the order of the network."""
_STUDY = RecipeStyle(BLACK, "#FFFFFF", "", ":", "D")


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
    """The figure, a panel per quantity. Quantities that are known of no recipe have no panel."""
    shown = _panels(recipes, study)
    figure = Figure(figsize=(WIDTH, 1.45 * len(shown) + 0.75))
    heights = [panel.height for panel in shown]
    axes = list(figure.subplots(len(shown), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0])
    for letter, panel, each in zip("abcde", shown, axes, strict=False):
        panel.draw(each)
        panel.scale(each)
        each.set_title(f"{letter}   {panel.title}", loc="left")
        each.set_ylabel(panel.y_label)
        each.grid(visible=False, axis="x")
    _label_layers(axes[-1], [each.layer for each in next(iter(recipes.values()))])
    handles: list[Any] = [
        Patch(facecolor=style.light, edgecolor=style.colour, hatch=style.hatch, label=f"recipe {recipe}")
        for recipe, style in recipe_styles(recipes).items()
    ]
    if study:
        handles.append(
            Patch(facecolor=_STUDY.light, edgecolor=_STUDY.colour, label="original study, estimated from its figure")
        )
    figure.legend(handles=handles, loc="outside upper center", ncols=3, handleheight=1.2)
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
                "Activation gained by every living filter, on its recipe's own scale of inputs",
                1.3,
                "activation gain",
                draw=lambda axes: _boxes(axes, recipes, lambda each: each.living_gain),
                scale=lambda axes: _scale_gains(axes, gains),
            )
        ]
        * (len(gains) > 0),
        *[
            _Panel(
                "Rank of every living filter's image among its layer's (1: none excites the filter more)",
                0.8,
                "rank",
                draw=lambda axes: _boxes(axes, recipes, lambda each: each.living_rank),
                scale=lambda axes: log_scale(axes, ranks, least=1),
            )
        ]
        * bool((ranks > 1).any()),
        _Panel(
            "Alive, and ranked first by its own filter" + (", no filter is dead" if no_dead else ""),
            0.8,
            "share in %",
            draw=lambda axes: _bars(axes, recipes, lambda each: each.ranked_first_share),
            scale=lambda axes: axes.set(ylim=(0, 118), yticks=[0, 25, 50, 75, 100]),
        ),
        *_dead_panel(recipes, study, "Dead", 0.9),
    ]


def _index_panel(recipes: Recipes, height: float) -> _Panel:
    return _Panel(
        "Uniformity index of every filter (line: median, box: quartiles, whiskers: 5% to 95%)",
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
        _bars(axes, recipes, lambda each: each.dead_share, of_study)

    highest = max(5, 118 * max(shares + of_study))
    if not any(shares + of_study):
        return []
    return [_Panel(title, height, "share in %", draw, lambda axes: axes.set_ylim(0, highest))]


def _label_layers(axes: Axes, names: Sequence[str]) -> None:
    """Name the layers on the x axis: all of them, or as many as fit, evenly spaced."""
    if len(names) <= 16:
        axes.set_xticks(range(len(names)), [name.replace("_", "_\n") for name in names])
    else:
        shown = range(0, len(names), -(-len(names) // 80))
        axes.set_xticks(shown, [names[place] for place in shown], rotation=90, fontsize=min(7.0, 400 / len(shown)))
    axes.set_xlim(-0.5, len(names) - 0.5)


def _places(recipes: Recipes, more: int = 0) -> Iterator[tuple[RecipeStyle, Sequence[LayerMeasures], Numbers, float]]:
    """For each recipe its style, its layers, where they stand on the x axis, and how wide a box or bar may be there.

    more: for how many others there must be room behind them.
    """
    layers = max(map(len, recipes.values()))
    width = 0.76 / max(len(recipes) + more, 2) * min(1.0, max(layers / 8, 0.3))
    for number, (style, found) in enumerate(zip(recipe_styles(recipes).values(), recipes.values(), strict=True)):
        places = np.arange(len(found)) + (number - (len(recipes) + more - 1) / 2) * width
        yield style, found, places.astype(np.float64), 0.82 * width


def _boxes(axes: Axes, recipes: Recipes, values: Callable[[LayerMeasures], Any]) -> None:
    """Draw median, quartiles, and whiskers from the 5th to the 95th percentile; values outside them are dots."""
    for style, found, places, width in _places(recipes):
        shown = [(place, values(each)) for place, each in zip(places, found, strict=True)]
        shown = [(place, each) for place, each in shown if each is not None and len(each)]
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


def _bars(axes: Axes, recipes: Recipes, share: Callable[[LayerMeasures], float | None], study: Sequence[float] = ()) -> None:
    """Draw shares as bars in percent, each with its number above, so that 0 and not known (?) look different; those of the
    original study, where given, beside them."""
    drawn: list[tuple[RecipeStyle, Numbers, Sequence[float | None]]] = []
    room = list(_places(recipes, len(study) > 0))
    drawn += [(style, places, [share(each) for each in found]) for style, found, places, _ in room]
    width = room[-1][-1]
    if study:
        drawn.append((_STUDY, drawn[-1][1] + width / 0.82, study))
    for style, places, values in drawn:
        size = min(7.0, 234 / (len(drawn) * len(places))) if len(places) <= 32 else 3.0
        for place, value in zip(places, values, strict=True):
            height = 100 * (value or 0.0)
            axes.bar(place, height, width, facecolor=style.light, edgecolor=style.colour, hatch=style.hatch, linewidth=0.7)
            axes.annotate(
                "?" if value is None else str(int(height + 0.5)),  # As the page rounds it.
                (place, height),
                (0, 1),
                textcoords="offset points",
                rotation=0 if len(places) <= 32 else 90,
                fontsize=size,
                ha="center",
                va="bottom",
                color=style.colour,
                zorder=4,
                path_effects=[withStroke(linewidth=1.5, foreground="white")],
            )


def _scale_gains(axes: Axes, gains: Numbers) -> None:
    """A logarithmic y axis where every gain is positive; else linear around 0, up to the positive ones' 5th percentile."""
    positive = gains[gains > 0]
    if len(positive) == len(gains) > 0:
        axes.set_yscale("log")
    elif len(positive):
        axes.autoscale_view()  # Limits with the margins of a linear axis, chosen before the scale changes.
        axes.set_yscale("symlog", linthresh=float(np.percentile(positive, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
