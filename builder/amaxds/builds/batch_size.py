"""The batch size of a build on a GPU, chosen by the memory of the GPU."""

from __future__ import annotations

import dataclasses
import functools

from amaxds.builds.executors.base import Executor
from amaxds.compute import backend, environment
from amaxds.compute.machine import has_nvidia_gpu
from amaxds.compute.memory import batch_size_within
from amaxds.compute.networks import has_loops
from amaxds.spec.network import Network
from amaxds.spec.plan import Plan


def with_batch_size_for(executor: Executor, plan: Plan) -> Plan:
    """The plan with as many images in a batch as the memory of the executor's GPU has room for; unchanged without GPU."""
    size = executor.first(functools.partial(_batch_size_on_gpu, plan.network))
    return plan if size is None else dataclasses.replace(plan, batch_size=size)


def _batch_size_on_gpu(network: Network, threads: int) -> int | None:
    """The batch size for the GPU of this process; None if there is no GPU, which is found out without loading a backend."""
    if not has_nvidia_gpu():
        return None
    backend.start(threads, has_loops(network))
    limit = environment.gpu_bytes()
    return None if limit is None else batch_size_within(network, limit)
