"""Sites: the network with its compiled programs in one process, where a build's units are made and its layers ranked.

The process may be another than the one that runs the build, on another machine: it is checked to be what the build was begun
with, and to see the build's folder.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from amaxds.builds.executors.base import Check
from amaxds.builds.shards import WORK, Row, read_shard, write_shard
from amaxds.builds.synthesis import activation_ranks, layer_scores, synthesise
from amaxds.compute import backend, environment
from amaxds.compute.memory import memory_errors, require_memory
from amaxds.compute.networks import has_loops
from amaxds.compute.programs import Programs
from amaxds.compute.weights import Weights
from amaxds.dataset.build_info import BuildIdentity, digest_of
from amaxds.dataset.build_reader import require_same
from amaxds.errors import AmaxdsError
from amaxds.image import decode_png
from amaxds.spec.network import Network
from amaxds.spec.plan import Plan, Unit
from amaxds.storage.location import Location

LayerKey = tuple[str, str]
"""Recipe and layer."""
Ranks = dict[int, tuple[int, int]]
"""Filter -> its image's rank, and the filter whose image is the best for it."""

_THREADS_OF_GPU = 8
"""At most: while some wait for their turn on the GPU, others draw starts, compile, or write images. Each holds the images of
a unit."""


def layer_key(unit: Unit) -> LayerKey:
    return unit.recipe.name, unit.layer.name


@dataclass(frozen=True)
class Job:
    """What a site has to know of a build."""

    plan: Plan
    weights: Weights
    out: Location
    """The dataset folder; absolute, as another process may be somewhere else."""
    identity: BuildIdentity
    missing: Sequence[Unit]
    """The units that are still to be made."""

    @property
    def shards(self) -> Location:
        return self.out / WORK / "shards"

    @functools.cached_property
    def digest(self) -> str:
        return self.identity.digest

    @functools.cached_property
    def units(self) -> dict[LayerKey, list[Unit]]:
        """All units of the plan, in its order."""
        found: dict[LayerKey, list[Unit]] = {}
        for unit in self.plan.units():
            found.setdefault(layer_key(unit), []).append(unit)
        return found

    def rows_of(self, key: LayerKey) -> Iterator[Row]:
        """The rows of a layer whose units are all made, in the order of its filters; DamagedShard."""
        for unit in self.units[key]:
            yield from read_shard(self.shards, unit, self.digest)


def process_entries(network: Network, threads: int) -> dict[str, Any]:
    """The part of a build's identity that belongs to the process and its machine: software and device."""
    backend.start(threads, has_loops(network))
    return {"software": environment.software(), "device": environment.device()}


class Site:
    """Everything that is kept from unit to unit. Its methods may be called from several threads."""

    def __init__(self, job: Job, threads: int) -> None:
        """UsageError where this process makes other pixels than those of the build; AmaxdsError where it does not see the
        build's folder; OutOfMemory."""
        plan = job.plan
        with memory_errors(plan.batch_size, threads):
            here = process_entries(plan.network, threads)
            require_same(job.out, job.identity.as_json(), job.identity.on(here))
            _require_seen(job)
            on_gpu = here["device"]["kind"] == "gpu"
            self.threads = min(threads, _THREADS_OF_GPU) if on_gpu else threads
            if not on_gpu:
                require_memory(job.missing, plan.batch_size, threads)
            self._job, self._programs = job, Programs(plan.network, job.weights, plan.precision)

    def make(self, unit: Unit, check: Check) -> None:
        """Write the unit's shard."""
        plan = self._job.plan
        with memory_errors(plan.batch_size, self.threads):
            write_shard(self._job.shards, unit, self._job.digest, synthesise(plan, self._programs, unit, check))

    def rank(self, key: LayerKey, check: Check) -> Ranks:
        """The ranks of a layer whose units are all made."""
        plan, rows = self._job.plan, list(self._job.rows_of(key))
        unit = self._job.units[key][0]
        filters, images = [row["filter"] for row in rows], [decode_png(row["image"]) for row in rows]
        with memory_errors(plan.batch_size, self.threads):
            scores = layer_scores(self._programs, unit.recipe, unit.layer, filters, images, plan.batch_size, check)
        ranks = activation_ranks(scores)
        return {filter: (rank, filters[best]) for filter, (rank, best) in zip(filters, ranks, strict=True)}


def _require_seen(job: Job) -> None:
    file = job.out / WORK / "build.json"
    try:
        seen = digest_of(json.loads(file.read_text("utf-8")))
    except (OSError, ValueError) as error:
        seen = type(error).__name__
    if seen != job.digest:
        raise AmaxdsError(f"{file} is not that of the build there ({seen}).", "Choose an OUT that all nodes see by that name.")
