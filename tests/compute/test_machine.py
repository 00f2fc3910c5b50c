"""Processes that are started beside this one run the same copy of the package."""

from __future__ import annotations

from pathlib import Path

import pytest

import amaxds
from amaxds.compute.machine import run_python


def test_another_copy_that_is_installed_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "amaxds").mkdir()
    (tmp_path / "amaxds" / "__init__.py").write_text("raise ImportError('another copy')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    ended = run_python("-c", "import amaxds.errors; print(amaxds.__file__)")
    assert ended.stdout == f"{amaxds.__file__}\n", ended.stderr
