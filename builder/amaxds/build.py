"""The build: from a plan to a finished dataset folder, resumable at any moment.

    OUT/.amaxds/build.json              the identity that the folder was begun with
    OUT/.amaxds/shards/<recipe>/*.parquet   one per finished unit
    OUT/.amaxds/lock                    held while a build runs
    OUT/build.json                      written last: its presence means finished

Until OUT/build.json is there, everything else outside .amaxds may be written again from the shards.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import filelock

from amaxds import backend, provenance
from amaxds.engine import Engine, Load
from amaxds.errors import DamagedShard, UsageError
from amaxds.files import disk_errors, move_whole, write_json
from amaxds.findings import Report
from amaxds.packaging import Begun, write_dataset
from amaxds.plan import Plan, Unit, operations_per_step
from amaxds.progress import BuildProgress
from amaxds.recipe import Recipe
from amaxds.shard import WORK, Row, read_shard, shard_path
from amaxds.site import Job, LayerKey, Ranks, Site, describe, layer_key
from amaxds.validate import validate
from amaxds.weights import Weights


def build(out: Path, plan: Plan, weights: Weights, engine: Engine) -> Report:
    """Make the dataset of the plan in the folder `out`, or go on where an earlier run of the same build stopped.

    Ends by validating the folder, and returns what that found.

    Raises UsageError for a folder that is in use, not writable, holds something else, or holds another build; DiskError where
    writing fails; OutOfMemory; what the engine raises where it cannot go on. Finished units stay, whatever ends the build; the
    same call goes on from them.
    """
    begun, asked = Begun(), provenance.make_identity(plan, weights.source, weights.digest)
    _require_usable(out)
    finished, work = out / "build.json", out / WORK
    if not finished.exists():
        with _locked(work):
            if not finished.exists():
                _run(out, plan, weights, asked, engine, begun)
    shutil.rmtree(work, ignore_errors=True)  # Of a finished build nobody needs it, whoever else is looking.
    stored = _read_json(finished)
    provenance.require_same(out, {key: stored.get(key) for key in asked}, asked)
    return validate(out)


def _run(out: Path, plan: Plan, weights: Weights, asked: provenance.Identity, engine: Engine, begun: Begun) -> None:
    """Run what is missing and package all."""
    work = out / WORK
    if (work / "build.json").exists():
        identity = _read_json(work / "build.json")
        provenance.require_same(out, {key: identity.get(key) for key in asked}, asked)
    else:
        identity = asked | engine.first(functools.partial(describe, plan.network))
        write_json(work / "build.json", identity)
    job = Job(plan, weights, out.absolute(), identity, ())
    missing, damaged = _missing_units(job)
    job = dataclasses.replace(job, missing=missing)
    engine.open(functools.partial(Site, job))
    _require_writer(identity)

    with BuildProgress(plan.images) as progress:
        for each in damaged:
            progress.say(f"{each.problem} It is made again.")
        progress.kept(plan.images - sum(len(unit.wanted) for unit in missing))
        loads = {unit: Load(f"{unit.recipe.name} {unit.name}", layer_key(unit), plan.operations(unit)) for unit in missing}
        for unit, _ in engine.run(loads, Site.make):
            progress.unit_done(unit)
        progress.stage("ranking")
        layers = {key: Load(f"ranks of {key[0]} {key[1]}", key, _scoring(plan, units)) for key, units in job.units.items()}
        ranks = dict(engine.run(layers, Site.rank))
        progress.stage("packaging")
        _package(out, plan, identity, _Ranked(job, ranks), begun)
        progress.say("validating")


def _missing_units(job: Job) -> tuple[list[Unit], list[DamagedShard]]:
    """The units that have no whole shard, and what is wrong with those shards that are there."""
    missing, damaged = [], []
    for unit in job.plan.units():
        if shard_path(job.shards, unit).exists():
            try:
                read_shard(job.shards, unit, job.digest)
                continue
            except DamagedShard as damage:
                damaged.append(damage)
        missing.append(unit)
    return missing, damaged


def _scoring(plan: Plan, units: Sequence[Unit]) -> float:
    """Floating-point operations of ranking a layer, about: a forward pass for each image."""
    return sum(len(unit.wanted) for unit in units) * operations_per_step(units[0].layer) / 2


def _require_writer(identity: provenance.Identity) -> None:
    """UsageError where this process, which writes the dataset's files, has other libraries for that than the build."""
    software = identity.get("software")
    if not isinstance(software, Mapping):
        return  # Every site refuses it.
    for name in ("amaxds", *(each for each in software if each not in (*backend.PIXEL_SOFTWARE, "python"))):
        if (here := backend.version_of(name)) != software[name]:
            raise UsageError(
                f"{name} is {here} here, and {software[name]} where the images are made.",
                "This process writes the dataset's files: install the same version.",
            )


class _Ranked:
    """All rows of a finished plan with their ranks, read from the shards again at every pass: memory stays bounded."""

    def __init__(self, job: Job, ranks: Mapping[LayerKey, Ranks]) -> None:
        self._job, self._ranks = job, ranks

    def rows(self, recipe: Recipe) -> Iterator[Row]:
        """Complete records of one recipe in (layer, filter) order."""
        for key in self._job.units:
            if key[0] == recipe.name:
                for row in self._job.rows_of(key):
                    yield row | {"activation_rank": self._ranks[key][row["filter"]][0]}

    def beaten(self, recipe: Recipe) -> list[dict[str, Any]]:
        """The living images of one recipe that another image beats, by the filter whose image is the best for theirs."""
        found = []
        for row in self.rows(recipe):
            rank, best = self._ranks[recipe.name, row["layer"]][row["filter"]]
            if rank > 1 and row["status"] == "alive":
                found.append({"layer": row["layer"], "filter": row["filter"], "rank": rank, "best": best})
        return found


def _package(out: Path, plan: Plan, identity: provenance.Identity, ranked: _Ranked, begun: Begun) -> None:
    """Write everything beside .amaxds into .amaxds/packaged, then move it into place, build.json last."""
    packaged, scratch = out / WORK / "packaged", out / WORK / "scratch"
    rows = {recipe.name: functools.partial(ranked.rows, recipe) for recipe in plan.recipes}
    beaten = {recipe.name: ranked.beaten(recipe) for recipe in plan.recipes}
    command = provenance.command_of(identity)
    try:
        for folder in (packaged, scratch):
            shutil.rmtree(folder, ignore_errors=True)
            with disk_errors(folder):
                folder.mkdir()
        write_dataset(packaged, scratch, out.resolve().name, plan.network, identity, command, rows, beaten, begun)
        shutil.rmtree(scratch, ignore_errors=True)  # From here on nothing takes room: a disk that was not full yet stays so.
        files = [path.relative_to(packaged) for path in packaged.rglob("*") if path.is_file()]
        for file in sorted(files, key=lambda each: (each.name == "build.json", each)):
            move_whole(packaged / file, out / file)
    finally:
        for folder in (packaged, scratch):  # On a full disk, half a dataset is in the way.
            shutil.rmtree(folder, ignore_errors=True)


def _require_usable(out: Path) -> None:
    """UsageError where the folder is a file, has a name that no card can hold, or holds anything that no build put there."""
    with disk_errors(out):
        if not out.resolve().name.isprintable():
            raise UsageError(f"the name of {str(out)!r} has characters that cannot be printed.", "Choose another OUT.")
        if not out.exists() and not out.is_symlink():
            return
        if not out.is_dir():
            raise UsageError(f"{out} is not a folder.", "Choose another OUT.")
        # Another build may end meanwhile: build.json is there before .amaxds goes, so it is looked for last.
        found = sorted(path.name for path in out.iterdir())
        if (out / WORK).is_file():
            raise UsageError(
                f"{out / WORK} is not a folder, so {out} holds no build.", "Choose another OUT, or delete that file."
            )
        begun = (out / WORK / "build.json").exists() or found == [WORK]
        if found and not begun and not (out / "build.json").exists():
            raise UsageError(
                f"{out} is not empty and holds no build (it has {found[0]!r}).", "Choose another OUT, or empty it."
            )


@contextlib.contextmanager
def _locked(work: Path) -> Iterator[None]:
    """Hold the build's working folder; the operating system lets go of it however the process ends."""
    try:
        with disk_errors(work):
            lock = _lock(work)
    except filelock.Timeout:
        raise UsageError(f"another build is running in {work.parent}.", "Wait for it, or choose another OUT.") from None
    with lock:
        yield


def _lock(work: Path, tries: int = 100) -> contextlib.AbstractContextManager[Any]:
    """The lock, taken. Another build that ends may remove the folder between its making and the opening of the lock in it."""
    while True:
        tries -= 1
        try:
            work.mkdir(parents=True, exist_ok=True)
            return filelock.FileLock(work / "lock", timeout=0).acquire()
        except (FileNotFoundError, FileExistsError):
            if not tries or work.is_symlink():
                raise


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read ({error}).", "Choose another OUT, or delete that folder.") from error
    if not isinstance(value, dict):
        raise UsageError(f"{path} is not a build's own file.", "Choose another OUT, or delete that folder.")
    return value
