"""The command as users run it, and other programs, each in a process of its own."""

from __future__ import annotations

import functools
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TextIO

import pytest

from support.huggingface_server import CLIENT

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(__file__).parent / "programs"
SMALL = (
    *("--network", "demo", "--recipe", "original", "--steps", "3"),
    *("--layers", "block1_conv1,block1_conv2,block2_conv1", "--filters", "0-7"),
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
    variables = _variables(environment)
    if not _can_be_forked(variables):
        return _run("-m", "amaxds", *arguments, cwd=cwd, timeout=timeout, variables=variables)
    words = ["amaxds", *map(str, arguments)]
    process = ForkedCommand(words, cwd, variables)
    try:
        out, err = process.communicate(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return subprocess.CompletedProcess(words, process.returncode, out, err)


class ForkedCommand:
    """A command in a process that was forked from one that has loaded the libraries. Its methods are those of a `Popen`."""

    def __init__(self, words: list[str], cwd: Path | None, variables: Mapping[str, str], file_size: int | None = None) -> None:
        prepare_to_fork()
        (out, out_end), (err, err_end) = FORKED.Pipe(duplex=False), FORKED.Pipe(duplex=False)
        arguments = words, cwd or Path.cwd(), dict(variables), out_end, err_end, file_size
        self._process = FORKED.Process(target=_command, args=arguments)
        self._process.start()
        out_end.close()
        err_end.close()
        self.pid, self._words = self._process.pid, words
        self.stdout, self.stderr = (os.fdopen(os.dup(end.fileno()), "r") for end in (out, err))

    def __enter__(self) -> ForkedCommand:
        return self

    def __exit__(self, *_: object) -> None:
        self.stdout.close()
        self.stderr.close()
        self.wait()

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int | None:
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self._words, timeout or 0)
        return self.returncode

    def kill(self) -> None:
        self._process.kill()

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it prints from now on, to its end; subprocess.TimeoutExpired where it does not end in that many seconds."""
        texts = ["", ""]

        def read(place: int, stream: TextIO) -> None:
            with stream:
                texts[place] = stream.read()

        end = time.monotonic() + (timeout or 0)
        readers = [threading.Thread(target=read, args=each, daemon=True) for each in enumerate((self.stdout, self.stderr))]
        for reader in readers:
            reader.start()
        self.wait(timeout)
        for reader in readers:  # What it has started may still have its output open.
            reader.join(None if timeout is None else max(end - time.monotonic(), 0))
            if reader.is_alive():
                raise subprocess.TimeoutExpired(self._words, timeout or 0)
        return texts[0], texts[1]


@functools.cache
def prepare_to_fork() -> None:
    """Start the process that commands are forked from. It finds its modules by PYTHONPATH alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, sys.path)]))
        forkserver.ensure_running()


def _variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Those of this process with these besides, without what a backend that runs in this process has set."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_SET_BY_BACKENDS)} | dict(environment)


def _can_be_forked(variables: Mapping[str, str]) -> bool:
    return _at_import(variables) == _VARIABLES_AT_IMPORT


def _at_import(variables: Mapping[str, str]) -> dict[str, str]:
    found = {name: value for name, value in variables.items() if name.startswith(_READ_AT_IMPORT)}
    return {name: value for name, value in found.items() if name not in _READ_LATER}


# For all tests alike, so that commands that ask the Hub or for weights can be forked, too. No settings or weights of the user
# are found there.
os.environ.update(CLIENT, KERAS_HOME=str(Path(CLIENT["HF_HOME"], "keras")))
_VARIABLES_AT_IMPORT = {name: value for name, value in _at_import(os.environ).items() if not name.startswith(_SET_BY_BACKENDS)}


def _command(
    words: list[str], cwd: Path, variables: dict[str, str], out: Connection, err: Connection, file_size: int | None
) -> None:
    """What the forked process does: the command, as its own program would do it."""
    for number, end in ((1, out), (2, err)):
        os.dup2(end.fileno(), number)
        end.close()
    sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(cwd)
    _limit(file_size)
    sys.argv, tempfile.tempdir = words, None
    from amaxds.__main__ import main

    main()


def _limit(file_size: int | None) -> None:
    """Let this process write no file that is larger, in bytes."""
    if file_size is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))


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
    folder: Path | str,
    *arguments: object,
    file_size: int | None = None,
    cwd: Path | None = None,
    forked: bool = True,
    **environment: str,
) -> subprocess.Popen[str] | ForkedCommand:
    """Begin a build, in a forked process where `amaxds` would do so. file_size: the largest file in bytes that the operating
    system lets it write. forked: False for a process that loads its libraries itself."""
    return start("build", folder, *arguments, file_size=file_size, cwd=cwd, forked=forked, **environment)


def start(
    *arguments: object,
    file_size: int | None = None,
    cwd: Path | None = None,
    forked: bool = True,
    **environment: str,
) -> subprocess.Popen[str] | ForkedCommand:
    """Begin any command, as `start_build` begins a build."""
    words, variables = list(map(str, arguments)), _variables(environment)
    if forked and _can_be_forked(variables):
        return ForkedCommand(["amaxds", *words], cwd, variables, file_size)
    return subprocess.Popen(
        [sys.executable, "-m", "amaxds", *words],
        cwd=cwd,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: _limit(file_size),
    )
