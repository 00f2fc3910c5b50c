"""Choosing the executor that the options of a command ask for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from amaxds.builds.executors.base import Executor
from amaxds.builds.executors.cluster import Patience
from amaxds.builds.executors.local import LocalExecutor
from amaxds.builds.executors.ray import RayExecutor
from amaxds.compute.machine import cores
from amaxds.errors import UsageError

EXECUTORS = ("local", "ray")


@contextlib.contextmanager
def open_executor(
    name: str, workers: int | None = None, address: str | None = None, patience: Patience | None = None
) -> Iterator[Executor]:
    """The executor that the options --engine, --workers and --address of `amaxds build` ask for.

    What it started ends with the context. patience: the time-outs on a Ray cluster, where they are not to be the usual ones.
    UsageError for options that do not fit, and where Ray is asked for and not installed.
    """
    if name not in EXECUTORS:
        raise UsageError(f"unknown engine {name!r}.", f"Choose from {', '.join(EXECUTORS)}.")
    if name == "ray":
        with RayExecutor(address, workers, patience) as executor:
            yield executor
    elif address is not None:
        raise UsageError(
            f"address {address!r} is of a Ray cluster.", "Choose the engine ray, too (--engine ray), or leave it out."
        )
    else:
        yield LocalExecutor(workers or cores())
