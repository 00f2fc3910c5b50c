"""What every executor has to offer: it runs tasks, of which it knows the load, in processes that each have one worker.

An executor knows nothing of images. The caller says what a worker is, which tasks there are, and what is done with a task.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

Task = TypeVar("Task", bound=Hashable)
Result = TypeVar("Result")
Check = Callable[[], None]
"""Called by a task now and then; raises Stopped once the task is no longer wanted."""


@dataclass(frozen=True)
class Load:
    """What an executor knows of a task."""

    name: str
    """What messages call it."""
    group: Hashable
    """Tasks of the same group use the same compiled programs."""
    cost: float
    """How long it takes, in any unit that is the same for all tasks."""


class Worker(Protocol):
    """What the tasks that run in one process share, such as compiled programs. Each process makes its own."""

    threads: int
    """How many tasks it runs at the same time."""


class Executor(Protocol):
    """Runs tasks, in this process or in others."""

    def first(self, ask: Callable[[int], Result]) -> Result:
        """Call `ask` in the processes, with the number of threads there, and return the answer that comes first."""

    def open(self, make_worker: Callable[[int], Worker]) -> None:
        """Have every process make its worker, from the number of threads there. All later tasks run with these workers."""

    def run(self, tasks: Mapping[Task, Load], work: Callable[[Any, Task, Check], Result]) -> Iterator[tuple[Task, Result]]:
        """Call `work(worker, task, check)` for every task; yield each task with its result once it has finished.

        The first error that a task raises is raised here and ends the others.
        """


class Stopped(Exception):
    """Raised inside a task by its check when the executor is about to stop."""
