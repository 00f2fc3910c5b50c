"""Depth: the figure that follows index, gain, rank and dead filters through the layers, the recipes side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import NullLocator

from amaxds.analysis.figure_style import BLACK, LOOKS, WIDTH, Look, log_scale
from amaxds.analysis.measures import LayerMeasures, Numbers


def draw_depth(recipes: Mapping[str, Sequence[LayerMeasures]], published: Mapping[str, Any] | None) -> Figure:
    """Index, gain, rank and shares over depth, the recipes side by side. What is known of no recipe has no panel."""
    every = [each for found in recipes.values() for each in found]
    names = [each.layer for each in next(iter(recipes.values()))]
    known = any(each.gain is not None for each in every)
    panels_of: list[Callable[[Axes], None]] = [lambda panel: _boxes(panel, recipes, lambda each: each.index)]
    titles = ["Uniformity index of every filter (line: median, box: quartiles, whiskers: 5% to 95%)"]
    if known:
        panels_of += [
            lambda panel: _boxes(panel, recipes, lambda each: each.living_gain),
            lambda panel: _boxes(panel, recipes, lambda each: each.living_rank),
            lambda panel: _bars(panel, recipes, lambda each: each.ranked_first_share),
        ]
        titles += [
            "Activation gained by every living filter, on its recipe's own scale of inputs",
            "Rank of every living filter's image among its layer's (1: none excites the filter more)",
            "Alive, and ranked first by its own filter",
        ]
    panels_of.append(lambda panel: _bars(panel, recipes, lambda each: each.dead_share))
    titles.append("Dead" if known else "Dead (activations and ranks are not known)")
    count = len(titles)
    figure = Figure(figsize=(WIDTH, 1.45 * count + 0.75))
    heights = [1.3, 1.3, 0.8, 0.8, 0.9] if known else [1.0, 1.0]
    panels = list(figure.subplots(count, 1, sharex=True, height_ratios=heights))
    for letter, panel, title, fill in zip("abcde", panels, titles, panels_of, strict=False):
        fill(panel)
        panel.set_title(f"{letter}   {title}", loc="left")
        panel.grid(visible=False, axis="x")
    panels[0].set_ylim(0, 1)
    panels[0].set_ylabel("uniformity index")
    if known:
        _gain_scale(panels[1], [each.living_gain for each in every if each.living_gain is not None])
        ranks = [each.living_rank for each in every if each.living_rank is not None]
        log_scale(panels[2], np.concatenate([[1.0], *ranks]), least=1)
        panels[1].set_ylabel("activation gain")
        panels[2].set_ylabel("rank")
        panels[3].set_ylabel("share in %")
        panels[3].set_ylim(0, 118)
        panels[3].set_yticks([0, 25, 50, 75, 100])
    shares = [each.dead_share for each in every]
    if published:
        values = [published["dead_share_estimated"][name] for name in names]
        panels[-1].plot(100 * np.array(values), color=BLACK, marker="D", markersize=3, linestyle=":", zorder=3)
        shares += values
    panels[-1].set_ylabel("share in %")
    panels[-1].set_ylim(0, max(5, 118 * max(shares)))
    if len(names) <= 16:
        panels[-1].set_xticks(range(len(names)), [name.replace("_", "_\n") for name in names])
    else:  # No more than fit: every second or third, where there are very many.
        shown = range(0, len(names), -(-len(names) // 80))
        panels[-1].set_xticks(shown, [names[place] for place in shown], rotation=90, fontsize=min(7.0, 400 / len(shown)))
    panels[-1].set_xlim(-0.5, len(names) - 0.5)
    looks = {recipe: LOOKS[recipe] for recipe in recipes}
    handles: list[Any] = [
        Patch(facecolor=look.light, edgecolor=look.colour, hatch=look.hatch, label=f"recipe {recipe}")
        for recipe, look in looks.items()
    ]
    if published:
        label = "original study, estimated from its figure"
        handles.append(Line2D([], [], color=BLACK, marker="D", markersize=3, linestyle=":", label=label))
    figure.legend(handles=handles, loc="outside upper center", ncols=3, handleheight=1.2)
    return figure


def _places(recipes: Mapping[str, Sequence[LayerMeasures]]) -> Iterator[tuple[Look, Sequence[LayerMeasures], Numbers, float]]:
    """Each recipe with its places on the axis of layers, and how wide what stands there may be."""
    layers = max(map(len, recipes.values()))
    width = 0.76 / max(len(recipes), 2) * min(1.0, max(layers / 8, 0.3))
    for number, (recipe, found) in enumerate(recipes.items()):
        places = np.arange(len(found)) + (number - (len(recipes) - 1) / 2) * width
        yield LOOKS[recipe], found, places.astype(np.float64), 0.82 * width


def _boxes(panel: Axes, recipes: Mapping[str, Sequence[LayerMeasures]], values: Callable[[LayerMeasures], Any]) -> None:
    """Median, quartiles, and whiskers from the 5th to the 95th percentile; what lies outside as dots."""
    for look, found, places, width in _places(recipes):
        shown = [(place, values(each)) for place, each in zip(places, found, strict=True)]
        shown = [(place, each) for place, each in shown if each is not None and len(each)]
        panel.boxplot(
            [each for _, each in shown],
            positions=[place for place, _ in shown],
            widths=width,
            whis=(5, 95),
            patch_artist=True,
            manage_ticks=False,
            boxprops={"facecolor": look.light, "edgecolor": look.colour, "hatch": look.hatch, "linewidth": 0.7},
            medianprops={"color": BLACK, "linewidth": 1.2},
            whiskerprops={"color": look.colour, "linewidth": 0.7},
            capprops={"color": look.colour, "linewidth": 0.7},
            flierprops={"marker": look.marker, "markersize": 1.5, "markeredgewidth": 0, "markerfacecolor": look.colour},
        )


def _bars(panel: Axes, recipes: Mapping[str, Sequence[LayerMeasures]], share: Callable[[LayerMeasures], float | None]) -> None:
    """Bars in percent, each with its number, so that nothing and not known look different."""
    for look, found, places, width in _places(recipes):
        for place, each in zip(places, found, strict=True):
            value = share(each)
            height = 100 * (value or 0.0)
            panel.bar(place, height, width, facecolor=look.light, edgecolor=look.colour, hatch=look.hatch, linewidth=0.7)
            panel.annotate(
                "?" if value is None else f"{height:.0f}",
                (place, height),
                (0, 1),
                textcoords="offset points",
                rotation=0 if len(found) <= 32 else 90,
                fontsize=None if len(found) <= 32 else 3,
                ha="center",
                va="bottom",
                color=look.colour,
                zorder=4,
                path_effects=[withStroke(linewidth=1.5, foreground="white")],
            )


def _gain_scale(panel: Axes, gains: Sequence[Numbers]) -> None:
    """Logarithmic where every gain is positive, else linear around zero up to the 5th percentile of the positive ones."""
    every = np.concatenate(gains) if gains else np.zeros(0)
    positive = every[every > 0]
    if len(positive) == len(every) > 0:
        panel.set_yscale("log")
    elif len(positive):
        panel.set_yscale("symlog", linthresh=float(np.percentile(positive, 5)))
    panel.yaxis.set_minor_locator(NullLocator())
