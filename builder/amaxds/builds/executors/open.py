"""The executor that the options of a command name."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from amaxds.builds.executors.base import Engine
from amaxds.builds.executors.local import Local
from amaxds.compute.machine import cores
from amaxds.errors import UsageError

ENGINES = ("local", "ray")


@contextlib.contextmanager
def open_engine(name: str, workers: int | None = None, address: str | None = None) -> Iterator[Engine]:
    """The engine that the options of `amaxds build` describe; what it started ends with the context."""
    if name not in ENGINES:
        raise UsageError(f"unknown engine {name!r}.", f"Choose from {', '.join(ENGINES)}.")
    if name == "ray":
        from amaxds.builds.executors.ray import Cluster

        with Cluster(address, workers) as cluster:
            yield cluster
    elif address is not None:
        raise UsageError(f"--address {address!r} is of a Ray cluster.", "Say --engine ray too, or leave it out.")
    else:
        yield Local(workers or cores())
