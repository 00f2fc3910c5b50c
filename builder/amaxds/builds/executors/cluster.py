"""A Ray cluster as the driver, the process that runs the build, sees it: it is joined or started, and has places for actors."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from amaxds.compute.machine import PACKAGES, cores
from amaxds.errors import AmaxdsError, UsageError, in_words

_GPU_THREADS = 2
_STORE_BYTES = 512 << 20


@dataclass(frozen=True)
class Patience:
    """How many seconds the driver waits before it looks again, says that it waits, or gives up."""

    look: float = 2.0
    """From one look at which nodes there are to the next."""
    answer: float = 0.5
    """For an answer of any actor before other things have their turn, and from one try to reach the head to the next."""
    head: float = 10.0
    """For the head of the cluster to come back before the build ends with an error."""
    silence: float = 60.0
    """Without an answer, while no actor is ready, before a message says that the build is waiting."""


@dataclass(frozen=True)
class Place:
    """Where an actor can run: a node, or one GPU of a node."""

    node: str
    """Ray's identifier of the node."""
    number: int
    """Of the GPU on its node; 0 where a whole node is the place."""
    name: str
    """What messages call the node."""
    threads: int
    gpus: int


class Cluster:
    """A Ray cluster, joined or started by `start`, and left or stopped by `close`.

    address: `auto` or `ip:port` of the running cluster to join; without one, a cluster of this machine alone is started.
    threads: of an actor, by default as many as its node has CPUs. UsageError for an address that is none, and where Ray is
    not installed.
    """

    def __init__(self, address: str | None, threads: int | None, patience: Patience) -> None:
        if address is not None and not re.fullmatch(r"auto|[^/\s]+:\d{1,5}", address):
            raise UsageError(f"address {address!r} is not that of a cluster.", "On a node of it, give auto or ip:port.")
        self._address, self._threads, self._patience = address, threads, patience
        self.ray = _import_ray()
        self._silenced = contextlib.ExitStack()
        self._head: str | None = None
        """The address of the head; None until the cluster is started."""
        self._on_gpus: bool | None = None

    def start(self) -> None:
        """Join or start the cluster, unless that is done already. AmaxdsError where that fails."""
        if self._head is not None:
            return
        if self._address is not None and self._address != "auto":
            self._require_head(self._address, give_up_after=0)
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        # Ray prints its opinion of a lost actor on standard output, and has no setting against that.
        self._silenced.enter_context(contextlib.redirect_stdout(io.StringIO()))
        options: dict[str, Any] = {"address": self._address}
        if self._address is None:
            options = {"address": "local", "num_cpus": self._threads or cores(), "object_store_memory": _STORE_BYTES}
            options |= {"include_dashboard": False}
        try:
            # Ray has its workers import first from the folder in which it is started: from one without modules, so that neither
            # what lies in the user's folder is run, nor this machine's libraries stand before those of a node.
            with _kept_signals(), contextlib.chdir(PACKAGES / "amaxds" / "data"):
                self.ray.init(log_to_driver=False, logging_level=logging.CRITICAL, **options)
        except (OSError, RuntimeError, ValueError) as error:
            raise AmaxdsError(
                f"Ray cannot be started, or joined at {self._address!r}: {in_words(error)}.",
                "Start a cluster with `ray start --head`, or leave out the address (--address) to use this machine alone.",
            ) from error
        self._head = self.ray.get_runtime_context().gcs_address

    def close(self) -> None:
        """Leave the cluster, or stop it if it was started here."""
        if self._head is not None:
            self.ray.shutdown()
        self._silenced.close()

    def places(self) -> Iterator[Place]:
        """Every GPU of the nodes that are up or, if no node had one when the cluster was first seen, every node with a CPU.

        AmaxdsError where the head does not answer.
        """
        nodes = self._nodes()
        if self._on_gpus is None:
            self._on_gpus = any(node["Resources"].get("GPU", 0) >= 1 for node in nodes)
        for node in nodes:
            name = f"{node['NodeManagerHostname']} ({node['NodeID'][:8]})"
            cpus = int(node["Resources"].get("CPU", 0))
            if self._on_gpus:
                for number in range(int(node["Resources"].get("GPU", 0))):
                    yield Place(node["NodeID"], number, name, min(self._threads or _GPU_THREADS, _GPU_THREADS), gpus=1)
            elif cpus:
                yield Place(node["NodeID"], 0, name, min(self._threads or cpus, cpus), gpus=0)

    def is_up(self, node: str) -> bool:
        """Whether the node is still there. AmaxdsError where the head does not answer."""
        return any(each["NodeID"] == node for each in self._nodes())

    def _nodes(self) -> list[dict[str, Any]]:
        """The nodes that are up, as Ray describes them."""
        assert self._head is not None
        self._require_head(self._head, self._patience.head)
        return [node for node in self.ray.nodes() if node["Alive"]]

    def _require_head(self, address: str, give_up_after: float) -> None:
        """AmaxdsError where the head cannot be reached for that many seconds.

        Without this check, the next call to Ray would wait for the head for a minute, and then end this process.
        """
        host, _, port = address.rpartition(":")
        until = time.monotonic() + give_up_after
        while True:
            try:
                socket.create_connection((host.strip("[]"), int(port)), timeout=self._patience.head).close()
                return
            except OSError as error:
                if time.monotonic() > until:
                    raise AmaxdsError(
                        f"the head of the Ray cluster, {address}, does not answer: {in_words(error)}.",
                        "What is finished is kept: run the same command again once it is there, to go on.",
                    ) from error
            time.sleep(self._patience.answer)


def _import_ray() -> Any:
    try:
        with _kept_signals():
            import ray
    except ImportError:
        raise UsageError(
            "engine 'ray' needs Ray, which is not installed.", "Install it with `python -m pip install 'amaxds[ray]'`."
        ) from None
    return ray


@contextlib.contextmanager
def _kept_signals() -> Iterator[None]:
    """Put this process's signal handlers back: Ray takes SIGTERM for itself when it is imported and when it starts."""
    numbers = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    kept = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
