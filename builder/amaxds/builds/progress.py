"""Progress of a build or another command: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from amaxds.spec.plan import Unit

_WINDOW_SECONDS, _WINDOW_UNITS = 30.0, 10


class BuildProgress:
    """Shows the progress of a build of so many images: a bar on a terminal, elsewhere one line for each unit.

    Use it as a context manager; the bar disappears at its end.
    """

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
        """So many images were finished by an earlier run."""
        self._done += images
        if images:
            self.say(f"{images} of {self._images} images are there already")
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self._done)

    def unit_done(self, unit: Unit) -> None:
        """The unit was finished just now."""
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
        """Show what happens after the last unit, such as ranking."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=text)
        else:
            self._plain(text)

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self._plain(text)

    def _plain(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


@contextlib.contextmanager
def counting(text: str, images: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on a terminal, nothing elsewhere, while the context lasts. It gives a function to call with each number of
    images that were done."""
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(text, total=images)
        yield lambda count: bar.advance(task, count)
