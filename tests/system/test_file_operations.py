"""A command that ends, or fails, at any of its operations on files leaves nothing that passes for a dataset, and can go on."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from support.commands import ROOT


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler: install the package gcc")
def test_what_ends_or_fails_at_an_operation_on_files_is_made_up_for() -> None:
    """Some of the operations; `benchmarks/operations.py` alone goes through them all."""
    command = [sys.executable, ROOT / "benchmarks" / "operations.py", "--every", "167", "build", "bundle"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert (ended.returncode, ended.stdout.splitlines()[-1]) == (0, "0 bad"), ended.stdout + ended.stderr[-2000:]
