"""The batch size of a build on a GPU, from the memory that there is."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

from amaxds.builds.executors.base import Engine
from amaxds.compute import backend, environment
from amaxds.compute.memory import batch_size_within
from amaxds.compute.networks import has_loops
from amaxds.spec.network import Network
from amaxds.spec.plan import Plan


def with_batch_size_for(engine: Engine, plan: Plan) -> Plan:
    """The plan with as many images in one program as the memory of the engine's GPU has room for; where it has none, as it
    is."""
    size = engine.first(functools.partial(_batch_size_on_gpu, plan.network))
    return plan if size is None else dataclasses.replace(plan, batch_size=size)


def _batch_size_on_gpu(network: Network, threads: int) -> int | None:
    """As many images as `batch_size_within` its memory; None where no GPU is, which is seen without loading a backend."""
    if not Path("/dev/nvidia0").exists():
        return None
    backend.start(threads, has_loops(network))
    limit = environment.gpu_bytes()
    return None if limit is None else batch_size_within(network, limit)
