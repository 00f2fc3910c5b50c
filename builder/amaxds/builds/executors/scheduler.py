"""The schedule of a cluster: which task a worker is given next, and what becomes of the tasks of a worker that is lost.

Nothing here knows of machines or clocks, so the same schedule can be followed by real workers and by a simulation.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Generic

from amaxds.builds.executors.base import Load, Task

MOST_TRIES = 3
"""As often a task may be run by workers that end before it does."""


@dataclass
class _Worker(Generic[Task]):
    place: str
    warm: set[Hashable]
    """The groups that it has ended a task of: it has their programs."""
    running: set[Task] = field(default_factory=set)
    alone: bool = False
    """What it runs may end it, and is to be blamed alone."""


class Schedule(Generic[Task]):
    """Hands out tasks to workers that come and go.

    A worker is given the longest task among those it has the programs for. Where none is left, it opens the group of tasks
    with the most work for each worker that is at it: so groups end together, and few workers compile the same. One that runs
    several tasks at once compiles the programs of as many groups side by side.

    A task whose worker ended may have ended it. It is run again after all others, by itself, so that no other is blamed for
    it, and elsewhere where there is an elsewhere; after MOST_TRIES it is given up.
    """

    def __init__(self, loads: Mapping[Task, Load]) -> None:
        self._loads = loads
        self._groups: dict[Hashable, deque[Task]] = {}
        for task in sorted(loads, key=lambda task: -loads[task].cost):
            self._groups.setdefault(loads[task].group, deque()).append(task)
        self._work = {group: sum(loads[task].cost for task in tasks) for group, tasks in self._groups.items()}
        self._workers: dict[Hashable, _Worker[Task]] = {}
        self._at_work: Counter[Hashable] = Counter()
        self._suspects: deque[Task] = deque()
        self._lost_at: dict[Task, list[str]] = {}
        self.left = len(loads)
        """Tasks that are neither done nor given up."""

    def join(self, worker: Hashable, place: str, warm: set[Hashable]) -> None:
        """A worker comes, with the programs of these groups; the set is kept up to date."""
        self._workers[worker] = _Worker(place, warm)

    def take(self, worker: Hashable) -> Task | None:
        """A task that the worker is to run now, beside what it runs already; None where there is none for it."""
        own = self._workers[worker]
        if own.alone:
            return None
        task = self._next(own)
        if task is None and not own.running:
            task = self._next_suspect(own)
            own.alone = task is not None
        if task is not None:
            own.running.add(task)
            self._at_work[self._loads[task].group] += 1
        return task

    def done(self, worker: Hashable, task: Task) -> None:
        """The worker has ended the task."""
        own = self._workers[worker]
        self._end(own, task)
        own.warm.add(self._loads[task].group)
        own.alone = False
        self.left -= 1

    def leave(self, worker: Hashable, blamed: bool) -> list[Task]:
        """The worker is lost; its tasks that are given up. blamed: whether one of them may have been the cause."""
        own, given_up = self._workers.pop(worker), []
        for task in list(own.running):
            self._end(own, task)
            lost_at = self._lost_at.setdefault(task, [])
            lost_at.append(own.place)
            if len(lost_at) == MOST_TRIES:
                given_up.append(task)
            elif blamed:
                self._suspects.append(task)
            else:
                self._put_back(task)
        self.left -= len(given_up)
        return given_up

    def forgive(self, place: str) -> None:
        """The place is gone, so what was last lost there was not the cause."""
        for task in [task for task in self._suspects if self._lost_at[task][-1] == place]:
            self._suspects.remove(task)
            self._put_back(task)

    def _put_back(self, task: Task) -> None:
        load = self._loads[task]
        self._groups[load.group].appendleft(task)
        self._work[load.group] += load.cost

    def _end(self, own: _Worker[Task], task: Task) -> None:
        own.running.remove(task)
        self._at_work[self._loads[task].group] -= 1

    def _next(self, own: _Worker[Task]) -> Task | None:
        left = [group for group, tasks in self._groups.items() if tasks]
        if not left:
            return None
        warm = [group for group in left if group in own.warm]
        if warm:
            chosen = max(warm, key=lambda group: self._loads[self._groups[group][0]].cost)
        else:
            cold = {self._loads[task].group for task in own.running}
            chosen = max(left, key=lambda group: (group not in cold, self._work[group] / (1 + self._at_work[group])))
        task = self._groups[chosen].popleft()
        self._work[chosen] -= self._loads[task].cost
        return task

    def _next_suspect(self, own: _Worker[Task]) -> Task | None:
        places = {each.place for each in self._workers.values()}
        for task in self._suspects:
            if own.place not in self._lost_at[task] or places <= set(self._lost_at[task]):
                self._suspects.remove(task)
                return task
        return None
