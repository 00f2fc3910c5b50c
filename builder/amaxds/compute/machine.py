"""The machine: its cores, and the memory that this process may still take."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path


def available_bytes() -> int | None:
    """What this process may still take: of the machine's memory, its control group's and its own limits. None: not known."""
    known = [*_of_the_machine(), *_of_the_group(), *_of_the_process()]
    return max(min(known), 0) if known else None


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


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
