"""The actors of a Ray cluster: how they are started, what they answer, and when they are refused or lost.

There is one actor for each place of the cluster. Actors are started when nodes come. When one ends and its node is still
there, the pool starts another; Ray itself restarts nothing, as it could not tell which task is to blame.
"""

from __future__ import annotations

import os
import queue
import sys
import time
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from amaxds.builds.executors.base import Check, Worker
from amaxds.builds.executors.cluster import Cluster, Patience, Place
from amaxds.builds.executors.scheduler import MOST_TRIES
from amaxds.compute import environment
from amaxds.errors import AmaxdsError, in_words, printable


class Actor:
    """What runs on the nodes: a process that makes its worker and runs tasks with it."""

    def __init__(self, threads: int, environment: dict[str, str]) -> None:
        os.environ.update(environment)
        self._threads = threads

    def ask(self, question: Callable[[int], Any]) -> Any:
        """The answer to a question about this process, which is asked with the number of its threads."""
        return question(self._threads)

    def open(self, make_worker: Callable[[int], Worker]) -> int:
        """Make the worker; returns how many tasks it runs at the same time."""
        self._worker = make_worker(self._threads)
        return self._worker.threads

    def run(self, work: Callable[[Any, Any, Check], Any], task: Any) -> Any:
        """The result of the task. Its check never stops it: the driver kills the actor instead."""
        return work(self._worker, task, lambda: None)


@dataclass(frozen=True, eq=False)
class _Question:
    """What every actor has to answer before it is given tasks."""

    send: Callable[[Any], Any]
    """Sends it to the actor with this handle; returns Ray's reference to the answer."""


@dataclass(eq=False)
class PooledActor:
    """An actor as the driver knows it."""

    place: Place
    handle: Any
    slots: int = 0
    """How many tasks it runs at the same time; 0 until its worker is made."""
    warm: set[Hashable] = field(default_factory=set)
    """The groups of tasks that it has compiled the programs for."""
    pending: dict[Any, Any] = field(default_factory=dict)
    """Questions and tasks that it was sent and has not answered, by Ray's reference to the answer."""


@dataclass(frozen=True)
class Answered:
    """An actor has answered the question that was asked last."""

    actor: PooledActor
    answer: Any


@dataclass(frozen=True)
class Finished:
    """An actor has finished a task."""

    actor: PooledActor
    task: Any
    result: Any


@dataclass(frozen=True)
class Lost:
    """An actor has left the pool, and what it was running has to be run again."""

    actor: PooledActor
    blamed: bool
    """Whether one of its tasks may have ended it."""


@dataclass(frozen=True)
class NodeGone:
    """A node has left the cluster."""

    node: str


Event = Answered | Finished | Lost | NodeGone


class ActorPool:
    """The actors of a cluster that is already started or is still to be."""

    def __init__(self, cluster: Cluster, patience: Patience) -> None:
        self._cluster, self._patience = cluster, patience
        self._actors: dict[Place, PooledActor] = {}
        self._question: _Question | None = None
        self._answers: queue.SimpleQueue[tuple[PooledActor, Any, Future[Any]]] = queue.SimpleQueue()
        self._refused: dict[str, Exception] = {}
        """The nodes that are not used, each with the reason."""
        self._ends: Counter[str] = Counter()
        """How many actors ended on each node since one of them last finished a task."""
        self._ever_ready = False
        self._looked = self._heard = time.monotonic()

    @property
    def actors(self) -> Sequence[PooledActor]:
        """The actors that are in the pool now."""
        return list(self._actors.values())

    def close(self) -> None:
        """End all actors."""
        for actor in self._actors.values():
            self._cluster.ray.kill(actor.handle)

    def ask(self, send: Callable[[Any], Any]) -> None:
        """Have every actor answer a question, now and whenever one is started. Until then it is not ready for tasks.

        send: sends the question to the actor with the given handle, and returns Ray's reference to the answer.
        """
        self._cluster.start()
        self._question, self._heard = _Question(send), time.monotonic()
        for actor in self._actors.values():
            actor.slots = 0
            self.send(actor, self._question, send(actor.handle))
        self._look(now=True)

    def send(self, actor: PooledActor, sent: Any, reference: Any) -> None:
        """Remember what the actor was sent, with Ray's reference to the answer, which `wait` will find.

        The answer goes through a queue, as a signal can interrupt the waiting for a queue, but not that of Ray.
        """
        actor.pending[reference] = sent
        reference.future().add_done_callback(lambda answer: self._answers.put((actor, reference, answer)))

    def ready(self, actor: PooledActor, slots: int) -> None:
        """The actor can be given so many tasks at the same time from now on."""
        actor.slots, self._ever_ready = slots, True

    def wait(self) -> list[Event]:
        """What happened to one actor, and to others because of it; nothing if no actor answers for a moment.

        Raises the error that a task raised, and AmaxdsError where no actor is left. An actor that raises an error when it is
        asked a question is refused, with all others on its node.
        """
        self._look(now=not self._actors)
        if not self._actors:
            raise self._nobody_left()
        try:
            actor, reference, answer = self._answers.get(timeout=self._patience.answer)
        except queue.Empty:
            self._say_if_silent()
            return []
        self._heard = time.monotonic()
        if self._actors.get(actor.place) is not actor:
            return []  # It has left the pool meanwhile.
        errors = self._cluster.ray.exceptions
        try:
            result = answer.result()
        except errors.RayTaskError as error:
            if not isinstance(actor.pending[reference], _Question):
                raise error.cause from error
            return self._refuse(actor, error.cause)
        except errors.RayError:
            return self._lose(actor)
        sent = actor.pending.pop(reference)
        if not isinstance(sent, _Question):
            self._ends.pop(actor.place.node, None)
            return [Finished(actor, sent, result)]
        return [Answered(actor, result)] if sent is self._question else []

    def _look(self, now: bool = False) -> None:
        """Start an actor at every place that has none. now: even if the last look was a moment ago."""
        if now or time.monotonic() - self._looked > self._patience.look:
            for place in self._cluster.places():
                if place not in self._actors and place.node not in self._refused:
                    self._begin(place)
            self._looked = time.monotonic()

    def _begin(self, place: Place) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        assert self._question is not None
        remote = self._cluster.ray.remote(Actor).options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(place.node, soft=False),
            num_cpus=0 if place.gpus else place.threads,
            num_gpus=place.gpus,
            max_concurrency=place.threads,
        )
        actor = self._actors[place] = PooledActor(place, remote.remote(place.threads, environment.variables()))
        self.send(actor, self._question, self._question.send(actor.handle))

    def _refuse(self, actor: PooledActor, reason: Exception) -> list[Event]:
        """Stop using the node of the actor, which may have left the pool already."""
        place = actor.place
        lost: list[Event] = [self._drop(each) for each in self.actors if each.place.node == place.node]
        self._refused[place.node] = reason
        _say(f"node {place.name} is not used: {reason.problem if isinstance(reason, AmaxdsError) else in_words(reason)}")
        return lost

    def _lose(self, actor: PooledActor) -> list[Event]:
        """The actor has ended, or its node has. Refuse a node where actors end one after another."""
        place = actor.place
        up = self._cluster.is_up(place.node)
        lost = self._drop(actor, blamed=up)
        again = sum(not isinstance(sent, _Question) for sent in actor.pending.values())
        _say(f"node {place.name} {'lost its worker' if up else 'is gone'}; units to run again: {again}")
        if not up:
            return [lost, NodeGone(place.node)]
        self._ends[place.node] += 1
        others = any(each.slots and each.place.node != place.node for each in self._actors.values())
        if self._ends[place.node] < MOST_TRIES or (actor.slots and not others):
            return [lost]
        reason = AmaxdsError(f"{MOST_TRIES} workers ended there one after another.", "Look at its logs.")
        return [lost, *self._refuse(actor, reason)]

    def _drop(self, actor: PooledActor, blamed: bool = False) -> Lost:
        del self._actors[actor.place]
        self._cluster.ray.kill(actor.handle)
        return Lost(actor, blamed)

    def _nobody_left(self) -> AmaxdsError:
        """Why there is no actor. If there never was one, that is the reason why a node was refused."""
        remedy = "What is finished is kept: run the same command again once there are nodes, to go on."
        if self._ever_ready:
            return AmaxdsError("no node is left to go on with.", remedy)
        for reason in self._refused.values():
            if isinstance(reason, AmaxdsError):
                return reason
            return AmaxdsError(f"no node can be used: {in_words(reason)}", remedy)
        return AmaxdsError("the cluster has no node with a CPU or a GPU.", remedy)

    def _say_if_silent(self) -> None:
        """Tell the user that the build waits: the cluster may be busy with other work, or a node may be slow to start."""
        silent = time.monotonic() - self._heard > self._patience.silence
        if silent and not any(actor.slots for actor in self._actors.values()):
            _say(f"waiting for {len(self._actors)} workers to begin; other work may hold the cluster")
            self._heard = time.monotonic()


def _say(text: str) -> None:
    print(f"amaxds: {printable(text)}", file=sys.stderr, flush=True)
