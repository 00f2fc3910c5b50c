"""What the tests share: the command as users run it, and small builds of the real demo network."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from amaxds.compute import backend

ROOT = Path(__file__).parents[1]
SMALL = (
    *("--network", "demo", "--recipe", "original", "--steps", "3"),
    *("--layers", "block1_conv1,block2_conv2,block3_conv1", "--filters", "0-7"),
)


def amaxds(
    *arguments: object, cwd: Path | None = None, timeout: float = 300, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "amaxds", *map(str, arguments)],
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


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file of a finished dataset but build.json, which holds times."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "build.json"
    }


def shards_of(folder: Path) -> list[Path]:
    return sorted((folder / ".amaxds" / "shards").rglob("*.parquet"))


def read_rows(folder: Path, recipe: str = "original") -> dict[tuple[int, int], dict[str, Any]]:
    """(layer label, filter) -> row, of every record of a dataset folder."""
    rows = [row for file in sorted((folder / recipe).glob("*.parquet")) for row in pq.read_table(file).to_pylist()]
    return {(row["layer"], row["filter"]): row for row in rows}


def hashes(folder: Path, recipe: str = "original") -> dict[tuple[int, int], str]:
    """(layer label, filter) -> pixels_sha256 of every record of a dataset folder."""
    return {key: row["pixels_sha256"] for key, row in read_rows(folder, recipe).items()}


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished build of three layers of the demo network, eight filters each, three steps. Not to be changed."""
    folder = tmp_path_factory.mktemp("small") / "demo-filter-activations"
    ended = amaxds("build", folder, *SMALL)
    assert ended.returncode == 0, ended.stderr
    return folder


@pytest.fixture(scope="session")
def report(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the small build. Not to be changed."""
    out = tmp_path_factory.mktemp("report") / "report"
    ended = amaxds("report", small, out)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == f"{out}: look at {out / 'index.html'}\n"
    return out


@pytest.fixture(scope="session")
def unfinished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small build with all its shards, stopped by a refused write while it was packaged. Not to be changed."""
    folder = tmp_path_factory.mktemp("unfinished") / "demo-filter-activations"
    process = start_build(folder, *SMALL, file_size=250_000)
    errors = process.communicate(timeout=300)[1]
    assert process.returncode == 3, errors
    assert "File too large" in errors
    assert len(shards_of(folder)) == 3
    assert not (folder / "build.json").exists()
    return folder


@pytest.fixture(scope="session")
def _backend() -> str:
    return backend.start(2)


@pytest.fixture
def assert_error() -> Callable[..., None]:
    """Check that a command failed as users are promised: exit code, two lines on stderr, no traceback, these words."""

    def check(ended: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
        lines = ended.stderr.strip().splitlines()
        assert ended.returncode == code, ended.stderr
        assert len(lines) == 2, ended.stderr
        assert lines[0].startswith("amaxds: "), ended.stderr
        assert "unexpected" not in lines[0]
        for word in words:
            assert word in ended.stderr

    return check
