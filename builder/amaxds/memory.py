"""Memory: what the programs of a build take at the least, what there is, and the error where that is less.

Where a system gives out more memory than it has, nothing can be caught: it kills the process. So it is asked beforehand.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from amaxds import backend
from amaxds.convolution import has_loops
from amaxds.engine import Engine
from amaxds.errors import OutOfMemory
from amaxds.network import Network
from amaxds.plan import Plan, Unit
from amaxds.program import PROGRAMS_ON_GPU


def least_bytes(units: Sequence[Unit], workers: int) -> int:
    """What the ascents that run side by side hold at the least.

    A gradient needs what it has seen of all maps before the layer at once. By XLA's own account a step takes 0.96 to 4.4 times
    as much as those maps, so nine tenths of them are asked for.
    """
    together = Counter((unit.recipe.name, unit.layer.name) for unit in units)
    side_by_side = (min(workers, together[unit.recipe.name, unit.layer.name]) for unit in units)
    maps = (count * len(unit.rows) * 4 * unit.layer.values for count, unit in zip(side_by_side, units, strict=True))
    return max(maps, default=0) * 9 // 10


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
    limit = backend.gpu_bytes()
    return None if limit is None else batch_size_within(network, limit)


def batch_size_within(network: Network, limit: int) -> int:
    """The most images, a power of two up to 128, for which the programs that run at once surely fit into so many bytes: a step
    takes up to 4.4 times as much as the maps of all layers, so five times as much is given to each."""
    fitting = limit // (PROGRAMS_ON_GPU * 5 * 4 * max(layer.values for layer in network.layers))
    return 1 << (min(max(fitting, 1), 128).bit_length() - 1)


def available_bytes() -> int | None:
    """What this process may still take: of the machine's memory, its control group's and its own limits. None: not known."""
    known = [*_of_the_machine(), *_of_the_group(), *_of_the_process()]
    return max(min(known), 0) if known else None


def require_memory(units: Sequence[Unit], batch_size: int, workers: int) -> None:
    """OutOfMemory where the units cannot fit."""
    least, available = least_bytes(units, workers), available_bytes()
    if available is not None and least > available:
        needs = f"needs {least / 1e9:.1f} GB or more, and {available / 1e9:.1f} GB are left"
        raise out_of_memory(needs, batch_size, workers)


@contextlib.contextmanager
def memory_errors(batch_size: int, workers: int) -> Iterator[None]:
    """Turn what says, in whatever words, that memory has run out into OutOfMemory."""
    try:
        yield
    except Exception as error:
        if not backend.is_out_of_memory(error):
            raise
        raise out_of_memory("needs more than there is", batch_size, workers) from error


def out_of_memory(what: str, batch_size: int, workers: int) -> OutOfMemory:
    fewer = "with --workers 1 to go on, or " if workers > 1 else ""
    return OutOfMemory(
        f"out of memory: --batch-size {batch_size} on {workers} {'workers' if workers > 1 else 'worker'} {what}.",
        f"Run the same command {fewer}with a smaller --batch-size in a new OUT.",
    )


def _of_the_machine() -> Iterator[int]:
    free = _numbers(Path("/proc/meminfo"))
    if "MemAvailable" in free:
        yield 1024 * (free["MemAvailable"] + free.get("SwapFree", 0))


def _of_the_group() -> Iterator[int]:
    """What control groups (version 2) allow, from this process's own up; file caches are given back when needed."""
    with contextlib.suppress(OSError, ValueError):
        own = re.search(r"^0::/(.*)$", Path("/proc/self/cgroup").read_text(), re.MULTILINE)
        group = Path("/sys/fs/cgroup") / (own[1] if own else "")
        for folder in (group, *group.parents):
            if (folder / "memory.max").is_file() and (most := (folder / "memory.max").read_text().strip()) != "max":
                cached = _numbers(folder / "memory.stat").get("inactive_file", 0)
                yield int(most) - int((folder / "memory.current").read_text()) + cached


def _of_the_process() -> Iterator[int]:
    if sys.platform != "linux":
        return
    import resource

    used = _numbers(Path("/proc/self/status"))
    for limit, name in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")):
        most, _ = resource.getrlimit(limit)
        if most != resource.RLIM_INFINITY and name in used:
            yield most - 1024 * used[name]


def _numbers(path: Path) -> dict[str, int]:
    """Lines of a name and a number."""
    try:
        return {name: int(value) for name, value in re.findall(r"^(\w+):?\s+(\d+)", path.read_text(), re.MULTILINE)}
    except OSError:
        return {}
