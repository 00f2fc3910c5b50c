"""The build: from a plan to a finished dataset folder, resumable at any moment.

    OUT/.amaxds/build.json              the identity that the folder was begun with
    OUT/.amaxds/shards/<recipe>/*.parquet   one per finished unit
    OUT/.amaxds/lock                    held while a build runs
    OUT/build.json                      written last: its presence means finished

Until OUT/build.json is there, everything else outside .amaxds may be written again from the shards.

OUT may be in a store. There is no lock there, as two builds of the same identity write the same bytes and any other build is
refused. The dataset's files are then made on this machine from a copy of the shards.
"""

from __future__ import annotations

import contextlib
import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from amaxds.builds.estimate import unit_cost
from amaxds.builds.executors.base import Executor, Load
from amaxds.builds.progress import BuildProgress
from amaxds.builds.shards import WORK, BuildShards, LayerKey, layer_key
from amaxds.builds.workdir import local_working_folder, locked, require_usable
from amaxds.builds.worker import BuildJob, Ranks, Worker, entries_to_begin_with, process_entries, sides_to_try
from amaxds.compute import environment
from amaxds.compute.weights import Weights
from amaxds.dataset.build_info import BuildIdentity, BuildRequest, Software
from amaxds.dataset.build_reader import require_same
from amaxds.dataset.writer import Begun, RankedRow, write_dataset
from amaxds.errors import DamagedShard, UsageError, in_words
from amaxds.spec.plan import Plan, Unit, operations_per_step
from amaxds.storage.files import disk_errors, json_bytes, remove
from amaxds.storage.location import LocalPath, Location


def build(out: Location, plan: Plan, weights: Weights, executor: Executor) -> None:
    """Make the dataset of the plan in the folder `out`, or go on where an earlier run of the same build stopped.

    Whatever ends the build, finished units stay, and the same call goes on from them. Raises UsageError for a folder that is
    in use, is not writable, holds something else, or holds another build; DiskError or StoreError where writing fails;
    OutOfMemory; and what the executor raises when it cannot go on.
    """
    begun, asked = Begun(), BuildRequest.of_plan(plan, weights.source, weights.digest, weights.file)
    require_usable(out)
    finished, work = out / "build.json", out / WORK
    if not finished.exists():
        with locked(out):
            if not finished.exists():
                try:
                    _run(out, plan, weights, asked, executor, begun)
                except DamagedShard:
                    if not finished.exists():  # In a store, another build may finish, and delete what this one still needs.
                        raise
    work.remove()  # Of a finished build nobody needs it, whoever else is looking.
    require_same(out, _read_json(finished), asked)


def require_same_build(out: Location, plan: Plan) -> None:
    """UsageError where `out` has a build, begun or finished, of other images than the plan. Weights are not compared."""
    for path in (out / "build.json", out / WORK / "build.json"):
        if path.exists():
            stored = _read_json(path)
            network = stored.get("network")
            digest = str(network.get("weights_sha256")) if isinstance(network, dict) else ""
            found = digest if re.fullmatch("[0-9a-f]{64}", digest) else "0" * 64
            require_same(out, stored, BuildRequest.of_plan(plan, "pretrained", found, None))


def _run(out: Location, plan: Plan, weights: Weights, asked: BuildRequest, executor: Executor, begun: Begun) -> None:
    """Make the units that are missing, rank the images, and write the dataset."""
    work = out / WORK
    if not (work / "build.json").exists():
        begin = functools.partial(process_entries, plan.network)
        entries = executor.first(functools.partial(entries_to_begin_with, plan, weights) if sides_to_try(plan) else begin)
        with contextlib.suppress(FileExistsError):  # In a store, another build may begin at the same moment.
            (work / "build.json").write(json_bytes(asked.on(entries).as_json()), new=True)
    identity = _read_identity(work / "build.json", out, asked)
    job = BuildJob(plan, weights, out.absolute(), identity)
    with local_working_folder(out) as here:
        missing, damaged = BuildShards(plan, LocalPath(here / "shards"), identity.digest).missing()
    executor.open(functools.partial(Worker, job, missing))
    _require_writer(identity.software)

    kept = plan.images - sum(len(unit.wanted) for unit in missing)
    with BuildProgress(plan.network, missing, kept) as progress:
        progress.say(f"{plan.network.name}, {' and '.join(each.name for each in plan.recipes)}: {plan.images} images in {out}")
        progress.say("Ctrl-C is safe: the same command goes on.")
        if plan.network.note:
            progress.say(plan.network.note)
        for each in damaged:
            progress.say(f"{each.problem} It is made again.")
        loads = {
            unit: Load(f"{unit.recipe.name} {unit.name}", layer_key(unit), unit_cost(plan.network, unit)) for unit in missing
        }
        ranks: dict[LayerKey, Ranks] = {}
        for unit, of_its_layer in executor.run(loads, Worker.make):
            if of_its_layer is not None:
                ranks[layer_key(unit)] = of_its_layer
            progress.unit_done(unit)
        progress.stage("ranking")
        layers = {
            key: Load(f"ranks of {key[0]} {key[1]}", key, _scoring(units))
            for key, units in job.shards.layers.items()
            if key not in ranks
        }
        ranks |= executor.run(layers, Worker.rank)
        with local_working_folder(out) as here:
            progress.stage("packaging")
            _package(out, here, identity, BuildShards(plan, LocalPath(here / "shards"), identity.digest), ranks, begun)
        progress.say("validating")


def _scoring(units: Sequence[Unit]) -> float:
    """About how many floating-point operations it takes to rank a layer: a forward pass for each image."""
    return sum(len(unit.wanted) for unit in units) * operations_per_step(units[0].layer) / 2


def _require_writer(software: Software) -> None:
    """UsageError if this process, which writes the dataset's files, has other versions of the libraries for that."""
    for name, there in {"amaxds": software.amaxds, **(software.model_extra or {})}.items():
        if (name == "amaxds" or name not in environment.PIXEL_SOFTWARE) and (here := environment.version_of(name)) != there:
            raise UsageError(
                f"{name} is {here} here, and {there} where the images are made.",
                "This process writes the dataset's files: install the same version.",
            )


def _ranked_rows(shards: BuildShards, ranks: Mapping[LayerKey, Ranks], recipe: str) -> Iterator[RankedRow]:
    """All records of one recipe with their ranks, in (layer, filter) order, read from the shards one unit at a time."""
    for key in shards.layers:
        if key[0] == recipe:
            for row in shards.rows(key):
                rank, best = ranks[key][row["filter"]]
                yield row | {"activation_rank": rank}, best


def _package(
    out: Location, here: Path, identity: BuildIdentity, shards: BuildShards, ranks: Mapping[LayerKey, Ranks], begun: Begun
) -> None:
    """Write the dataset's files into a folder inside `here`, then move them to `out`, build.json last."""
    packaged = here / "packaged"
    rows = {recipe.name: _ranked_rows(shards, ranks, recipe.name) for recipe in shards.plan.recipes}
    try:
        remove(packaged)
        with disk_errors(packaged):
            packaged.mkdir()
        write_dataset(packaged, out.name, identity, rows, begun)
        files = [path.relative_to(packaged) for path in packaged.rglob("*") if path.is_file()]
        for file in sorted(files, key=lambda each: (each.name == "build.json", each)):
            (out / file).put(packaged / file)
    finally:
        remove(packaged)  # On a full disk, half a dataset is in the way.


def _read_identity(path: Location, out: Location, asked: BuildRequest) -> BuildIdentity:
    """The identity that the folder's build was begun with; UsageError if it is not one of what is asked for."""
    stored = _read_json(path)
    require_same(out, stored, asked)
    try:
        return BuildIdentity.model_validate(stored)
    except ValueError as error:
        raise UsageError(f"{path} cannot be read ({in_words(error)}).", "Choose another OUT, or delete that folder.") from error


def _read_json(path: Location) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read ({error}).", "Choose another OUT, or delete that folder.") from error
    if not isinstance(value, dict):
        raise UsageError(f"{path} is not a build's own file.", "Choose another OUT, or delete that folder.")
    return value
