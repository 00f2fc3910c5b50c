"""The confusion figure: which layer each model answers for the test images of each layer, with a panel per recipe and model."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from amaxds.analysis.figure_style import BLUE, WIDTH, figure_files, styled
from amaxds.analysis.score import Result

_SHADES = LinearSegmentedColormap.from_list("shares", ["#FFFFFF", BLUE])


def draw_confusion(results: Sequence[Result], layers: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """The figure as PNG and as SVG, each as (file name, bytes). It shows models trained on all images, judged on all."""
    shown = [each for each in results if each.trained_on == "all"]
    recipes, models = list(dict.fromkeys(each.recipe for each in shown)), list(dict.fromkeys(each.model for each in shown))
    columns = max(len(models), 2)
    with styled():
        figure = Figure(figsize=(WIDTH, ((WIDTH - 0.8) / columns + 0.25) * len(recipes) + 1.1))
        grid = figure.add_gridspec(len(recipes), columns)
        for each in shown:
            row, column = recipes.index(each.recipe), models.index(each.model)
            _panel(figure.add_subplot(grid[row, column]), each, layers, column == 0, row == len(recipes) - 1)
        figure.suptitle("Test images of each layer (row) by the layer answered (column); shade: share of the row", fontsize=8)
        yield from figure_files("confusion", figure)


def _panel(panel: Axes, result: Result, layers: Collection[str], first: bool, last: bool) -> None:
    judged = result.scores.get("all") or result.scores["living"]
    counts = np.array(judged.confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    panel.imshow(shares, cmap=_SHADES, vmin=0, vmax=1)
    for row, column in zip(*np.nonzero(counts), strict=True):
        colour = "white" if shares[row, column] > 0.5 else "black"
        panel.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour)
    panel.set_title(f"recipe {result.recipe}, {result.model}: {judged.accuracy:.2f} of {judged.images} right")
    panel.grid(visible=False)
    panel.set_xticks(range(len(layers)), layers if last else [], rotation=90)
    panel.set_yticks(range(len(layers)), layers if first else [])
