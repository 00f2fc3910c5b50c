"""The build: from a plan to a finished dataset folder, resumable at any moment.

    OUT/.amaxds/build.json              the identity that the folder was begun with
    OUT/.amaxds/shards/<recipe>/*.parquet   one per finished unit
    OUT/.amaxds/lock                    held while a build runs
    OUT/build.json                      written last: its presence means finished

Until OUT/build.json is there, everything else outside .amaxds may be written again from the shards.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import filelock

from amaxds import backend, engine, provenance
from amaxds.convolution import has_loops
from amaxds.errors import DamagedShard, UsageError
from amaxds.files import disk_errors, move_whole, write_json
from amaxds.findings import Report
from amaxds.image import decode_png
from amaxds.memory import memory_errors, require_memory
from amaxds.packaging import Begun, write_dataset
from amaxds.plan import Plan, Unit
from amaxds.program import Programs
from amaxds.progress import BuildProgress
from amaxds.recipe import Recipe
from amaxds.shard import WORK, Row, read_shard, shard_path, write_shard
from amaxds.synthesis import activation_ranks, layer_scores, synthesise
from amaxds.validate import validate
from amaxds.weights import Weights


def build(out: Path, plan: Plan, weights: Weights, workers: int | None = None) -> Report:
    """Make the dataset of the plan in the folder `out`, or go on where an earlier run of the same build stopped.

    Ends by validating the folder, and returns what that found.

    Raises UsageError for a folder that is in use, not writable, holds something else, or holds another build; DiskError where
    writing fails; OutOfMemory. Finished units stay, whatever ends the build; the same call goes on from them.
    """
    begun, asked = Begun(), provenance.make_identity(plan, weights.source, weights.digest)
    _require_usable(out)
    finished, work = out / "build.json", out / WORK
    if not finished.exists():
        with _locked(work):
            if not finished.exists():
                threads = workers or engine.cores()
                with memory_errors(plan.batch_size, threads):
                    _run(out, plan, weights, asked, threads, begun)
    shutil.rmtree(work, ignore_errors=True)  # Of a finished build nobody needs it, whoever else is looking.
    stored = _read_json(finished)
    provenance.require_same(out, {key: stored.get(key) for key in asked}, asked)
    return validate(out)


def _run(out: Path, plan: Plan, weights: Weights, asked: provenance.Identity, workers: int, begun: Begun) -> None:
    """Run what is missing and package all."""
    backend.start(workers, has_loops(plan.network))
    device = backend.device()
    identity = asked | {"software": backend.software(), "device": device}
    work = out / WORK
    if (work / "build.json").exists():
        stored = _read_json(work / "build.json")
        provenance.require_same(out, stored, identity)
        identity = stored
    else:
        write_json(work / "build.json", identity)
    build_digest = provenance.digest_of(identity)
    programs = Programs(plan.network, weights, plan.precision)
    workers = min(workers, 2) if device["kind"] == "gpu" else workers  # There one runs while another is prepared.

    with BuildProgress(plan.images) as progress:
        missing = _missing_units(plan, work / "shards", build_digest, progress)
        if device["kind"] == "cpu":
            require_memory(missing, plan.batch_size, workers)

        def make(unit: Unit, check: engine.Check) -> None:
            write_shard(work / "shards", unit, build_digest, synthesise(plan, programs, unit, check))

        for unit, _ in engine.run_local(_interleaved(missing, workers), make, workers):
            progress.unit_done(unit)
        progress.stage("ranking")
        ranked = _Ranked(plan, programs, work / "shards", build_digest, workers)
        progress.stage("packaging")
        _package(out, plan, identity, ranked, begun)
        progress.say("validating")


def _missing_units(plan: Plan, shards: Path, build_digest: str, progress: BuildProgress) -> list[Unit]:
    missing, kept = [], 0
    for unit in plan.units():
        if shard_path(shards, unit).exists():
            try:
                read_shard(shards, unit, build_digest)
                kept += len(unit.wanted)
                continue
            except DamagedShard as damage:
                progress.say(f"{damage.problem} It is made again.")
        missing.append(unit)
    progress.kept(kept)
    return missing


def _interleaved(units: Iterable[Unit], workers: int) -> Iterator[Unit]:
    """The units of as many layers as there are workers in turn: so workers compile side by side, each another layer."""
    layers = [list(group) for _, group in itertools.groupby(units, key=lambda unit: (unit.recipe.name, unit.layer.name))]
    for first in range(0, len(layers), workers):
        for turn in itertools.zip_longest(*layers[first : first + workers]):
            yield from filter(None, turn)


class _Ranked:
    """All rows of a finished plan with their ranks, read from the shards again at every pass: memory stays bounded."""

    def __init__(self, plan: Plan, programs: Programs, shards: Path, build_digest: str, workers: int) -> None:
        self._plan, self._shards, self._build_digest = plan, shards, build_digest
        self._units: dict[tuple[str, str], list[Unit]] = {}
        for unit in plan.units():
            self._units.setdefault((unit.recipe.name, unit.layer.name), []).append(unit)

        def rank(key: tuple[str, str], check: engine.Check) -> dict[int, tuple[int, int]]:
            recipe, layer = self._units[key][0].recipe, self._units[key][0].layer
            rows = list(self._rows_of(key))
            filters, images = [row["filter"] for row in rows], [decode_png(row["image"]) for row in rows]
            scores = layer_scores(programs, recipe, layer, filters, images, plan.batch_size, check)
            ranks = activation_ranks(scores)
            return {filter: (rank, filters[best]) for filter, (rank, best) in zip(filters, ranks, strict=True)}

        self._ranks = dict(engine.run_local(self._units, rank, workers))

    def _rows_of(self, key: tuple[str, str]) -> Iterator[Row]:
        for unit in self._units[key]:
            yield from read_shard(self._shards, unit, self._build_digest)

    def rows(self, recipe: Recipe) -> Iterator[Row]:
        """Complete records of one recipe in (layer, filter) order."""
        for key in self._units:
            if key[0] == recipe.name:
                for row in self._rows_of(key):
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
