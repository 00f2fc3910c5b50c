"""The executor on Ray: an actor for each GPU of a cluster or, where there are none, for each node, and a schedule of tasks.

The driver, the process that runs the build, gives every actor its tasks. Nothing else is central.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any

from amaxds.builds.executors.actor_pool import ActorPool, Answered, Finished, Lost, NodeGone
from amaxds.builds.executors.base import Check, Load, Result, Task, Worker
from amaxds.builds.executors.cluster import Cluster, Patience
from amaxds.builds.executors.scheduler import MOST_TRIES, Schedule
from amaxds.errors import AmaxdsError


class RayExecutor:
    """Runs tasks on a Ray cluster. Use it as a context manager: what it started ends with the context.

    The arguments and errors are those of `Cluster`. The cluster is joined or started when it is first needed.
    """

    def __init__(self, address: str | None = None, threads: int | None = None, patience: Patience | None = None) -> None:
        patience = patience or Patience()
        self._cluster = Cluster(address, threads, patience)
        self._pool = ActorPool(self._cluster, patience)

    def __enter__(self) -> RayExecutor:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._pool.close()
        self._cluster.close()

    def first(self, ask: Callable[[int], Result]) -> Result:
        """The answer of the actor that answers first."""
        self._pool.ask(lambda handle: handle.ask.remote(ask))
        while True:
            for event in self._pool.wait():
                if isinstance(event, Answered):
                    answer: Result = event.answer
                    return answer

    def open(self, make_worker: Callable[[int], Worker]) -> None:
        """Have every actor make its worker, those that are there and those that come."""
        self._cluster.start()
        stored = self._cluster.ray.put(make_worker)  # Once, however many nodes there are: the weights are in it.
        self._pool.ask(lambda handle: handle.open.remote(stored))

    def run(self, tasks: Mapping[Task, Load], work: Callable[[Any, Task, Check], Result]) -> Iterator[tuple[Task, Result]]:
        """Yield each task with its result, as every executor does.

        AmaxdsError at the end if tasks were given up because the actors that ran them ended, and where no node is left.
        """
        schedule, given_up = Schedule(tasks), list[Task]()
        for actor in self._pool.actors:
            if actor.slots:
                schedule.join(actor.place, actor.place.node, actor.warm)
        while schedule.left:
            for actor in self._pool.actors:
                while len(actor.pending) < actor.slots and (task := schedule.take(actor.place)) is not None:
                    self._pool.send(actor, task, actor.handle.run.remote(work, task))
            for event in self._pool.wait():
                match event:
                    case Answered(actor, slots):
                        self._pool.ready(actor, slots)
                        schedule.join(actor.place, actor.place.node, actor.warm)
                    case Finished(actor, task, result):
                        schedule.done(actor.place, task)
                        yield task, result
                    case Lost(actor, blamed) if actor.slots:
                        given_up += schedule.leave(actor.place, blamed)
                    case NodeGone(node):
                        schedule.forgive(node)
        if given_up:
            names = ", ".join(tasks[task].name for task in given_up)
            raise AmaxdsError(
                f"{len(given_up)} of {len(tasks)} units are missing; each was lost with {MOST_TRIES} workers: {names}.",
                "What is finished is kept: run the same command again to go on with them.",
            )
