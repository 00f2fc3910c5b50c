"""The command as users run it, and other programs, each in a process of its own."""

from __future__ import annotations

import functools
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from multiprocessing import forkserver
from pathlib import Path

import pytest

from support.huggingface_server import CLIENT

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(__file__).parent / "programs"
SMALL = (
    *("--network", "demo", "--recipe", "original", "--steps", "3"),
    *("--layers", "block1_conv1,block2_conv2,block3_conv1", "--filters", "0-7"),
)
"""Arguments of a build of three layers of the demo network, eight filters each, three steps."""


_READ_AT_IMPORT = (
    *("DATASETS_", "DNNL_", "HF_", "JAX_", "KERAS_", "MPL", "NVIDIA_", "ONEDNN_", "OMP_", "PYTHON", "TF_", "XLA_", "XDG_"),
)
"""How the names of variables begin that libraries read when they are imported, or when they start."""
_READ_LATER = ("HF_TOKEN",)
_SET_BY_BACKENDS = ("JAX_", "KERAS_BACKEND", "KERAS_NNX_ENABLED", "TF2_", "TF_", "XLA_")
FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(["support.preloaded"])


def amaxds(
    *arguments: object, cwd: Path | None = None, timeout: float = 300, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own.

    The process is forked from one that has loaded the libraries already, which saves five seconds; where a variable is set that
    libraries read when they are imported, it is started anew.
    """
    # What a backend that runs in this process has set is not for others.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_SET_BY_BACKENDS)}
    variables = kept | environment
    if _at_import(variables) != _VARIABLES_AT_IMPORT:
        return _run("-m", "amaxds", *arguments, cwd=cwd, timeout=timeout, variables=variables)
    with tempfile.TemporaryDirectory() as folder:
        files = [os.path.join(folder, name) for name in ("stdout", "stderr")]
        words = ["amaxds", *map(str, arguments)]
        prepare_to_fork()
        process = FORKED.Process(target=_command, args=(words, cwd or Path.cwd(), dict(variables), *files))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(words, timeout)
        out, err = (Path(file).read_text() if os.path.exists(file) else "" for file in files)
        return subprocess.CompletedProcess(words, process.exitcode, out, err)


@functools.cache
def prepare_to_fork() -> None:
    """Start the process that commands are forked from. It finds its modules by PYTHONPATH alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, sys.path)]))
        forkserver.ensure_running()


def _at_import(variables: Mapping[str, str]) -> dict[str, str]:
    found = {name: value for name, value in variables.items() if name.startswith(_READ_AT_IMPORT)}
    return {name: value for name, value in found.items() if name not in _READ_LATER}


os.environ.update(CLIENT)  # For all tests alike, so that commands that ask the Hub can be forked too.
_VARIABLES_AT_IMPORT = {name: value for name, value in _at_import(os.environ).items() if not name.startswith(_SET_BY_BACKENDS)}


def _command(words: list[str], cwd: Path, variables: dict[str, str], out: str, err: str) -> None:
    """What the forked process does: the command, as its own program would do it."""
    for number, file in ((1, out), (2, err)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(cwd)
    sys.argv = words
    from amaxds.__main__ import main

    main()


def run_program(
    name: str, *arguments: object, cwd: Path | None = None, timeout: float = 300, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run one of the programs beside this module, in which a warning of a library is no error."""
    return _run("-W", "ignore", PROGRAMS / name, *arguments, cwd=cwd, timeout=timeout, variables=os.environ | environment)


def _run(
    *arguments: object, cwd: Path | None, timeout: float, variables: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=dict(variables),
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
