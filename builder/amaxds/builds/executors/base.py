"""What every executor promises: tasks, their load, and the workers that run them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

Task = TypeVar("Task", bound=Hashable)
Result = TypeVar("Result")
Check = Callable[[], None]


@dataclass(frozen=True)
class Load:
    """What an engine knows of a task."""

    name: str
    """In messages."""
    group: Hashable
    """Tasks of one group run the same compiled programs."""
    cost: float
    """How long it takes, beside other tasks."""


class Site(Protocol):
    """What the tasks of one process share. Made anew in each."""

    threads: int
    """How many tasks run there at once."""


class Engine(Protocol):
    """Somewhere to run tasks."""

    def first(self, ask: Callable[[int], Result]) -> Result:
        """What the first process that is there answers; it is asked with the number of its threads."""

    def open(self, make_site: Callable[[int], Site]) -> None:
        """Have every process, with the number of its threads, make its site, for all that is run from now on."""

    def run(self, tasks: Mapping[Task, Load], work: Callable[[Any, Task, Check], Result]) -> Iterator[tuple[Task, Result]]:
        """Yield each task with the result of its work at some site, as it ends. The first error ends all."""


class Stopped(Exception):
    """Raised inside a task by its check once the engine is to stop."""
