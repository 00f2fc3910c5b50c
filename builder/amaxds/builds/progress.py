"""Progress of a build or another command: a bar on a terminal or in a notebook, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

from amaxds.builds.estimate import compilation_cost, unit_cost
from amaxds.compute import apart
from amaxds.spec.network import Network
from amaxds.spec.plan import Unit

_WINDOW_SECONDS, _WINDOW_UNITS = 30.0, 10
_WIDTH_OF_TEXT, _WIDTH_OF_RATE, _WIDTH_OF_TIME_LEFT = 21, 14, 13


@dataclass(frozen=True)
class BarState:
    """How a bar is to look, and the line that stands for it where there is none."""

    text: str
    done: int
    total: int
    rate: str = ""
    left: str = ""
    """How long it will take yet, such as `12 min left`."""
    line: str | None = None


class Screen(Protocol):
    """Where progress is shown."""

    def show(self, state: BarState) -> None:
        """Show the bar like this."""

    def hide(self) -> None:
        """Remove the bar."""

    def say(self, text: str) -> None:
        """Print a line that stays."""


class Plain:
    """Standard error that is no terminal, such as a file or a pipe: lines, no bar."""

    def show(self, state: BarState) -> None:
        if state.line is not None:
            self.say(state.line)

    def hide(self) -> None: ...

    def say(self, text: str) -> None:
        with contextlib.suppress(OSError):  # Nobody reads it any more, or its disk is full: the build goes on.
            print(text, file=sys.stderr, flush=True)


class Silent:
    """Nowhere."""

    def show(self, state: BarState) -> None: ...

    def hide(self) -> None: ...

    def say(self, text: str) -> None: ...


class Terminal:
    """Standard error that is a terminal."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)
        self._bar: Any = None

    def show(self, state: BarState) -> None:
        from rich.progress import Progress

        if self._bar is None:
            self._bar = Progress(*self._columns(state.total), console=self._console, transient=True)
            self._bar.start()
            self._task = self._bar.add_task(state.text, total=state.total, rate="", left="")
        fields = {"rate": state.rate, "left": state.left}
        self._bar.update(self._task, description=state.text, completed=state.done, total=state.total, **fields)

    def _columns(self, total: int) -> Iterator[Any]:
        """What there is room for. On a narrow terminal the bar is left out first, then the rate, then the elapsed time."""
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.table import Column

        room = self._console.width - 2 * len(str(total)) - 1 - _WIDTH_OF_TIME_LEFT - 2
        text = max(10, min(_WIDTH_OF_TEXT, room))
        yield TextColumn("{task.description}", table_column=Column(width=text, no_wrap=True, overflow="ellipsis"))
        elapsed, rate, bar = (room >= text + each for each in (8, 8 + _WIDTH_OF_RATE + 1, 8 + _WIDTH_OF_RATE + 1 + 11))
        if bar:
            yield BarColumn(None)
        yield MofNCompleteColumn(table_column=Column(no_wrap=True))
        if rate:
            yield TextColumn("{task.fields[rate]}", table_column=Column(width=_WIDTH_OF_RATE, no_wrap=True))
        if elapsed:
            yield TimeElapsedColumn(table_column=Column(no_wrap=True))
        yield TextColumn("{task.fields[left]}", table_column=Column(width=_WIDTH_OF_TIME_LEFT, no_wrap=True))

    def hide(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


class Notebook:
    """The output of a notebook's cell: a widget, or text where the notebook has no widgets."""

    def __init__(self) -> None:
        self._bar: Any = None

    def show(self, state: BarState) -> None:
        if self._bar is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # That it would be prettier with ipywidgets.
                from tqdm.auto import tqdm
            self._bar = tqdm(total=state.total, unit=" images", leave=False)
        self._bar.set_description(state.text, refresh=False)
        self._bar.set_postfix_str(state.left, refresh=False)
        self._bar.update(state.done - self._bar.n)
        self._bar.refresh()

    def hide(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def say(self, text: str) -> None:
        print(text)


class Elsewhere:
    """The screen of the process that called this one."""

    def __init__(self, send: Callable[[Any], None]) -> None:
        self._send = send

    def show(self, state: BarState) -> None:
        self._send(("show", state))

    def hide(self) -> None:
        self._send(("hide",))

    def say(self, text: str) -> None:
        self._send(("say", text))


def screen() -> Screen:
    """Where this process shows its progress. Whether there is a terminal is asked of the system: FORCE_COLOR makes none."""
    if (send := apart.caller()) is not None:
        return Elsewhere(send)
    if _in_notebook():
        return Notebook()
    if sys.stderr is None:
        return Silent()
    return Terminal() if has_bars() else Plain()


def has_bars() -> bool:
    """Whether this process can show a bar, which moves: on a terminal or in a notebook."""
    moves = os.environ.get("TERM") not in ("dumb", "unknown")
    return _in_notebook() or (is_terminal(sys.stderr) and moves)


def is_terminal(stream: Any) -> bool:
    """Whether a stream is a terminal: what programs put in the place of standard error need not know."""
    return bool(getattr(stream, "isatty", lambda: False)())


def _in_notebook() -> bool:
    """Whether this is the kernel of a notebook: of Jupyter, Colab, VS Code."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and "IPKernelApp" in shell.config


@contextlib.contextmanager
def shown(quiet: bool = False) -> Iterator[Callable[[Any], None]]:
    """A context that gives the function which shows what a process that runs apart has sent; its bar disappears at the end."""
    here: Screen = Silent() if quiet else screen()
    try:
        yield lambda message: getattr(here, message[0])(*message[1:])
    finally:
        here.hide()


class BuildProgress:
    """Shows how far a build is: a bar on a terminal, elsewhere one line for each unit.

    Use it as a context manager; the bar disappears at its end. units: those of the network that are still to be made. kept: how
    many images were finished by an earlier run.
    """

    def __init__(self, network: Network, units: Iterable[Unit], kept: int = 0) -> None:
        self._screen, units = screen(), list(units)
        self._done, self._images = kept, kept + sum(len(unit.wanted) for unit in units)
        self._costs, compiled = dict[Unit, float](), set[tuple[str, str]]()
        for unit in units:
            first = (key := (unit.recipe.name, unit.layer.name)) not in compiled
            self._costs[unit] = unit_cost(network, unit) + first * compilation_cost(network, unit.layer)
            compiled.add(key)
        self._work, self._work_done = sum(self._costs[unit] for unit in units), 0.0  # Several seeds have equal units.
        self._began = time.monotonic()
        self._recent: deque[tuple[float, int]] = deque([(self._began, 0)])

    def __enter__(self) -> BuildProgress:
        if self._done:
            self.say(f"{self._done} of {self._images} images are there already")
        self._screen.show(BarState("starting", self._done, self._images))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._screen.hide()

    def unit_done(self, unit: Unit) -> None:
        """The unit was finished just now."""
        self._done += len(unit.wanted)
        self._work_done += self._costs[unit]
        now = time.monotonic()
        self._recent.append((now, len(unit.wanted)))
        while len(self._recent) > _WINDOW_UNITS and now - self._recent[0][0] > _WINDOW_SECONDS:
            self._recent.popleft()
        rate = sum(images for _, images in list(self._recent)[1:]) / max(now - self._recent[0][0], 1e-3)
        left = f"{duration((now - self._began) * (self._work - self._work_done) / self._work_done)} left"
        text, per_second = f"{unit.recipe.name} {unit.layer.name}", f"{rate:.1f} images/s"
        done = f"filters {unit.wanted[0]}-{unit.wanted[-1]}: {self._done}/{self._images}, {per_second}, {left}"
        self._screen.show(BarState(text, self._done, self._images, per_second, left, f"{text} {done}"))

    def stage(self, text: str) -> None:
        """Show what happens after the last unit, such as ranking."""
        self._screen.show(BarState(text, self._done, self._images, line=text))

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self._screen.say(text)


def duration(seconds: float) -> str:
    """A time in the largest unit of which it has two, such as `95 s`, `12 min` or `2.5 days`."""
    return _in_unit_of(seconds, seconds)


def duration_range(least: float, most: float) -> str:
    """Two times in the unit of the longer one, such as `1.2 to 2.5 min`."""
    return f"{_in_unit_of(most, least).split()[0]} to {duration(most)}"


def _in_unit_of(other: float, seconds: float) -> str:
    units = ((86400, "days"), (3600, "h"), (60, "min"))
    unit, name = next((each for each in units if other >= 2 * each[0]), (1, "s"))
    return f"{seconds / unit:.{0 if seconds >= 10 * unit or name == 's' else 1}f} {name}"


@contextlib.contextmanager
def counting(text: str, images: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on a terminal, nothing elsewhere, while the context lasts. It gives a function to call with each number of
    images that were done."""
    here, done = screen(), 0

    def count(more: int) -> None:
        nonlocal done
        done += more
        here.show(BarState(text, done, images))

    here.show(BarState(text, 0, images))
    try:
        yield count
    finally:
        here.hide()
