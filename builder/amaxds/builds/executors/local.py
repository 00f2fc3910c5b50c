"""The default executor: threads of this process, which each run one compiled program at a time."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from amaxds.builds.executors.base import Check, Load, Result, Stopped, Task, Worker


def run_local(tasks: Iterable[Task], work: Callable[[Task, Check], Result], threads: int) -> Iterator[tuple[Task, Result]]:
    """Start the tasks in their order on that many threads; yield each with its result once it has finished.

    An error in a task, an interrupt, or closing the iterator stops the other tasks at their next check. When the iterator has
    ended, no task is running any more.
    """
    stop = threading.Event()

    def check() -> None:
        if stop.is_set():
            raise Stopped

    waiting = iter(tasks)
    running: dict[Future[Result], Task] = {}
    pool = ThreadPoolExecutor(threads, thread_name_prefix="amaxds")
    try:
        while True:
            for task in waiting:
                running[pool.submit(work, task, check)] = task
                if len(running) == 2 * threads:
                    break
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


class LocalExecutor:
    """Runs tasks on threads of this process, which share one worker. threads: how many."""

    def __init__(self, threads: int) -> None:
        self._threads = threads

    def first(self, ask: Callable[[int], Result]) -> Result:
        """What `ask` answers in this process."""
        return ask(self._threads)

    def open(self, make_worker: Callable[[int], Worker]) -> None:
        """Make the worker of this process."""
        self._worker = make_worker(self._threads)

    def run(self, tasks: Mapping[Task, Load], work: Callable[[Any, Task, Check], Result]) -> Iterator[tuple[Task, Result]]:
        """Yield each task with its result, as every executor does."""
        worker = self._worker
        return run_local(_interleaved(tasks, worker.threads), lambda task, check: work(worker, task, check), worker.threads)


def _interleaved(tasks: Mapping[Task, Load], threads: int) -> Iterator[Task]:
    """The tasks with as many groups in turn as there are threads, so that the threads compile different programs at first."""
    groups = [list(group) for _, group in itertools.groupby(tasks, key=lambda task: tasks[task].group)]
    for first in range(0, len(groups), threads):
        for turn in itertools.zip_longest(*groups[first : first + threads]):
            yield from (task for task in turn if task is not None)
