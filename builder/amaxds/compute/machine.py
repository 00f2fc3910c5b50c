"""The machine: the cores of this process, the memory that it may still take, and how it starts other processes."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGES = Path(__file__).parents[2]
"""The folder that this package is in."""
DEVICES = Path("/dev")


def python_command(*arguments: str) -> list[str]:
    """The command that runs Python with these arguments, so that it takes no module from the current folder. `-c` and a
    program's text come first; the text may import this package: this copy of it, if another is installed, too."""
    if arguments[0] == "-c":
        first = f"import sys; sys.path.insert(0, {str(PACKAGES)!r}); import amaxds; sys.path.append(sys.path.pop(0))"
        arguments = "-c", f"{first}; {arguments[1]}", *arguments[2:]
    return [sys.executable, "-P", *arguments]


def python_environment() -> dict[str, str]:
    """The environment variables for `python_command`: an empty part of PYTHONPATH would mean the current folder, and a
    notebook's kernel names a matplotlib backend that only works in the kernel."""
    variables = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    if "PYTHONPATH" in variables:
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, variables["PYTHONPATH"].split(os.pathsep)))
    return variables


def run_python(*arguments: str, seconds: float | None = None) -> subprocess.CompletedProcess[str]:
    """Run `python_command` to its end; subprocess.TimeoutExpired where it takes longer than that."""
    return subprocess.run(
        python_command(*arguments),
        env=python_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds,
        check=False,
    )


def open_standard_streams() -> None:
    """Give this process a standard input, output and error where they were closed: the next file would get their number."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # The lowest number that is free.
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, closefd=False))


def available_bytes() -> int | None:
    """The memory that this process may still take, by the machine's free memory and by the limits of its control groups and of
    the process itself. None where nothing is known of them."""
    known = [*_of_the_machine(), *_of_the_group(), *_of_the_process()]
    return max(min(known), 0) if known else None


def _of_the_machine() -> Iterator[int]:
    free = _numbers(Path("/proc/meminfo"))
    if "MemAvailable" in free:
        yield 1024 * (free["MemAvailable"] + free.get("SwapFree", 0))


def _of_the_group() -> Iterator[int]:
    """What the process's control group (version 2) and those around it still allow. Cached files count as free, because the
    system drops them when memory is needed."""
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
    """The numbers, by name, in a file with a name and a number on each line."""
    try:
        return {name: int(value) for name, value in re.findall(r"^(\w+):?\s+(\d+)", path.read_text(), re.MULTILINE)}
    except OSError:
        return {}


def has_nvidia_gpu() -> bool:
    """Whether there is one that this process sees, found out without loading a backend: a device of any number, or that of
    Windows's subsystem for Linux, which CUDA_VISIBLE_DEVICES does not hide."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        return False
    return any(DEVICES.glob("nvidia[0-9]*")) or (DEVICES / "dxg").exists()


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
