"""Progress of a build or another command: a bar on a terminal or in a notebook, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

from amaxds.compute import apart
from amaxds.spec.plan import Unit

_WINDOW_SECONDS, _WINDOW_UNITS = 30.0, 10


@dataclass(frozen=True)
class BarState:
    """How a bar is to look, and the line that stands for it where there is none."""

    text: str
    done: int
    total: int
    rate: str = ""
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
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        if self._bar is None:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
            rate = TextColumn("{task.fields[rate]}")
            self._bar = Progress(*columns, rate, TimeRemainingColumn(), console=self._console, transient=True)
            self._bar.start()
            self._task = self._bar.add_task(state.text, total=state.total, rate=state.rate)
        self._bar.update(self._task, description=state.text, completed=state.done, total=state.total, rate=state.rate)

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
    return _in_notebook() or (sys.stderr is not None and sys.stderr.isatty())


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
    """Shows the progress of a build of so many images: a bar on a terminal, elsewhere one line for each unit.

    Use it as a context manager; the bar disappears at its end.
    """

    def __init__(self, images: int) -> None:
        self._screen = screen()
        self._images, self._done = images, 0
        self._recent: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])

    def __enter__(self) -> BuildProgress:
        self._screen.show(BarState("starting", 0, self._images))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._screen.hide()

    def kept(self, images: int) -> None:
        """So many images were finished by an earlier run."""
        self._done += images
        if images:
            self.say(f"{images} of {self._images} images are there already")
        self._screen.show(BarState("starting", self._done, self._images))

    def unit_done(self, unit: Unit) -> None:
        """The unit was finished just now."""
        self._done += len(unit.wanted)
        now = time.monotonic()
        self._recent.append((now, len(unit.wanted)))
        while len(self._recent) > _WINDOW_UNITS and now - self._recent[0][0] > _WINDOW_SECONDS:
            self._recent.popleft()
        rate = sum(images for _, images in list(self._recent)[1:]) / max(now - self._recent[0][0], 1e-3)
        done = f"filters {unit.wanted[0]}-{unit.wanted[-1]}: {self._done}/{self._images}, {rate:.1f} images/s"
        line = f"{unit.recipe.name} {unit.layer.name} {done}"
        self._screen.show(BarState(unit.layer.name, self._done, self._images, f"{rate:.1f} images/s", line))

    def stage(self, text: str) -> None:
        """Show what happens after the last unit, such as ranking."""
        self._screen.show(BarState(text, self._done, self._images, line=text))

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self._screen.say(text)


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
