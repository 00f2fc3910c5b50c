"""Progress: a bar on a terminal; of a build, one line per unit elsewhere, and the closing table."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from amaxds.spec.plan import Unit

if TYPE_CHECKING:
    pass


_WINDOW_SECONDS, _WINDOW_UNITS = 30.0, 10


class BuildProgress:
    """Shows units as they end. Use as a context manager; the bar goes away at its end."""

    def __init__(self, images: int, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._images, self._done = images, 0
        self._recent: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> BuildProgress:
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                console=self._console,
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task("starting", total=self._images, rate="")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def kept(self, images: int) -> None:
        """Images that an earlier run left finished."""
        self._done += images
        if images:
            self.say(f"{images} of {self._images} images are there already")
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self._done)

    def unit_done(self, unit: Unit) -> None:
        self._done += len(unit.wanted)
        now = time.monotonic()
        self._recent.append((now, len(unit.wanted)))
        while len(self._recent) > _WINDOW_UNITS and now - self._recent[0][0] > _WINDOW_SECONDS:
            self._recent.popleft()
        rate = sum(images for _, images in list(self._recent)[1:]) / max(now - self._recent[0][0], 1e-3)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self._done, description=unit.layer.name, rate=f"{rate:.1f} images/s")
        else:
            filters = f"filters {unit.wanted[0]}-{unit.wanted[-1]}"
            self._plain(f"{unit.recipe.name} {unit.layer.name} {filters}: {self._done}/{self._images}, {rate:.1f} images/s")

    def stage(self, text: str) -> None:
        """What is happening after the last unit: ranking, packaging, validating."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=text)
        else:
            self._plain(text)

    def say(self, text: str) -> None:
        """A line that stays."""
        self._plain(text)

    def _plain(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


@contextlib.contextmanager
def counting(text: str, images: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, nothing elsewhere, for as long as the context lasts; call what it gives with each count done."""
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(text, total=images)
        yield lambda count: bar.advance(task, count)
