"""What a cluster costs beside the images, measured on this machine, and what follows from it for a hundred GPUs.

    python benchmarks/scale.py > benchmarks/scale.md              measure, and record it in benchmarks/scale.json
    python benchmarks/scale.py --recorded > benchmarks/scale.md   compute again from what is recorded
    python benchmarks/scale.py --gpu 100                          what if a GPU did a step that many times faster

Needs the extra `ray`. Everything that is measured is in scale.json; everything else follows from it by the functions here, the
times on many workers by following the very schedule of the executor, `builds.executors.scheduler`, in simulated time.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import heapq
import itertools
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaxds.builds.executors.base import Executor, Load
from amaxds.builds.executors.local import LocalExecutor
from amaxds.builds.executors.scheduler import Schedule
from amaxds.compute.machine import cores
from amaxds.spec.network import DEMO, VGG16
from amaxds.spec.plan import make_plan, operations_per_step

RECORD = Path(__file__).with_suffix(".json")
WORKERS = (1, 2, 4)
EMPTY = 2000
UNITS = {"layers": "block1_conv2,block2_conv1,block2_conv2,block3_conv1", "steps": 60}
SIMULATED = (1, 2, 4, 8, 16, 32, 64, 100, 128)
MANY = 100
BATCH = 4


class Bare:
    """A worker that holds nothing."""

    def __init__(self, threads: int) -> None:
        self.threads = threads


def who(worker: Bare, task: int, check: object) -> int:
    time.sleep(0.02)
    return os.getpid()


def nothing(worker: Bare, task: int, check: object) -> None:
    pass


@contextlib.contextmanager
def cluster(nodes: int) -> Iterator[Executor]:
    """The executor on Ray, on as many nodes of one CPU each, all on this machine."""
    from ray.cluster_utils import Cluster as Nodes

    from amaxds.builds.executors.ray import RayExecutor

    logging.disable(logging.INFO)
    started = Nodes(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(nodes):
        started.add_node(num_cpus=1)
    try:
        with RayExecutor(started.address) as executor:
            yield executor
    finally:
        for node in started.list_all_nodes()[::-1]:
            started.remove_node(node, allow_graceful=False)


@contextlib.contextmanager
def local(workers: int) -> Iterator[Executor]:
    yield LocalExecutor(workers)


def loads(number: int) -> dict[int, Load]:
    return {task: Load(str(task), 0, 1.0) for task in range(number)}


def timed(make: Callable[[Any, Any, Any], None], worker: Any, unit: Any, check: Any) -> float:
    began = time.perf_counter()
    make(worker, unit, check)
    return time.perf_counter() - began


def measure_engine(name: str, workers: int) -> dict[str, float]:
    """Run in a process of its own: tasks that do nothing, then real units, each twice so that all programs are there."""
    from amaxds.builds.shards import WORK
    from amaxds.builds.worker import BuildJob, Worker, process_entries
    from amaxds.compute.networks import load_weights
    from amaxds.dataset.build_info import BuildRequest
    from amaxds.storage.files import json_bytes
    from amaxds.storage.location import LocalPath

    with (local if name == "local" else cluster)(workers) as executor, tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        executor.open(Bare)
        seen: set[int] = set()
        while len(seen) < (1 if name == "local" else workers):
            seen.update(answer for _, answer in executor.run(loads(4 * workers), who))
        starting, began = time.perf_counter() - began, time.perf_counter()
        for _ in executor.run(loads(EMPTY), nothing):
            pass
        empty = (time.perf_counter() - began) / EMPTY

        plan, weights = make_plan(DEMO, ["original"], **UNITS), load_weights(DEMO, "pretrained", 0)
        process = executor.first(functools.partial(process_entries, DEMO))
        identity = BuildRequest.of_plan(plan, weights.source, weights.digest).on(process)
        job = BuildJob(plan, weights, LocalPath(Path(folder)), identity)
        (job.location / WORK / "build.json").write(json_bytes(identity.as_json()))
        executor.open(functools.partial(Worker, job, ()))
        units = {unit: Load(unit.name, unit.layer.name, unit.operations) for unit in plan.units()}
        work = functools.partial(timed, Worker.make)
        for _ in range(2):  # The first time, some workers compile; the second, hardly any.
            list(executor.run(units, work))
        began = time.perf_counter()
        seconds = [answer for _, answer in executor.run(units, work)]
        wall = time.perf_counter() - began
    return {"starting": starting, "empty": empty, "units": len(units), "wall": wall, "unit": statistics.mean(seconds)}


def measure_costs() -> dict[str, dict[str, float]]:
    """Layer -> seconds on one thread: of a step of a batch, of what a unit takes besides, of compiling, of scoring a batch."""
    import numpy as np

    from amaxds.builds.synthesis import synthesise
    from amaxds.compute import backend
    from amaxds.compute.networks import load_weights
    from amaxds.compute.programs import Programs

    backend.start(1)
    programs = Programs(VGG16, load_weights(VGG16, "random", 0))
    few, more = (make_plan(VGG16, ["original"], filters="0-3", steps=steps, batch_size=BATCH) for steps in (2, 5))
    found = {}
    for short, long in zip(few.units(), more.units(), strict=True):
        seconds = []
        for plan, unit in ((few, short), (few, short), (more, long), (more, long)):
            began = time.perf_counter()
            rows = synthesise(plan, programs, unit)
            seconds.append(time.perf_counter() - began)
        cold, warm, _, longer = seconds
        step = (longer - warm) / 3
        images = np.zeros((BATCH, 174, 174, 3), np.uint8)
        programs.score(short.recipe, short.layer, images)
        began = time.perf_counter()
        programs.score(short.recipe, short.layer, images)
        score = time.perf_counter() - began
        size = sum(len(row["image"]) for row in rows)
        found[short.layer.name] = {
            "step": step,
            "besides": max(warm - 2 * step, 0.0),
            "compiling": max(cold - warm, 0.0),
            "scoring": score,
            "bytes": size,
        }
        print(short.layer.name, found[short.layer.name], file=sys.stderr, flush=True)
    return found


def measure_end() -> dict[str, float]:
    """What one process does at the end, for the 4224 images of VGG16 as noise: writing the dataset's files, validating."""
    from limits import write_noise

    from amaxds.checks.validate import validate

    with tempfile.TemporaryDirectory() as folder:
        packaging, began = write_noise(Path(folder)), time.perf_counter()
        assert validate(Path(folder) / "dataset").valid
        return {"packaging": packaging, "validating": time.perf_counter() - began}


def apart(*arguments: object) -> Any:
    """What a measurement gives in a process of its own."""
    command = [sys.executable, __file__, "--measure", *map(str, arguments)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(ended.stdout)


def measure() -> dict[str, Any]:
    engines = [{"engine": name, "workers": workers} | apart(name, workers) for name in ("local", "ray") for workers in WORKERS]
    return {"cores": cores(), "engines": engines, "costs": apart("costs"), "end": apart("end")}


@dataclass(frozen=True)
class Ended:
    """All units of VGG16 on some number of workers."""

    seconds: float
    steps: float
    compiling: float
    besides: float
    """Shares of the workers' time; in what is left they wait."""
    compiled: int


def simulate(costs: dict[str, dict[str, float]], workers: int, dispatch: float, faster: float) -> Ended:
    """Follow the executor's schedule in simulated time.

    Every unit is handed out by one driver, which takes `dispatch` seconds for each. faster: how many times faster than measured
    a step is; compiling and what a unit takes besides stay as measured.
    """
    plan = make_plan(VGG16, ["original"], batch_size=BATCH)
    tasks = {unit: Load(unit.name, unit.layer.name, unit.operations) for unit in plan.units()}
    schedule = Schedule(tasks)
    for worker in range(workers):
        schedule.join(worker, str(worker), set())
    has: set[tuple[int, Any]] = set()
    running: list[tuple[float, int, int, Any]] = []
    number = itertools.count()
    idle, driver, now = list(range(workers)), 0.0, 0.0
    spent: Counter[str] = Counter()
    while schedule.left:
        still = []
        for worker in idle:
            if (unit := schedule.take(worker)) is None:
                still.append(worker)
                continue
            cost = costs[unit.layer.name]
            steps = unit.recipe.steps * cost["step"] / faster
            compiling = 0.0 if (worker, unit.layer.name) in has else cost["compiling"]
            has.add((worker, unit.layer.name))
            driver = max(driver, now) + dispatch
            for name, seconds in (("steps", steps), ("compiling", compiling), ("besides", cost["besides"])):
                spent[name] += seconds / workers
            heapq.heappush(running, (driver + compiling + cost["besides"] + steps, next(number), worker, unit))
        idle = still
        now, _, worker, unit = heapq.heappop(running)
        schedule.done(worker, unit)
        idle.append(worker)
    return Ended(now, **{name: seconds / now for name, seconds in spent.items()}, compiled=len(has))


def ranking(costs: dict[str, dict[str, float]], workers: int, faster: float) -> float:
    """Seconds: every layer is one task, the largest first, to whoever is free."""
    ends = [0.0] * workers
    for layer in sorted(VGG16.layers, key=lambda each: -each.filters * operations_per_step(each)):
        at = min(range(workers), key=ends.__getitem__)
        ends[at] += layer.filters / BATCH * costs[layer.name]["scoring"] / faster
    return max(ends)


def show(found: dict[str, Any], gpu: float) -> None:
    costs, end, ray = found["costs"], found["end"], [each for each in found["engines"] if each["engine"] == "ray"]
    dispatch = max(each["empty"] for each in ray)
    on = found["cores"]
    print(f"""# What a cluster costs, and where it ends

`python benchmarks/scale.py`. Measured on one machine with {on} cores; nodes are processes on it, of one CPU each.
**More than {on} workers share these cores: those rows show overhead, not speed.**

## Measured: engines

{EMPTY} tasks that do nothing, then {ray[0]["units"]} units of the demo network, {UNITS["steps"]} steps each, programs compiled.
*Overhead*: what of the workers' time goes elsewhere, for each unit; waiting for the last unit is in it.

| engine | workers | processes ready after | an empty task | a unit | all units | overhead of a unit |
|---|---|---|---|---|---|---|""")
    for each in found["engines"]:
        overhead = each["workers"] * each["wall"] / each["units"] - each["unit"]
        row = (each["engine"], each["workers"], f"{each['starting']:.1f} s", f"{1000 * each['empty']:.2f} ms")
        row += (f"{each['unit']:.2f} s", f"{each['wall']:.1f} s", f"{overhead:.2f} s")
        print(f"| {' | '.join(map(str, row))} |")
    print(f"""
## Measured: units of VGG16 on one thread

Random weights, recipe `original`, {BATCH} images a unit. A step: from the difference between 5 steps and 2.

| layer | a step | besides, a unit | compiling | scoring | shard |
|---|---|---|---|---|---|""")
    for name, cost in costs.items():
        cells = [f"{cost[key]:.2f} s" for key in ("step", "besides", "compiling", "scoring")]
        print(f"| {name} | {' | '.join(cells)} | {cost['bytes'] / 1e3:.0f} kB |")
    closing = sum(end.values())
    print(f"""
In one process, packaging 4224 images of 224x224 takes {end["packaging"]:.0f} s, validating them {end["validating"]:.0f} s.

## Computed: all of VGG16 on many workers

From these figures, with {1000 * dispatch:.2f} ms of the driver for each unit, one after the other (the most that an
empty task took on Ray), by following the engine's own schedule in simulated time. *Efficiency*: the share of the workers'
time that goes into steps. That nodes have to start is left out.
""")
    _table(costs, closing, dispatch, 1.0, "Workers of one thread, as measured:")
    text = f"GPUs, if one did a step {gpu:g} times as fast as a thread here: **not measured**, but given by `--gpu {gpu:g}`."
    _table(costs, closing, dispatch, gpu, f"{text}\nUnits are as small, and what is no step takes as long, as above:")
    many = simulate(costs, MANY, dispatch, gpu)
    units = len(list(make_plan(VGG16, ["original"], batch_size=BATCH).units()))
    total = sum(layer.filters / BATCH * costs[layer.name]["bytes"] for layer in VGG16.layers) / 1e6
    from_here = [workers for workers in SIMULATED if simulate(costs, workers, dispatch, gpu).seconds < closing]
    print(f"""## Computed: where it ends

With {MANY} such GPUs all units take {many.seconds:.0f} s.

- The workers: {many.steps:.0%} of their time goes into steps, {many.compiling:.0%} into compiling,
  {many.besides:.0%} into what a unit takes besides, on the CPU; for the rest they wait for the last unit. The longest to
  compile takes {max(each["compiling"] for each in costs.values()):.0f} s.
- Scheduling: {units} units in that time are {units / many.seconds:.0f} a second; the driver can hand out {1 / dispatch:.0f}.
- Storage: {total:.0f} MB of shards in that time are {total / many.seconds:.0f} MB/s written, and afterwards twice read, in all.
- The end: packaging and validating, in one process, take {closing:.0f} s however many workers there are, which is
  {closing / (closing + many.seconds):.0%} of units and end together. {_crossing(from_here)}""")


def _crossing(workers: list[int]) -> str:
    if not workers:
        return "Up to the most workers in the table the units take longer than that."
    return f"From {workers[0]} such GPUs on the units take less than that: there it, not the cluster, is what to make faster."


def _table(costs: dict[str, Any], closing: float, dispatch: float, faster: float, text: str) -> None:
    print(f"{text}\n")
    print("| workers | units | efficiency | programs compiled | ranking | packaging, validating |\n|---|---|---|---|---|---|")
    for workers in SIMULATED:
        found = simulate(costs, workers, dispatch, faster)
        cells = f"{found.seconds:.0f} s | {found.steps:.0%} | {found.compiled} | {ranking(costs, workers, faster):.1f} s"
        print(f"| {workers} | {cells} | {closing:.0f} s |")
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recorded", action="store_true", help="compute from scale.json; measure nothing")
    parser.add_argument("--gpu", type=float, default=50, help="how many times faster than a thread here a GPU does a step")
    parser.add_argument("--measure", nargs="+", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.measure:
        what, *rest = chosen.measure
        found = {"costs": measure_costs, "end": measure_end}.get(what) or functools.partial(measure_engine, what, int(rest[0]))
        print(json.dumps(found()))
        return
    if not chosen.recorded:
        RECORD.write_text(json.dumps(measure(), indent=1) + "\n")
    show(json.loads(RECORD.read_text()), chosen.gpu)


if __name__ == "__main__":
    main()
