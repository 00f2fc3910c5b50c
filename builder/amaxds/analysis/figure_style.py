"""Looks: how figures are drawn, for print at 180 mm width.

Colours are those of Okabe and Ito (jfly.uni-koeln.de/color), and nothing is told by colour alone.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from amaxds.analysis.measures import Numbers

WIDTH = 180 / 25.4
BLUE, VERMILLION, GREEN, PURPLE, BLACK = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000"
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
class Look:
    """How a recipe is drawn wherever recipes stand side by side."""

    colour: str
    light: str
    """The colour of its areas."""
    hatch: str
    line: str
    marker: str


LOOKS = {
    "original": Look(VERMILLION, "#F6D5BF", "//////", "--", "s"),
    "clear": Look(BLUE, "#BFDCEC", "", "-", "o"),
    "described": Look(GREEN, "#BFE7DC", "......", "-.", "^"),
}
"""Recipe -> its look."""


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """Within it, figures look alike whatever the user has set up: a matplotlibrc would change the bytes."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def figure_files(name: str, figure: Figure) -> Iterator[tuple[str, bytes]]:
    """A figure as (file name, bytes): PNG of 200 dots per inch, and SVG, without anything of when or by what it was made."""
    for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": None})):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, dpi=200, metadata=metadata)
        yield f"{name}.{kind}", buffer.getvalue()


def log_scale(panel: Axes, values: Numbers, least: float) -> None:
    """A logarithmic scale on which the values are seen, those below `least` at its foot, labelled in plain numbers."""
    panel.set_yscale("log")
    panel.set_ylim(max(values.min(), least) / 1.3, max(values.max(), least) * 1.3)
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if values.max() / max(values.min(), least) < 200 else (1,)))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.yaxis.set_minor_locator(NullLocator())
