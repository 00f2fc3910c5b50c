"""Images on demand: a few, without a dataset, with the same bits as in a dataset of the same settings; and their options."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from amaxds.builds.batch_size import with_batch_size_for
from amaxds.builds.build import require_same_build
from amaxds.builds.executors.base import Check
from amaxds.builds.executors.local import LocalExecutor, run_local
from amaxds.builds.executors.open import open_executor
from amaxds.builds.progress import BuildProgress, counting
from amaxds.builds.synthesis import synthesise, synthesise_objective
from amaxds.builds.workdir import place_of, require_usable
from amaxds.compute import backend, environment
from amaxds.compute.machine import cores
from amaxds.compute.memory import memory_errors, require_memory
from amaxds.compute.networks import find_network, has_loops, load_weights
from amaxds.compute.programs import Programs
from amaxds.dataset.record import Row
from amaxds.errors import UsageError
from amaxds.spec.network import Network
from amaxds.spec.objective import Objective
from amaxds.spec.plan import Plan, Unit, make_plan
from amaxds.storage.location import local_path


@dataclass(frozen=True)
class NetworkChoice:
    """The options that say which network it is, with which weights."""

    network: str
    weights: str
    canvas: int | None
    preprocessing: str | None
    precision: str


@dataclass(frozen=True)
class ImageChoice:
    """The options that say which images are made."""

    recipes: tuple[str, ...]
    layers: str | None
    filters: str | None
    seeds: tuple[int, ...]
    steps: int | None
    batch_size: int | None
    frames: int = 0


def plan_of(of: NetworkChoice, wanted: ImageChoice, workers: int | None) -> Plan:
    """The plan of a build with these options; UsageError where they are not possible."""
    return _plan(find_network(of.network, of.canvas, of.preprocessing), of, wanted, wanted.seeds[0], workers)


def plan_as_built(
    of: NetworkChoice, wanted: ImageChoice, out: str | None, workers: int | None, engine: str, address: str | None
) -> Plan:
    """The plan of a build with these options, as this machine would run it: on a GPU, where no batch size is given, with as
    many images in one program as its memory has room for. What the build would refuse is refused, but for what depends on
    weights that it would have to download or draw; nothing is downloaded, and no cluster is started."""
    plan = plan_of(of, wanted, workers)
    place = place_of(out, plan.network)
    require_usable(place)
    with open_executor(engine, workers, address):  # It begins when it is given work.
        if of.weights not in ("pretrained", "random"):
            load_weights(plan.network, of.weights, plan.seed, Path(of.network))
    plan = plan if wanted.batch_size else with_batch_size_for(LocalExecutor(workers or cores()), plan)
    require_same_build(place, plan)
    return plan


def make_images(of: NetworkChoice, wanted: ImageChoice, workers: int | None) -> list[Row]:
    """The rows of the images, in the order of seed, recipe, layer and filter.

    They are made in the units of a build, so that they have the bits of one. What is compiled stays in this process for the
    next call. Errors are those of a build.
    """
    network = find_network(of.network, of.canvas, of.preprocessing)
    plans = [_plan(network, of, wanted, seed, workers) for seed in wanted.seeds]
    threads = workers or cores()
    backend.start(threads, has_loops(network))
    if wanted.batch_size is None:
        plans = [with_batch_size_for(LocalExecutor(threads), plan) for plan in plans]
    rows = []
    with BuildProgress(network, (unit for plan in plans for unit in plan.units())) as progress:
        for plan in plans:
            programs = _programs(of, network, _weights_seed(of, plan), _state_of_files(of))
            rows += _rows(plan, programs, wanted.frames, threads, progress)
    return rows


def make_objective_images(
    of: NetworkChoice, wanted: ImageChoice, objectives: Sequence[Objective], workers: int | None
) -> list[Row]:
    """The rows of the images of the objectives, in the order of seed, recipe and objective. wanted.layers and filters do not
    count. Errors are those of a build."""
    network = find_network(of.network, of.canvas, of.preprocessing)
    for term in (term for objective in objectives for term in objective.terms):
        term.layer_of(network)
    _require_own_seeds(wanted.seeds, max(objective.images for objective in objectives))
    plans = [_plan(network, of, replace(wanted, layers=None, filters=None), seed, workers) for seed in wanted.seeds]
    threads = workers or cores()
    backend.start(threads, has_loops(network))
    tasks = [(plan, recipe, objective) for plan in plans for recipe in plan.recipes for objective in objectives]
    made: dict[int, list[Row]] = {}
    with counting("objectives", len(tasks)) as done:
        for seed, places in itertools.groupby(range(len(tasks)), lambda place: _weights_seed(of, tasks[place][0])):
            programs = _programs(of, network, seed, _state_of_files(of))

            def make(place: int, check: Check, programs: Programs = programs) -> list[Row]:
                plan, recipe, objective = tasks[place]
                with memory_errors(objective.images, threads):
                    return synthesise_objective(network, programs, recipe, objective, plan.seed, check, wanted.frames)

            for place, rows in run_local(list(places), make, threads):
                made[place] = rows
                done(1)
    return [row for place in range(len(tasks)) for row in made[place]]


def _require_own_seeds(seeds: Sequence[int], images: int) -> None:
    """UsageError where two images would have one seed, as so many are made from each of these seeds on."""
    for one, other in itertools.pairwise(sorted(seeds)):
        if images > 1 and other - one < images:
            raise UsageError(
                f"seeds {one} and {other} are too close for {images} images of one objective, which have a seed each.",
                f"Give seeds that are {images} or more apart.",
            )


def _plan(network: Network, of: NetworkChoice, wanted: ImageChoice, seed: int, workers: int | None) -> Plan:
    if wanted.frames < 0:
        raise UsageError(f"frames {wanted.frames} is out of range.", "Give the number of images to keep on the way.")
    options = (seed, wanted.layers, wanted.filters, wanted.steps, wanted.batch_size, workers, of.precision)
    return make_plan(network, wanted.recipes, *options)


def _rows(plan: Plan, programs: Programs, frames: int, threads: int, progress: BuildProgress) -> list[Row]:
    units = list(plan.units())
    made: dict[Unit, Sequence[Row]] = {}

    def make(unit: Unit, check: Check) -> list[Row]:
        with memory_errors(plan.batch_size, threads):
            return synthesise(plan, programs, unit, check, frames)

    if not environment.on_gpu():
        require_memory(units, plan.batch_size, threads)
    for unit, rows in run_local(units, make, threads):
        made[unit] = rows
        progress.unit_done(unit)
    return [row for unit in units for row in made[unit]]


def _weights_seed(of: NetworkChoice, plan: Plan) -> int:
    """The seed that the weights are drawn from, where they are random; 0 for others, which are the same for all plans."""
    return plan.seed if of.weights == "random" else 0


def _state_of_files(of: NetworkChoice) -> tuple[tuple[int, int], ...]:
    """Size and time of the files that the network is read from, which change when they are written anew."""
    paths = local_path(of.network, "network"), local_path(of.weights, "file of weights")
    return tuple((path.stat().st_size, path.stat().st_mtime_ns) for path in paths if os.path.isfile(path))


@functools.lru_cache(maxsize=1)
def _programs(of: NetworkChoice, network: Network, seed: int, files: tuple[tuple[int, int], ...]) -> Programs:
    """The programs of the network with its weights, which are drawn from the seed where they are random."""
    return Programs(network, load_weights(network, of.weights, seed, Path(of.network)), of.precision)
