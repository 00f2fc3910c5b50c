"""The command as users run it, and other programs, each in a process of its own."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(__file__).parent / "programs"
SMALL = (
    *("--network", "demo", "--recipe", "original", "--steps", "3"),
    *("--layers", "block1_conv1,block2_conv2,block3_conv1", "--filters", "0-7"),
)
"""Arguments of a build of three layers of the demo network, eight filters each, three steps."""


def amaxds(
    *arguments: object, cwd: Path | None = None, timeout: float = 300, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    return _run("-m", "amaxds", *arguments, cwd=cwd, timeout=timeout, **environment)


def run_program(
    name: str, *arguments: object, cwd: Path | None = None, timeout: float = 300, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run one of the programs beside this module, in which a warning of a library is no error."""
    return _run("-W", "ignore", PROGRAMS / name, *arguments, cwd=cwd, timeout=timeout, **environment)


def _run(*arguments: object, cwd: Path | None, timeout: float, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def start_build(
    folder: Path | str, *arguments: object, file_size: int | None = None, cwd: Path | None = None, **environment: str
) -> subprocess.Popen[str]:
    """Begin a build; file_size: the largest file in bytes that the operating system lets it write."""

    def limit() -> None:
        if file_size is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))

    return subprocess.Popen(
        [sys.executable, "-m", "amaxds", "build", str(folder), *map(str, arguments)],
        cwd=cwd,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=limit,
    )
