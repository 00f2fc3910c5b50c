"""Engines: where units run. So far one: threads of this process, one program on one thread each."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")
Check = Callable[[], None]


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
