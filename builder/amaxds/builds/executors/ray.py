"""The engine on Ray: one actor for each GPU of a cluster, or for each node where there are none, that keeps its site.

The driver, the process that runs the build, hands out tasks by their schedule; nothing else is central. Actors start when
nodes come, and their tasks are run again when they go. Ray itself restarts nothing: it would not know what to blame.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import logging
import os
import queue
import re
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from amaxds.builds.executors.base import Load, Result, Site, Task
from amaxds.builds.executors.scheduler import MOST_TRIES, Schedule
from amaxds.compute import environment
from amaxds.compute.machine import cores
from amaxds.errors import AmaxdsError, UsageError, in_words, printable

_LOOK_SECONDS = 2.0
"""Between two looks at which nodes there are."""
_WAIT_SECONDS = 0.5
_HEAD_SECONDS = 10.0
_SILENT_SECONDS = 60.0
_GPU_THREADS = 2
_STORE_BYTES = 512 << 20


class Actor:
    """What runs on the nodes: a process with its site."""

    def __init__(self, threads: int, variables: dict[str, str]) -> None:
        os.environ.update(variables)
        self._threads = threads

    def ask(self, question: Callable[[int], Any]) -> Any:
        return question(self._threads)

    def open(self, make_site: Callable[[int], Site]) -> int:
        """How many tasks run here at once, once the site is there."""
        self._site = make_site(self._threads)
        return self._site.threads

    def run(self, work: Callable[[Any, Any, Callable[[], None]], Any], task: Any) -> Any:
        return work(self._site, task, lambda: None)


@dataclass(frozen=True)
class _Place:
    """Where an actor can be: a node, or one of its GPUs."""

    node: str
    number: int
    name: str
    """The node's, in messages."""
    threads: int
    gpus: int


@dataclass(frozen=True, eq=False)
class _Greeting:
    """What every actor has to answer before it is given tasks."""

    send: Callable[[Any], Any]


@dataclass
class _Worker:
    """An actor, as the driver knows it."""

    place: _Place
    handle: Any
    slots: int = 0
    """How many tasks it runs at once; 0 until its site is open."""
    warm: set[Any] = field(default_factory=set)
    pending: dict[int, Any] = field(default_factory=dict)
    """What it was sent and has not answered, greetings and tasks, by number."""


class Cluster:
    """The engine. A context: what it started ends with it.

    address: of the running cluster to join; without one, a cluster of this machine alone is started. workers: threads of an
    actor, by default as many as its node has CPUs.
    """

    def __init__(self, address: str | None = None, workers: int | None = None) -> None:
        if address is not None and not re.fullmatch(r"auto|[^/\s]+:\d{1,5}", address):
            raise UsageError(f"--address {address!r} is not that of a cluster.", "On a node of it, give auto or ip:port.")
        self._address, self._threads = address, workers
        self._ray = _import_ray()
        self._started = False
        self._stack = contextlib.ExitStack()
        self._greeting: _Greeting | None = None
        self._workers: dict[_Place, _Worker] = {}
        self._numbers = itertools.count()
        self._answers: queue.SimpleQueue[tuple[_Worker, int, Future[Any]]] = queue.SimpleQueue()
        self._schedule: Schedule[Any] | None = None
        self._given_up: list[Any] = []
        self._refused: dict[str, Exception] = {}
        """Nodes that are not used, and why."""
        self._opened = False
        """Whether any actor ever had its site."""
        self._deaths: Counter[str] = Counter()
        """Of a node's actors, since one of them last ended a task."""
        self._on_gpus: bool | None = None
        self._looked = self._heard = time.monotonic()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._started:
            for worker in self._workers.values():
                self._ray.kill(worker.handle)
            self._ray.shutdown()
        self._stack.close()

    def first(self, ask: Callable[[int], Result]) -> Result:
        self._greet(lambda handle: handle.ask.remote(ask))
        while True:
            found = self._next_answer()
            if found is not None and found[1] is self._greeting:
                answer: Result = found[2]
                return answer

    def open(self, make_site: Callable[[int], Site]) -> None:
        self._start()
        site = self._ray.put(make_site)  # Once, however many nodes there are: the weights are in it.
        self._greet(lambda handle: handle.open.remote(site))

    def run(self, tasks: Mapping[Task, Load], work: Callable[[Any, Task, Any], Result]) -> Iterator[tuple[Task, Result]]:
        """As every engine; AmaxdsError at the end where tasks are missing that ended their workers."""
        self._given_up = []
        schedule = self._schedule = Schedule(tasks)
        for worker in self._workers.values():
            if worker.slots:
                schedule.join(worker.place, worker.place.node, worker.warm)
        while schedule.left:
            for worker in self._workers.values():
                while len(worker.pending) < worker.slots and (task := schedule.take(worker.place)) is not None:
                    self._send(worker, task, worker.handle.run.remote(work, task))
            found = self._next_answer()
            if found is None:
                continue
            worker, task, answer = found
            if task is self._greeting:
                worker.slots, self._opened = answer, True
                schedule.join(worker.place, worker.place.node, worker.warm)
            elif not isinstance(task, _Greeting):
                self._deaths.pop(worker.place.node, None)
                schedule.done(worker.place, task)
                yield task, answer
        self._schedule = None
        if self._given_up:
            names = ", ".join(tasks[task].name for task in self._given_up)
            raise AmaxdsError(
                f"{len(self._given_up)} of {len(tasks)} units are missing; each was lost with {MOST_TRIES} workers: {names}.",
                "What is finished is kept: run the same command again to go on with them.",
            )

    def _start(self) -> None:
        """Start or join a cluster, quietly, and leave this process's signals as they are."""
        if self._started:
            return
        if self._address not in (None, "auto"):
            self._require_head(str(self._address), patience=0)
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        # It prints what it thinks of a lost worker on standard output, and has no setting for that.
        self._stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        how: dict[str, Any] = {"address": self._address}
        if self._address is None:
            how = {"address": "local", "num_cpus": self._threads or cores(), "object_store_memory": _STORE_BYTES}
            how |= {"include_dashboard": False}
        try:
            with _kept_signals():
                self._ray.init(log_to_driver=False, logging_level=logging.CRITICAL, **how)
        except (OSError, RuntimeError, ValueError) as error:
            raise AmaxdsError(
                f"Ray cannot be started, or joined at {self._address!r}: {in_words(error)}.",
                "Start a cluster with `ray start --head`, or leave --address out to use this machine alone.",
            ) from error
        self._started = True
        self._head: str = self._ray.get_runtime_context().gcs_address

    def _greet(self, send: Callable[[Any], Any]) -> None:
        """Have every actor answer this, those that are there and those that come."""
        self._start()
        self._greeting, self._heard = _Greeting(send), time.monotonic()
        for worker in self._workers.values():
            worker.slots = 0
            self._send(worker, self._greeting, send(worker.handle))
        self._look(now=True)

    def _look(self, now: bool = False) -> None:
        """Start actors where there are none."""
        if now or time.monotonic() - self._looked > _LOOK_SECONDS:
            self._require_head(self._head, _HEAD_SECONDS)
            for place in self._places():
                if place not in self._workers and place.node not in self._refused:
                    self._begin(place)
            self._looked = time.monotonic()

    @staticmethod
    def _require_head(address: str, patience: float) -> None:
        """AmaxdsError where the cluster's head has been away for a while. Asked for anything, Ray would wait a minute for it,
        and then end this process."""
        host, _, port = address.rpartition(":")
        until = time.monotonic() + patience
        while True:
            try:
                socket.create_connection((host.strip("[]"), int(port)), timeout=_HEAD_SECONDS).close()
                return
            except OSError as error:
                if time.monotonic() > until:
                    raise AmaxdsError(
                        f"the head of the Ray cluster, {address}, does not answer: {in_words(error)}.",
                        "What is finished is kept: run the same command again once it is there, to go on.",
                    ) from error
            time.sleep(_WAIT_SECONDS)

    def _places(self) -> Iterator[_Place]:
        """Every GPU of the nodes that are up; where no node had one when the cluster was first seen, every node with a CPU."""
        nodes = [node for node in self._ray.nodes() if node["Alive"]]
        if self._on_gpus is None:
            self._on_gpus = any(node["Resources"].get("GPU", 0) >= 1 for node in nodes)
        for node in nodes:
            name = f"{node['NodeManagerHostname']} ({node['NodeID'][:8]})"
            cpus = int(node["Resources"].get("CPU", 0))
            if self._on_gpus:
                for number in range(int(node["Resources"].get("GPU", 0))):
                    yield _Place(node["NodeID"], number, name, min(self._threads or _GPU_THREADS, _GPU_THREADS), gpus=1)
            elif cpus:
                yield _Place(node["NodeID"], 0, name, min(self._threads or cpus, cpus), gpus=0)

    def _begin(self, place: _Place) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        assert self._greeting is not None
        there = NodeAffinitySchedulingStrategy(place.node, soft=False)
        actor = self._ray.remote(Actor).options(
            scheduling_strategy=there,
            num_cpus=0 if place.gpus else place.threads,
            num_gpus=place.gpus,
            max_concurrency=place.threads,
        )
        worker = self._workers[place] = _Worker(place, actor.remote(place.threads, environment.variables()))
        self._send(worker, self._greeting, self._greeting.send(worker.handle))

    def _next_answer(self) -> tuple[_Worker, Any, Any] | None:
        """A worker, what it was sent, and what it answers; None where nothing is heard for a moment.

        An actor that fails to answer a greeting is refused; another one's error is raised.
        """
        self._look(now=not self._workers)
        if not self._workers:
            raise self._nobody_left()
        try:
            worker, number, answer = self._answers.get(timeout=_WAIT_SECONDS)
        except queue.Empty:
            self._say_if_silent()
            return None
        self._heard = time.monotonic()
        if self._workers.get(worker.place) is not worker:
            return None  # It was given up meanwhile.
        try:
            result = answer.result()
        except self._ray.exceptions.RayTaskError as error:
            if not isinstance(worker.pending[number], _Greeting):
                raise error.cause from error
            self._refuse(worker, error.cause)
            return None
        except self._ray.exceptions.RayError:
            self._lose(worker)
            return None
        return worker, worker.pending.pop(number), result

    def _send(self, worker: _Worker, sent: Any, reference: Any) -> None:
        """Have the answer put where `_next_answer` waits for it: it waits in Python, where a signal can reach it."""
        number = next(self._numbers)
        worker.pending[number] = sent
        reference.future().add_done_callback(lambda answer: self._answers.put((worker, number, answer)))

    def _refuse(self, worker: _Worker, reason: Exception) -> None:
        """Use the node no more, as it is not fit for this build."""
        for place in [place for place in self._workers if place.node == worker.place.node]:
            self._drop(self._workers[place])
        self._refused[worker.place.node] = reason
        _say(f"node {worker.place.name} is not used: {reason.problem if isinstance(reason, AmaxdsError) else in_words(reason)}")

    def _lose(self, worker: _Worker) -> None:
        """The actor has ended, or its node has. On a node that is still there, another one begins."""
        place = worker.place
        self._require_head(self._head, _HEAD_SECONDS)
        up = any(node["Alive"] for node in self._ray.nodes() if node["NodeID"] == place.node)
        lost = self._drop(worker, blamed=up)
        _say(f"node {place.name} {'lost its worker' if up else 'is gone'}; units to run again: {lost}")
        if not up:
            if self._schedule is not None:
                self._schedule.forgive(place.node)
            return
        self._deaths[place.node] += 1
        others = any(each.slots and each.place.node != place.node for each in self._workers.values())
        if self._deaths[place.node] >= MOST_TRIES and (others or not worker.slots):
            self._refuse(worker, AmaxdsError(f"{MOST_TRIES} workers ended there one after another.", "Look at its logs."))

    def _drop(self, worker: _Worker, blamed: bool = False) -> int:
        """Forget the actor, and have its tasks run again; how many these are."""
        del self._workers[worker.place]
        self._ray.kill(worker.handle)
        if self._schedule is not None and worker.slots:
            for task in self._schedule.leave(worker.place, blamed):
                self._given_up.append(task)
        return sum(not isinstance(sent, _Greeting) for sent in worker.pending.values())

    def _nobody_left(self) -> AmaxdsError:
        """Why there is no actor: for one that no build could have, its own reason."""
        remedy = "What is finished is kept: run the same command again once there are nodes, to go on."
        if self._opened:
            return AmaxdsError("no node is left to go on with.", remedy)
        for reason in self._refused.values():
            return (
                reason if isinstance(reason, AmaxdsError) else AmaxdsError(f"no node can be used: {in_words(reason)}", remedy)
            )
        return AmaxdsError("the cluster has no node with a CPU or a GPU.", remedy)

    def _say_if_silent(self) -> None:
        """A cluster may be busy with other work, or a node may take its time: whoever waits should know."""
        if time.monotonic() - self._heard > _SILENT_SECONDS and not any(worker.slots for worker in self._workers.values()):
            _say(f"waiting for {len(self._workers)} workers to begin; other work may hold the cluster")
            self._heard = time.monotonic()


def _say(text: str) -> None:
    print(f"amaxds: {printable(text)}", file=sys.stderr, flush=True)


def _import_ray() -> Any:
    try:
        with _kept_signals():
            import ray
    except ImportError:
        raise UsageError(
            "--engine ray needs Ray, which is not installed.", "Install it with `python -m pip install 'amaxds[ray]'`."
        ) from None
    return ray


@contextlib.contextmanager
def _kept_signals() -> Iterator[None]:
    """Ray takes SIGTERM for itself when it is imported and when it starts."""
    numbers = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    kept = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
