"""Engines: where tasks run. Here the default: threads of this process, one program on one thread each.

An engine knows nothing of images. It has processes, each with a *site*, what tasks need from one to the next; tasks, of which
it knows their load; and the work that is done with each of them at a site.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from amaxds.builds.executors.base import Check, Load, Result, Site, Stopped, Task


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
