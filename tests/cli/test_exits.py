"""Signals: none is lost, and what ends in one says so."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from support.commands import run_program


def test_an_error_on_the_way_out_of_a_signal_gives_way_to_it() -> None:
    ended = run_program("stopped_on_the_way_out.py", timeout=60)
    assert ended.returncode == 128 + signal.SIGTERM
    assert ended.stderr.startswith("amaxds: terminated.")


def test_a_signal_that_a_library_swallows_is_not_lost(tmp_path: Path) -> None:
    """No exception comes out of a callback of the garbage collector; JAX has one."""
    ended = run_program("lost_signal.py", "build", timeout=30)
    assert ended.returncode == 130
    assert ended.stderr.startswith("amaxds: interrupted.\n"), ended.stderr


def test_an_interrupted_import_is_finished_first(tmp_path: Path) -> None:
    """An exception out of the interpreter's own bookkeeping of imports is lost, and its lock stays taken: the build hung."""
    (tmp_path / "interrupted.py").write_text("import os\nos.kill(os.getpid(), 2)\nfor _ in range(9):\n    done = _\n")
    search = os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))
    ended = run_program("interrupted_import.py", timeout=30, PYTHONPATH=search)
    assert ended.stdout == "8 2\n", ended.stderr
