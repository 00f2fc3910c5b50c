"""Figures: the measures of a dataset, drawn for print at 180 mm width; the same numbers give the same bytes.

Colours are those of Okabe and Ito (jfly.uni-koeln.de/color), and nothing is told by colour alone.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from amaxds.measures import COLOURS, FREQUENCIES, LayerMeasures, Numbers

_WIDTH = 180 / 25.4
_BLUE, _VERMILLION, _GREEN, _PURPLE, _BLACK = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000"
_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "axes.linewidth": 0.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#E0E0E0",
    "grid.linewidth": 0.4,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.5,
    "ytick.major.width": 0.5,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "lines.linewidth": 0.9,
    "hatch.linewidth": 0.4,
    "figure.constrained_layout.use": True,
    "svg.hashsalt": "amaxds",
}


@dataclass(frozen=True)
class _Look:
    """How a recipe is drawn wherever recipes stand side by side."""

    colour: str
    light: str
    hatch: str
    line: str
    marker: str


_LOOKS = (
    _Look(_VERMILLION, "#F6D5BF", "//////", "--", "s"),
    _Look(_BLUE, "#BFDCEC", "", "-", "o"),
    _Look(_GREEN, "#BFE7DC", "......", "-.", "^"),
)
_RECIPES = {"original": _LOOKS[0], "clear": _LOOKS[1], "described": _LOOKS[2]}

Published = Mapping[str, Any] | None
ByLayer = Mapping[str, Sequence[LayerMeasures]]
"""Layer -> its measures under each recipe."""


def draw(layers: Sequence[LayerMeasures], published: Published) -> Iterator[tuple[str, bytes]]:
    """Every figure as (file name, bytes), each as PNG of 200 dots per inch and as SVG."""
    recipes: dict[str, list[LayerMeasures]] = {}
    by_layer: dict[str, list[LayerMeasures]] = {}
    for each in layers:
        recipes.setdefault(each.recipe, []).append(each)
        by_layer.setdefault(each.layer, []).append(each)
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # A matplotlibrc of the user's would change the bytes.
        matplotlib.rcParams.update(_STYLE)
        for recipe, found in recipes.items():
            yield from _files(f"index-{recipe}", _index(found, published))
            yield from _files(f"histograms-{recipe}", _histograms(found))
        yield from _files("depth", _depth(recipes, published))
        yield from _files("spectrum", _spectrum(by_layer))


def _files(name: str, figure: Figure) -> Iterator[tuple[str, bytes]]:
    for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": None})):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, dpi=200, metadata=metadata)
        yield f"{name}.{kind}", buffer.getvalue()


def _panels(names: Sequence[str], height: float, handles: Sequence[Any], x: str, y: str) -> tuple[Figure, list[Axes]]:
    """A figure with a panel per name on common scales, its legend in the free place of the last row, or below.

    height: of a row, in inches.
    """
    count = len(names)
    columns = count if count <= 3 else 3 if count in (5, 6, 9) else 4
    rows = -(-count // columns)
    free = rows * columns - count
    figure = Figure(figsize=(_WIDTH, rows * height + 0.45 + 0.25 * (not free)))
    grid = figure.add_gridspec(rows, columns)
    panels: list[Axes] = []
    for place in range(count):
        first = panels[0] if panels else None
        panel = figure.add_subplot(grid[divmod(place, columns)], sharey=first)
        panel.tick_params(labelleft=place % columns == 0)
        panels.append(panel)
    if free:
        corner = figure.add_subplot(grid[rows - 1, columns - free :])
        corner.set_axis_off()
        corner.legend(handles=handles, loc="center", handlelength=2.6, labelspacing=0.7).set_in_layout(False)
    else:
        figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 4), handlelength=2.6)
    figure.supxlabel(x, fontsize=7)
    figure.supylabel(y, fontsize=7)
    return figure, panels


def _index(layers: Sequence[LayerMeasures], published: Published) -> Figure:
    """Uniformity index of every filter, a panel per layer."""
    handles = [
        Line2D([], [], color=_BLUE, marker="o", markersize=2.5, linestyle="", label="filter"),
        Line2D([], [], color=_VERMILLION, marker="x", markersize=3.5, linestyle="", label="dead filter: starting noise"),
        Line2D([], [], color=_BLACK, label="mean of all filters of the layer"),
    ]
    if published:
        handles.append(Line2D([], [], color=_PURPLE, linestyle="--", label="mean published by the original study"))
    names = [each.layer for each in layers]
    figure, panels = _panels(names, 1.45, handles, "filter", "uniformity index (0: uniform histograms, 1: constant image)")
    for panel, each in zip(panels, layers, strict=True):
        size = 2.5 if len(each.filters) <= 128 else 1.5
        for kept, colour, marker, width in ((each.alive, _BLUE, "o", 0.0), (~each.alive, _VERMILLION, "x", 0.6)):
            panel.plot(
                each.filters[kept],
                each.index[kept],
                color=colour,
                marker=marker,
                markersize=size + width,
                markeredgewidth=width,
                linestyle="",
                clip_on=False,
                in_layout=False,
            )
        panel.axhline(each.mean_index, color=_BLACK)
        known = f"mean {each.mean_index:.3f}"
        if published:
            value = published["mean_index"][each.layer]
            panel.axhline(value, color=_PURPLE, linestyle="--")
            known += f" (published {value:.2f})"
        panel.set_title(f"{each.layer}\n{known}\n{each.dead} of {len(each.filters)} dead", linespacing=1.15)
        panel.set_ylim(0, 1)
        panel.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    figure.suptitle(f"Uniformity index of every filter, recipe {layers[0].recipe}", fontsize=8)
    return figure


def _histograms(layers: Sequence[LayerMeasures]) -> Figure:
    """Mean histogram per layer and colour: thin every level, thick means over eight, for the combs of stretched images."""
    looks = dict(zip(COLOURS, ((_VERMILLION, "-"), (_GREEN, (0, (4, 1))), (_BLUE, (0, (1, 0.8)))), strict=True))
    handles = [Line2D([], [], color=colour, linestyle=line, label=name) for name, (colour, line) in looks.items()]
    handles.append(Line2D([], [], color=_BLACK, linestyle=(0, (6, 3)), linewidth=0.7, label="uniform (1/256)"))
    names = [each.layer for each in layers]
    figure, panels = _panels(
        names, 1.35, handles, "level, 0 to 255", "share of the pixels at a level, in % (thin: every level, thick: means over 8)"
    )
    for panel, each in zip(panels, layers, strict=True):
        for shares, (colour, line) in zip(each.histogram, looks.values(), strict=True):
            panel.plot(np.arange(256), 100 * shares, color=colour, linewidth=0.4, alpha=0.35)
            panel.plot(np.arange(3.5, 256, 8), 100 * shares.reshape(32, 8).mean(axis=1), color=colour, linestyle=line)
        panel.axhline(100 / 256, color=_BLACK, linestyle=(0, (6, 3)), linewidth=0.7)
        panel.set_title(f"{each.layer}\n{_averaged(each)}", linespacing=1.15)
        panel.set_xlim(0, 255)
        panel.set_xticks([0, 64, 128, 192, 255])
    shown = np.concatenate([each.histogram.ravel() for each in layers])
    _log(panels[0], 100 * shown[shown > 0], least=100 / 256 / 50)
    figure.suptitle(f"Mean histograms of the images of each layer, recipe {layers[0].recipe}", fontsize=8)
    return figure


def _averaged(each: LayerMeasures) -> str:
    count = int((each.alive == (each.averaged == "alive")).sum())
    return f"{count} {'living' if each.averaged == 'alive' else 'dead'} filter{'s' * (count != 1)}"


def _log(panel: Axes, values: Numbers, least: float) -> None:
    """A logarithmic scale on which the values are seen, those below `least` at its foot, labelled in plain numbers."""
    panel.set_yscale("log")
    panel.set_ylim(max(values.min(), least) / 1.3, max(values.max(), least) * 1.3)
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if values.max() / max(values.min(), least) < 200 else (1,)))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.yaxis.set_minor_locator(NullLocator())


def _spectrum(by_layer: ByLayer) -> Figure:
    """Mean power spectrum per layer, the recipes together."""
    recipes = list(dict.fromkeys(each.recipe for found in by_layer.values() for each in found))
    handles = [
        Line2D([], [], color=look.colour, linestyle=look.line, marker=look.marker, markersize=3, label=f"recipe {recipe}")
        for recipe, look in ((recipe, _RECIPES[recipe]) for recipe in recipes)
    ]
    figure, panels = _panels(
        list(by_layer),
        1.35,
        handles,
        "spatial frequency in cycles per pixel",
        "power, mean over images, channels and directions",
    )
    for panel, (layer, found) in zip(panels, by_layer.items(), strict=True):
        for each in found:
            look, known = _RECIPES[each.recipe], np.isfinite(each.spectrum) & (each.spectrum > 0)
            panel.plot(
                FREQUENCIES[known],
                each.spectrum[known],
                color=look.colour,
                linestyle=look.line,
                marker=look.marker,
                markersize=2.5,
                markevery=4,
            )
        panel.set_title(layer)
        panel.set_xlim(0, 0.5)
        panel.set_yscale("log")
    figure.suptitle("Power spectrum of the images of each layer", fontsize=8)
    return figure


def _depth(recipes: Mapping[str, Sequence[LayerMeasures]], published: Published) -> Figure:
    """Index, gain, rank and shares over depth, the recipes side by side. What is known of no recipe has no panel."""
    every = [each for found in recipes.values() for each in found]
    names = [each.layer for each in next(iter(recipes.values()))]
    known = any(each.gain is not None for each in every)
    panels_of: list[Callable[[Axes], None]] = [lambda panel: _boxes(panel, recipes, lambda each: each.index)]
    titles = ["Uniformity index of every filter"]
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
    figure = Figure(figsize=(_WIDTH, 1.45 * count + 0.75))
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
        _log(panels[2], np.concatenate([[1.0], *ranks]), least=1)
        panels[1].set_ylabel("activation gain")
        panels[2].set_ylabel("rank")
        panels[3].set_ylabel("share in %")
        panels[3].set_ylim(0, 118)
        panels[3].set_yticks([0, 25, 50, 75, 100])
    shares = [each.dead_share for each in every]
    if published:
        values = [published["dead_share_estimated"][name] for name in names]
        panels[-1].plot(100 * np.array(values), color=_BLACK, marker="D", markersize=3, linestyle=":", zorder=3)
        shares += values
    panels[-1].set_ylabel("share in %")
    panels[-1].set_ylim(0, max(5, 118 * max(shares)))
    panels[-1].set_xticks(range(len(names)), [name.replace("_", "_\n") for name in names])
    panels[-1].set_xlim(-0.5, len(names) - 0.5)
    looks = {recipe: _RECIPES[recipe] for recipe in recipes}
    handles: list[Any] = [
        Patch(facecolor=look.light, edgecolor=look.colour, hatch=look.hatch, label=f"recipe {recipe}")
        for recipe, look in looks.items()
    ]
    if published:
        label = "original study, estimated from its figure"
        handles.append(Line2D([], [], color=_BLACK, marker="D", markersize=3, linestyle=":", label=label))
    figure.legend(handles=handles, loc="outside upper center", ncols=3, handleheight=1.2)
    return figure


def _places(recipes: Mapping[str, Sequence[LayerMeasures]]) -> Iterator[tuple[_Look, Sequence[LayerMeasures], Numbers, float]]:
    """Each recipe with its places on the axis of layers, and how wide what stands there may be."""
    width = float(0.76 / max(len(recipes), 2))
    for number, (recipe, found) in enumerate(recipes.items()):
        places = np.arange(len(found)) + (number - (len(recipes) - 1) / 2) * width
        yield _RECIPES[recipe], found, places.astype(np.float64), 0.82 * width


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
            medianprops={"color": _BLACK, "linewidth": 1.2},
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
                ha="center",
                va="bottom",
                color=look.colour,
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
