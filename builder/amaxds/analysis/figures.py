"""The figures of a report, drawn from its measures for print. The same measures give the same bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from amaxds.analysis.depth_figure import draw_depth
from amaxds.analysis.figure_style import (
    BLACK,
    BLUE,
    COLUMN,
    GREEN,
    VERMILLION,
    WIDTH,
    figure_files,
    log_scale,
    recipe_styles,
    short_names,
    styled,
)
from amaxds.analysis.index_figure import draw_index
from amaxds.analysis.measures import COARSE_LEVELS, COLOURS, FREQUENCIES, LayerMeasures
from amaxds.analysis.study_values import StudyValues

_POWER = "power density in pixel²"
"""Of image values from 0 to 1."""


def draw(layers: Sequence[LayerMeasures], study: StudyValues | None) -> Iterator[tuple[str, bytes]]:
    """Every figure as PNG, SVG and PDF, each as (file name, bytes)."""
    recipes: dict[str, list[LayerMeasures]] = {}
    for each in layers:
        recipes.setdefault(each.recipe, []).append(each)
    with styled():
        yield from figure_files("index", draw_index(recipes, study))
        for recipe, found in recipes.items():
            yield from figure_files(f"histograms-{recipe}", _histograms(found))
        yield from figure_files("depth", draw_depth(recipes, study))
        yield from figure_files("spectrum", _spectrum(recipes))


def _panels(names: Sequence[str], height: float, handles: Sequence[Any], x: str, y: str) -> tuple[Figure, list[Axes]]:
    """A figure with a panel per name, all on the same scales.

    height: of a row of panels, in inches. x, y: labels of the axes. The legend goes where the last row has no panels, or into
    a row of its own where that is full.
    """
    count = len(names)
    columns = count if count <= 3 else 3 if count in (5, 6, 9) else 4
    rows = -(-count // columns)
    free = rows * columns - count
    lines = -(-len(handles) // 4)
    figure = Figure(figsize=(WIDTH, rows * height + (0.5 if free else 0.55 + 0.2 * lines)))
    grid = figure.add_gridspec(rows if free else rows + 1, columns, height_ratios=[1] * rows + [0.12 * lines] * (not free))
    panels: list[Axes] = []
    for place in range(count):
        panel = figure.add_subplot(grid[divmod(place, columns)], sharey=panels[0] if panels else None)
        panel.tick_params(labelleft=place % columns == 0)
        panels.append(panel)
    corner = figure.add_subplot(grid[-1, columns - free :] if free else grid[-1, :])
    corner.set_axis_off()
    legend = corner.legend(handles=handles, loc="center", handlelength=2.6, ncols=1 if free else 4, labelspacing=0.7)
    legend.set_in_layout(False)
    if free:
        figure.supxlabel(x, fontsize=7)
    else:
        for panel in panels[-columns:]:
            panel.set_xlabel(x)
    figure.supylabel(y, fontsize=7)
    return figure, panels


def _histograms(layers: Sequence[LayerMeasures]) -> Figure:
    """Mean histogram per layer and colour.

    Thin lines show every level. Thick lines show means over eight levels, because stretched images use only some levels, so
    that their histograms look like combs. Levels 0 and 255, where clipped values gather, are not in the means: they have
    markers of their own.
    """
    styles = dict(zip(COLOURS, ((VERMILLION, "-", "s"), (GREEN, (0, (4, 1)), "^"), (BLUE, (0, (1, 0.8)), "o")), strict=True))
    uniform: dict[str, Any] = {"color": BLACK, "linestyle": (0, (6, 3)), "linewidth": 0.7}
    hollow: dict[str, Any] = {"markersize": 2.8, "markerfacecolor": "none", "markeredgewidth": 0.6}
    handles = [
        Line2D([], [], color=colour, linestyle=line, marker=marker, label=name, **hollow)
        for name, (colour, line, marker) in styles.items()
    ]
    handles.append(Line2D([], [], label="uniform: 1/256", **uniform))
    names = [each.layer for each in layers]
    figure, panels = _panels(names, 1.35, handles, "level", "share of the pixels, in %")
    for panel, each in zip(panels, layers, strict=True):
        three = zip(100 * each.histogram, 100 * each.coarse_histogram, styles.values(), strict=True)
        for shares, coarse, (colour, line, marker) in three:
            panel.plot(np.arange(256), shares, color=colour, linewidth=0.4, alpha=0.35)
            panel.plot(COARSE_LEVELS, coarse, color=colour, linestyle=line)
            ends = [level for level in (0, 255) if shares[level] > 0]
            panel.plot(ends, shares[ends], color=colour, marker=marker, linestyle="", **hollow)
        panel.axhline(100 / 256, **uniform)
        panel.set_title(f"{each.layer}\n{_averaged(each)}", linespacing=1.15)
        panel.set_xlim(-6, 261)
        panel.set_xticks([0, 64, 128, 192, 255])
    shown = np.concatenate([each.histogram.ravel() for each in layers])
    log_scale(panels[0], 100 * shown[shown > 0], least=100 / 256 / 50)
    title = (
        f"Mean histograms, recipe {layers[0].recipe} (thin: every level, thick: means over 8 levels, markers: levels 0 and 255)"
    )
    figure.suptitle(title, fontsize=8)
    return figure


def _averaged(each: LayerMeasures) -> str:
    count = int((each.alive == (each.averaged == "alive")).sum())
    return f"{count} {'living' if each.averaged == 'alive' else 'dead'} filter{'s' * (count != 1)}"


def _spectrum(recipes: Mapping[str, Sequence[LayerMeasures]]) -> Figure:
    """Mean power spectrum of each layer, a panel for each recipe, at the width of a column. Light lines are early layers, dark
    ones late."""
    figure = Figure(figsize=(COLUMN, 1.45 * len(recipes) + 0.5))
    panels = figure.subplots(len(recipes), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    names, title = short_names([each.layer for each in next(iter(recipes.values()))])
    last = max(len(names) - 1, 1)
    shades = ScalarMappable(Normalize(-0.15 * last, last), colormaps["viridis_r"])  # Without its lightest yellows.
    for panel, (recipe, style), layers in zip(panels, recipe_styles(recipes).items(), recipes.values(), strict=True):
        for place, each in enumerate(layers):
            known = np.isfinite(each.spectrum) & (each.spectrum > 0)
            panel.plot(FREQUENCIES[known], each.spectrum[known], color=shades.to_rgba(np.asarray(place)), linewidth=0.8)
        panel.set_title(f"recipe {recipe}", color=style.colour)
        panel.set_xlim(0, 0.5)
    if any((each.spectrum > 0).any() for layers in recipes.values() for each in layers):  # Images of one colour have no power.
        panels[0].set_yscale("log")
    panels[-1].set_xlabel("spatial frequency in cycles per pixel")
    figure.supylabel(_POWER, fontsize=7)
    shown = sorted({round(share * (len(names) - 1)) for share in (0, 0.25, 0.5, 0.75, 1)})
    bar = figure.colorbar(shades, ax=list(panels), aspect=30 * len(recipes) / 2, pad=0.02)
    bar.ax.set_ylim(0, last)
    bar.set_ticks(shown, labels=[names[place] for place in shown])
    bar.set_label(title)
    bar.outline.set_linewidth(0.5)
    return figure
