"""The style of all figures: sizes for print at the width of a page, 180 mm, or of a column, 85 mm, colours, and how each recipe
is drawn.

The colours are those of Okabe and Ito (jfly.uni-koeln.de/color), which colour-blind readers can tell apart. Nothing is
told by colour alone: recipes differ in hatch, line and marker too.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from amaxds.analysis.measures import Numbers

WIDTH, COLUMN = 180 / 25.4, 85 / 25.4
"""In inches."""
_BLOCK = re.compile(r"block(\d+)_conv(\d+)")
BLUE, VERMILLION, GREEN, PURPLE, BLACK = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000"
_STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],  # The later ones for SVG, where the first is not installed.
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
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}


@dataclass(frozen=True)
class RecipeStyle:
    """How one recipe is drawn in figures that show several recipes side by side."""

    colour: str
    """Of lines, edges and markers."""
    light: str
    """Of areas: a light shade of the same colour."""
    hatch: str
    line: Any
    """Matplotlib's linestyle."""
    marker: str


RECIPE_STYLES = {
    "original": RecipeStyle(VERMILLION, "#F6D5BF", "//////", "--", "s"),
    "clear": RecipeStyle(BLUE, "#BFDCEC", "", "-", "o"),
    "described": RecipeStyle(GREEN, "#BFE7DC", "......", "-.", "^"),
}
"""Recipe -> the style that is reserved for it. `recipe_styles` gives every other recipe a style of its own."""
_SPARE_COLOURS = ((PURPLE, "#F2DDE9"), ("#E69F00", "#F9E7BF"), ("#56B4E9", "#D5ECF9"))
_SPARE_HATCHES = ("\\" * 6, "xxxxxx", "------", "||||||", "oooooo")
_SPARE_LINES: Any = ((0, (1, 1)), (0, (6, 2, 1, 2, 1, 2)))
_SPARE_MARKERS = ("D", "v", "P", "X", "<", ">", "*")


def recipe_styles(recipes: Iterable[str]) -> dict[str, RecipeStyle]:
    """The style of each recipe, all of them different.

    Recipes without a reserved style take spare ones in the order given: 210 combinations of colour, hatch, line and marker
    before the first comes again, as the numbers of each have no common divisor.
    """
    spare = (_spare_style(number) for number in itertools.count())
    return {recipe: RECIPE_STYLES.get(recipe) or next(spare) for recipe in recipes}


def _spare_style(number: int) -> RecipeStyle:
    colour, light = _SPARE_COLOURS[number % len(_SPARE_COLOURS)]
    hatch, line, marker = (each[number % len(each)] for each in (_SPARE_HATCHES, _SPARE_LINES, _SPARE_MARKERS))
    return RecipeStyle(colour, light, hatch, line, marker)


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """A context in which figures are drawn in this style, whatever the user's matplotlibrc says: it would change the bytes."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def figure_files(name: str, figure: Figure) -> Iterator[tuple[str, bytes]]:
    """The figure as PNG of 300 dots per inch, SVG and PDF, each as (file name, bytes), with no date or software name inside.

    Text is text in SVG and PDF.
    """
    for kind, without in (
        ("png", ("Software",)),
        ("svg", ("Date", "Creator")),
        ("pdf", ("CreationDate", "Creator", "Producer")),
    ):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, dpi=300, metadata=dict.fromkeys(without))
        figure.set_layout_engine("none")  # It stays as it was laid out for the first form.
        yield f"{name}.{kind}", buffer.getvalue()


def log_scale(panel: Axes, values: Numbers, least: float) -> None:
    """Give a panel a logarithmic y axis that holds the values, from `least` upwards, labelled in plain numbers."""
    panel.set_yscale("log")
    panel.set_ylim(max(values.min(), least) / 1.3, max(values.max(), least) * 1.3)
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if values.max() / max(values.min(), least) < 200 else (1,)))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.yaxis.set_minor_locator(NullLocator())


def short_names(layers: Sequence[str]) -> tuple[list[str], str]:
    """Names of layers for an axis, and its title: `5.3` for `block5_conv3` where all are called so, or the names themselves."""
    found = [_BLOCK.fullmatch(name) for name in layers]
    if not all(found):
        return list(layers), "layer"
    return [f"{each[1]}.{each[2]}" for each in found if each], "layer (block.convolution)"
