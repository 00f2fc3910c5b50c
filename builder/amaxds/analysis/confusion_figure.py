"""The confusion figure: which layer each model answers for the test images of each layer, with a panel per recipe and model."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from amaxds.analysis.figure_style import BLUE, WIDTH, figure_files, short_names, styled
from amaxds.analysis.score import Result

_SHADES = LinearSegmentedColormap.from_list("shares", ["#FFFFFF", BLUE])


def draw_confusion(results: Sequence[Result], layers: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """The figure in every format, each as (file name, bytes). It shows models trained on all images, judged on all."""
    shown = [each for each in results if each.trained_on == "all"]
    recipes, models = list(dict.fromkeys(each.recipe for each in shown)), list(dict.fromkeys(each.model for each in shown))
    columns = max(len(models), 2)
    with styled():
        figure = Figure(figsize=(WIDTH, ((WIDTH - 1.4) / columns + 0.25) * len(recipes) + 0.6))
        grid = figure.add_gridspec(len(recipes), columns)
        panels, shades = [], None
        for each in shown:
            row, column = recipes.index(each.recipe), models.index(each.model)
            panels.append(figure.add_subplot(grid[row, column]))
            shades = _panel(panels[-1], each, layers, columns, column == 0, row == len(recipes) - 1)
        if shades is not None:
            bar = figure.colorbar(shades, ax=panels, label="share of the layer's test images, in %", aspect=35, pad=0.02)
            bar.outline.set_linewidth(0.5)
        yield from figure_files("confusion", figure)


def _panel(panel: Axes, result: Result, layers: Collection[str], columns: int, first: bool, last: bool) -> AxesImage:
    judged = result.scores.get("all") or result.scores["living"]
    counts = np.array(judged.confusion)
    shares = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    drawn = panel.imshow(shares, cmap=_SHADES, vmin=0, vmax=100)
    size = min(7.0, 80 / len(layers))
    for row, column in zip(*np.nonzero(counts), strict=True):
        colour = "white" if shares[row, column] > 50 else "black"
        panel.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour, fontsize=size)
    panel.set_title(
        f"{result.recipe}, {result.model}: {judged.correct} of {judged.images} right ({100 * judged.accuracy:.0f} %)"
    )
    panel.grid(visible=False)
    names, axis = short_names(list(layers))
    # Side by side in narrow panels they would run into each other.
    turned = 0 if names != list(layers) and columns * len(layers) <= 30 else 90
    panel.set_xticks(range(len(layers)), names if last else [], rotation=turned, fontsize=size)
    panel.set_yticks(range(len(layers)), names if first else [], fontsize=size)
    panel.set_xlabel(f"answered {axis}" if last else "")
    panel.set_ylabel(f"true {axis}" if first else "")
    return drawn
