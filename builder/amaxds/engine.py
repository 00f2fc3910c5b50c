"""Engines: where tasks run. Here the default: threads of this process, one program on one thread each.

An engine knows nothing of images. It has processes, each with a *site*, what tasks need from one to the next; tasks, of which
it knows their load; and the work that is done with each of them at a site.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from amaxds.errors import UsageError

Task = TypeVar("Task", bound=Hashable)
Result = TypeVar("Result")
Check = Callable[[], None]

ENGINES = ("local", "ray")


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


@contextlib.contextmanager
def open_engine(name: str, workers: int | None = None, address: str | None = None) -> Iterator[Engine]:
    """The engine that the options of `amaxds build` describe; what it started ends with the context."""
    if name not in ENGINES:
        raise UsageError(f"unknown engine {name!r}.", f"Choose from {', '.join(ENGINES)}.")
    if name == "ray":
        from amaxds.cluster import Cluster

        with Cluster(address, workers) as cluster:
            yield cluster
    elif address is not None:
        raise UsageError(f"--address {address!r} is of a Ray cluster.", "Say --engine ray too, or leave it out.")
    else:
        yield Local(workers or cores())


class Stopped(Exception):
    """Raised inside a task by its check once the engine is to stop."""


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_local(tasks: Iterable[Task], work: Callable[[Task, Check], Result], workers: int) -> Iterator[tuple[Task, Result]]:
    """Begin tasks in their order on that many threads; yield each with its result as it ends.

    The first error, an interrupt, or closing the iterator stops the others at their next check, and nothing runs on.
    """
    stop = threading.Event()

    def check() -> None:
        if stop.is_set():
            raise Stopped

    waiting = iter(tasks)
    running: dict[Future[Result], Task] = {}
    pool = ThreadPoolExecutor(workers, thread_name_prefix="amaxds")
    try:
        while True:
            for task in waiting:
                running[pool.submit(work, task, check)] = task
                if len(running) == 2 * workers:
                    break
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


class Local:
    """The engine on threads of this process, which share one site."""

    def __init__(self, workers: int) -> None:
        self._workers = workers

    def first(self, ask: Callable[[int], Result]) -> Result:
        return ask(self._workers)

    def open(self, make_site: Callable[[int], Site]) -> None:
        self._site = make_site(self._workers)

    def run(self, tasks: Mapping[Task, Load], work: Callable[[Any, Task, Check], Result]) -> Iterator[tuple[Task, Result]]:
        site = self._site
        return run_local(_interleaved(tasks, site.threads), lambda task, check: work(site, task, check), site.threads)


def _interleaved(tasks: Mapping[Task, Load], workers: int) -> Iterator[Task]:
    """The tasks of as many groups as there are workers in turn: so workers compile side by side, each something else."""
    groups = [list(group) for _, group in itertools.groupby(tasks, key=lambda task: tasks[task].group)]
    for first in range(0, len(groups), workers):
        for turn in itertools.zip_longest(*groups[first : first + workers]):
            yield from (task for task in turn if task is not None)
