"""The worker of a build: the network with its compiled programs in one process, which makes units and ranks layers.

The process may be another one than that which runs the build, on another machine. So a worker checks first that its process
computes what the build was begun with, and that it sees the folder of the build.
"""

from __future__ import annotations

import functools
import gc
import json
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from amaxds.builds.executors.base import Check
from amaxds.builds.shards import WORK, BuildShards, LayerKey, layer_key, write_shard
from amaxds.builds.synthesis import activation_ranks, layer_scores, synthesise
from amaxds.compute import backend, environment
from amaxds.compute.memory import memory_errors, require_memory
from amaxds.compute.networks import has_loops
from amaxds.compute.programs import Programs
from amaxds.compute.weights import Weights
from amaxds.dataset.build_info import BuildIdentity
from amaxds.dataset.build_reader import require_same
from amaxds.errors import AmaxdsError
from amaxds.image import decode_png
from amaxds.spec.network import Network
from amaxds.spec.plan import Plan, Unit
from amaxds.storage.location import Location
from amaxds.storage.values import digest_of

Ranks = dict[int, tuple[int, int]]
"""For each filter of a layer, the rank of its image, and the filter whose image excites it most."""

_THREADS_OF_GPU = 8
"""The most that are used: while some wait for the GPU, others draw start images, compile, or write files. Each of them holds
the images of a unit."""


@dataclass(frozen=True)
class BuildJob:
    """What a worker has to know of a build."""

    plan: Plan
    weights: Weights
    location: Location
    """The dataset folder. It is absolute, as the working directory of another process may differ."""
    identity: BuildIdentity

    @functools.cached_property
    def shards(self) -> BuildShards:
        """The shards in the dataset folder."""
        return BuildShards(self.plan, self.location / WORK / "shards", self.identity.digest)


def process_entries(network: Network, threads: int) -> dict[str, Any]:
    """The part of a build's identity that is known only in the process that computes: its software and its device."""
    backend.start(threads, has_loops(network))
    return {"software": environment.software(), "device": environment.device()}


def entries_to_begin_with(plan: Plan, weights: Weights, threads: int) -> dict[str, Any]:
    """`process_entries` for a build that is to begin. UsageError where its images, as they are saved, could not be ranked."""
    entries, network = process_entries(plan.network, threads), plan.network
    with memory_errors(plan.batch_size, threads):
        programs = Programs(network, weights)
        for side in sides_to_try(plan):
            programs.require_side(side, [network.layer(name) for name in plan.scope])
    del programs
    gc.collect()  # Traced programs refer to themselves.
    return entries


def sides_to_try(plan: Plan) -> list[int]:
    """The sides of images, as they are saved, of which only the network's model can say whether it takes them: those that are
    not its canvas."""
    network = plan.network
    return sorted({recipe.image_side(network) for recipe in plan.recipes} - {network.canvas}) if network.has_keras_model else []


class Worker:
    """Makes the units and ranks the layers of one build. Its methods may be called from several threads.

    missing: the units that are still to be made, to see whether they fit into the memory. threads: of this process.

    UsageError if this process would make other pixels than the build has; AmaxdsError if it does not see the build's folder;
    OutOfMemory.
    """

    def __init__(self, job: BuildJob, missing: Sequence[Unit], threads: int) -> None:
        plan = job.plan
        with memory_errors(plan.batch_size, threads):
            here = process_entries(plan.network, threads)
            require_same(job.location, job.identity.as_json(), job.identity.on(here))
            _require_seen(job)
            on_gpu = here["device"]["kind"] == "gpu"
            self.threads = min(threads, _THREADS_OF_GPU) if on_gpu else threads
            if not on_gpu:
                require_memory(missing, plan.batch_size, threads)
            self._job, self._programs = job, Programs(plan.network, job.weights, plan.precision)
        self._lock, self._left = threading.Lock(), Counter(layer_key(unit) for unit in missing)

    def make(self, unit: Unit, check: Check) -> Ranks | None:
        """Make the images of a unit and write its shard. The ranks of its layer, if that was the last unit which the layer
        missed and this worker has made all of them."""
        plan, shards, key = self._job.plan, self._job.shards, layer_key(unit)
        with memory_errors(plan.batch_size, self.threads):
            write_shard(shards.folder, unit, shards.build_digest, synthesise(plan, self._programs, unit, check))
        with self._lock:
            self._left[key] -= 1
            ended = not self._left[key]
        return self.rank(key, check) if ended else None

    def rank(self, key: LayerKey, check: Check) -> Ranks:
        """The ranks of the images of a layer, all of whose units are made. Its programs are let go of."""
        plan, rows = self._job.plan, list(self._job.shards.rows(key))
        unit = self._job.shards.layers[key][0]
        filters, images = [row["filter"] for row in rows], [decode_png(row["image"]) for row in rows]
        with memory_errors(plan.batch_size, self.threads):
            scores = layer_scores(self._programs, unit.recipe, unit.layer, filters, images, plan.batch_size, check)
        self._programs.forget(unit.recipe, unit.layer)
        ranks = activation_ranks(scores)
        return {filter: (rank, filters[best]) for filter, (rank, best) in zip(filters, ranks, strict=True)}


def _require_seen(job: BuildJob) -> None:
    """AmaxdsError where the dataset folder, as this process sees it, is not that of the build."""
    file = job.location / WORK / "build.json"
    try:
        seen = digest_of(json.loads(file.read_text("utf-8")))
    except (OSError, ValueError) as error:
        seen = type(error).__name__
    if seen != job.identity.digest:
        raise AmaxdsError(f"{file} is not that of the build there ({seen}).", "Choose an OUT that all nodes see by that name.")
