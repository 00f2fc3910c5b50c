"""The schedule of a cluster: which task a worker is given next, and when the tasks of a lost worker are run again.

Nothing here knows of machines or clocks, so real workers and a simulation can follow the same schedule.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Generic

from amaxds.builds.executors.base import Load, Task

MOST_TRIES = 3
"""A task is given up once so many workers have ended while they ran it."""


@dataclass
class _WorkerState(Generic[Task]):
    """What the schedule knows of one worker."""

    node: str
    warm: set[Hashable]
    """The groups of which it has finished a task, so that it has compiled their programs."""
    running: set[Task] = field(default_factory=set)
    alone: bool = False
    """Whether it runs a suspected task, which is to run by itself."""


class Schedule(Generic[Task]):
    """Hands out tasks to workers that come and go.

    A worker is given the longest task of the groups that it has compiled the programs for. If none of these is left, it
    starts on the group with the most work left per worker that is at it already. So all groups end at about the same time,
    and few workers compile the same programs. A worker that runs several tasks at once starts on as many groups.

    A task that was running when its worker ended may be the reason. Such a task is suspected: it is run again after all
    others, by itself so that no other task can be blamed, and on another node if there is one. After MOST_TRIES it is given
    up.
    """

    def __init__(self, loads: Mapping[Task, Load]) -> None:
        self._loads = loads
        self._groups: dict[Hashable, deque[Task]] = {}
        for task in sorted(loads, key=lambda task: -loads[task].cost):
            self._groups.setdefault(loads[task].group, deque()).append(task)
        self._work = {group: sum(loads[task].cost for task in tasks) for group, tasks in self._groups.items()}
        self._workers: dict[Hashable, _WorkerState[Task]] = {}
        self._at_work: Counter[Hashable] = Counter()
        self._suspects: deque[Task] = deque()
        self._lost_at: dict[Task, list[str]] = {}
        self.left = len(loads)
        """How many tasks are neither done nor given up."""

    def join(self, worker: Hashable, node: str, warm: set[Hashable]) -> None:
        """Add a worker on a node. warm: the groups that it has the programs for; new ones are added to this very set."""
        self._workers[worker] = _WorkerState(node, warm)

    def take(self, worker: Hashable) -> Task | None:
        """The task that the worker is to start now, beside those that it runs already; None if there is none for it."""
        state = self._workers[worker]
        if state.alone:
            return None
        task = self._next(state)
        if task is None and not state.running:
            task = self._next_suspect(state)
            state.alone = task is not None
        if task is not None:
            state.running.add(task)
            self._at_work[self._loads[task].group] += 1
        return task

    def done(self, worker: Hashable, task: Task) -> None:
        """The worker has finished the task."""
        state = self._workers[worker]
        self._end(state, task)
        state.warm.add(self._loads[task].group)
        state.alone = False
        self.left -= 1

    def leave(self, worker: Hashable, blamed: bool) -> list[Task]:
        """Remove a worker that is lost; returns those of its tasks that are given up.

        blamed: whether one of its tasks may have ended it.
        """
        state, given_up = self._workers.pop(worker), []
        for task in list(state.running):
            self._end(state, task)
            lost_at = self._lost_at.setdefault(task, [])
            lost_at.append(state.node)
            if len(lost_at) == MOST_TRIES:
                given_up.append(task)
            elif blamed:
                self._suspects.append(task)
            else:
                self._put_back(task)
        self.left -= len(given_up)
        return given_up

    def forgive(self, node: str) -> None:
        """The node is gone: suspect the tasks no longer that were last lost there, as they were not the reason."""
        for task in [task for task in self._suspects if self._lost_at[task][-1] == node]:
            self._suspects.remove(task)
            self._put_back(task)

    def _put_back(self, task: Task) -> None:
        load = self._loads[task]
        self._groups[load.group].appendleft(task)
        self._work[load.group] += load.cost

    def _end(self, state: _WorkerState[Task], task: Task) -> None:
        state.running.remove(task)
        self._at_work[self._loads[task].group] -= 1

    def _next(self, state: _WorkerState[Task]) -> Task | None:
        left = [group for group, tasks in self._groups.items() if tasks]
        if not left:
            return None
        warm = [group for group in left if group in state.warm]
        if warm:
            chosen = max(warm, key=lambda group: self._loads[self._groups[group][0]].cost)
        else:
            cold = {self._loads[task].group for task in state.running}
            chosen = max(left, key=lambda group: (group not in cold, self._work[group] / (1 + self._at_work[group])))
        task = self._groups[chosen].popleft()
        self._work[chosen] -= self._loads[task].cost
        return task

    def _next_suspect(self, state: _WorkerState[Task]) -> Task | None:
        nodes = {each.node for each in self._workers.values()}
        for task in self._suspects:
            if state.node not in self._lost_at[task] or nodes <= set(self._lost_at[task]):
                self._suspects.remove(task)
                return task
        return None
