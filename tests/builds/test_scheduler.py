"""The schedule of a cluster, by itself: every task is done once, few programs are compiled, and nobody is blamed wrongly."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from amaxds.builds.executors.base import Load
from amaxds.builds.executors.scheduler import MOST_TRIES, Schedule

Task = tuple[str, int]


def _loads(**groups: tuple[int, float]) -> dict[Task, Load]:
    """name=(how many tasks, cost of each)"""
    return {
        (name, number): Load(f"{name} {number}", name, cost)
        for name, (count, cost) in groups.items()
        for number in range(count)
    }


def _run(loads: dict[Task, Load], workers: int, slots: int = 1, compiling: float = 0.0) -> tuple[float, Counter[str]]:
    """Follow the schedule in simulated time: when all is done, and how often each group was compiled."""
    schedule: Schedule[Task] = Schedule(loads)
    now, running, compiled, done = 0.0, [], Counter[str](), Counter[Task]()
    has: set[tuple[int, str]] = set()
    for worker in range(workers):
        schedule.join(worker, f"node {worker}", set())
    while schedule.left:
        for worker in range(workers):
            while sum(each[1] == worker for each in running) < slots and (task := schedule.take(worker)) is not None:
                seconds = loads[task].cost
                if (worker, task[0]) not in has:
                    has.add((worker, task[0]))
                    compiled[task[0]] += 1
                    seconds += compiling
                running.append((now + seconds, worker, task))
        running.sort()
        now, worker, task = running.pop(0)
        schedule.done(worker, task)
        done[task] += 1
    assert done == Counter(dict.fromkeys(loads, 1))
    return now, compiled


def test_a_worker_is_given_the_longest_tasks_first_and_one_group_after_the_other() -> None:
    schedule: Schedule[Task] = Schedule(_loads(short=(2, 1.0), long=(3, 10.0)))
    schedule.join("one", "here", set())
    given = []
    while (task := schedule.take("one")) is not None:
        given.append(task[0])
        schedule.done("one", task)
    assert given == ["long"] * 3 + ["short"] * 2
    assert schedule.left == 0


def test_what_a_worker_has_compiled_it_goes_on_with() -> None:
    schedule: Schedule[Task] = Schedule(_loads(short=(2, 1.0), long=(3, 10.0)))
    schedule.join("one", "here", {"short"})
    assert schedule.take("one") == ("short", 0)


@pytest.mark.parametrize("workers", [1, 2, 5, 16])
def test_few_workers_compile_the_same_and_none_waits_long(workers: int) -> None:
    loads = _loads(**{f"layer{n}": (8 * (n + 1), float(n + 1)) for n in range(6)})
    total = sum(each.cost for each in loads.values())
    ended, compiled = _run(loads, workers, compiling=3.0)
    assert compiled.total() <= 6 + 2 * workers
    assert ended <= total / workers + 3.0 * compiled.total() / workers + 2 * 6.0


def test_tasks_that_run_at_once_in_one_worker_compile_side_by_side() -> None:
    schedule: Schedule[Task] = Schedule(_loads(a=(4, 1.0), b=(4, 1.0), c=(4, 1.0)))
    schedule.join("one", "here", set())
    assert {schedule.take("one")[0] for _ in range(3)} == {"a", "b", "c"}  # type: ignore[index]


def test_a_task_that_ends_its_workers_is_given_up_and_no_other() -> None:
    loads = _loads(a=(5, 1.0), b=(5, 2.0))
    deadly, given_up, done = ("a", 3), [], []
    schedule: Schedule[Task] = Schedule(loads)
    for number in range(100):
        schedule.join(number, "here", set())
        running = []
        while deadly not in running:
            while len(running) < 4 and (task := schedule.take(number)) is not None:
                running.append(task)
            if deadly not in running:
                if not running:
                    break
                done.append(running.pop(0))
                schedule.done(number, done[-1])
        if not schedule.left:
            break
        given_up += schedule.leave(number, blamed=True)
    assert given_up == [deadly]
    assert sorted(done) == sorted(loads.keys() - {deadly})
    assert number == MOST_TRIES


def test_a_suspected_task_is_tried_elsewhere_where_there_is_an_elsewhere() -> None:
    schedule: Schedule[Task] = Schedule(_loads(a=(1, 1.0)))
    schedule.join("first", "here", set())
    schedule.join("second", "there", set())
    assert schedule.take("first") == ("a", 0)
    assert schedule.leave("first", blamed=True) == []
    schedule.join("third", "here", set())
    assert schedule.take("third") is None
    assert schedule.take("second") == ("a", 0)
    assert schedule.leave("second", blamed=True) == []
    assert schedule.take("third") == ("a", 0)


def test_tasks_of_a_node_that_went_away_are_not_suspected() -> None:
    schedule: Schedule[Task] = Schedule(_loads(a=(4, 1.0)))
    schedule.join("gone", "there", set())
    lost = {schedule.take("gone"), schedule.take("gone")}
    assert schedule.leave("gone", blamed=False) == []
    schedule.join("one", "here", set())
    assert lost <= {schedule.take("one") for _ in range(4)}


def test_what_was_lost_at_a_place_that_turns_out_to_be_gone_is_suspected_no_more() -> None:
    schedule: Schedule[Task] = Schedule(_loads(a=(4, 1.0)))
    schedule.join("gone", "there", set())
    lost = {schedule.take("gone"), schedule.take("gone")}
    assert schedule.leave("gone", blamed=True) == []
    schedule.join("one", "here", set())
    assert not lost & {schedule.take("one") for _ in range(2)}
    assert schedule.take("one") is None
    schedule.forgive("there")
    assert {schedule.take("one"), schedule.take("one")} == lost


@pytest.mark.parametrize("seed", range(5))
def test_every_task_is_done_once_however_workers_come_and_go(seed: int) -> None:
    rng = np.random.default_rng(seed)
    loads = _loads(**{f"layer{n}": (int(rng.integers(1, 9)), float(rng.integers(1, 9))) for n in range(5)})
    schedule: Schedule[Task] = Schedule(loads)
    done: Counter[Task] = Counter()
    given_up: Counter[Task] = Counter()
    workers: dict[int, list[Task]] = {}
    for number in range(10_000):
        if not schedule.left:
            break
        # Nodes go away often at first, or no task would be lost; then they stay, or each would be given up.
        if workers and rng.random() < (0.1 if number < 20 else 0.0):
            gone = int(rng.choice(list(workers)))
            given_up.update(schedule.leave(gone, blamed=False))
            del workers[gone]
        elif len(workers) < 3:
            schedule.join(number, f"node {number}", set())
            workers[number] = []
        else:
            chosen = int(rng.choice(list(workers)))
            if len(workers[chosen]) < 2 and (task := schedule.take(chosen)) is not None:
                workers[chosen].append(task)
            elif workers[chosen]:
                done[task := workers[chosen].pop(0)] += 1
                schedule.done(chosen, task)
    assert schedule.left == 0
    assert done + given_up == Counter(dict.fromkeys(loads, 1)), "each is done once, or given up once and not done"
    assert len(done) > len(given_up)
