"""What the tests share: small builds of the real demo network, and how errors must look."""

from __future__ import annotations

import gc
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from amaxds.compute import backend
from support.commands import SMALL, amaxds, start_build
from support.folders import shards_of
from support.shared import made_once

if TYPE_CHECKING:
    from support.object_store import ObjectStore

MATRICES = Path(__file__).parent / "system"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Import nothing of the matrices where none of them is asked for."""
    return True if collection_path == MATRICES and config.option.markexpr == "not system" else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes an hour, unless it is asked for by name: `-m long`."""
    if "long" not in config.option.markexpr:
        long = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


def pytest_collection_finish() -> None:
    """Leave what the test modules have loaded out of the search for garbage, which else goes through it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished build of three layers of the demo network, eight filters each, three steps. Not to be changed."""

    def make(folder: Path) -> None:
        ended = amaxds("build", folder / "demo-filter-activations", *SMALL)
        assert ended.returncode == 0, ended.stderr

    return made_once(tmp_path_factory, "small", make) / "demo-filter-activations"


@pytest.fixture(scope="session")
def report(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the small build. Not to be changed."""

    def make(folder: Path) -> None:
        out = folder / "report"
        ended = amaxds("report", small, out)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert ended.stdout == f"{out}: look at {out / 'index.html'}\n"

    return made_once(tmp_path_factory, "report", make) / "report"


@pytest.fixture(scope="session")
def unfinished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small build with all its shards, stopped by a refused write while it was packaged. Not to be changed."""

    def make(folder: Path) -> None:
        out = folder / "demo-filter-activations"
        process = start_build(out, *SMALL, file_size=250_000)
        errors = process.communicate(timeout=300)[1]
        assert process.returncode == 3, errors
        assert "File too large" in errors
        assert len(shards_of(out)) == 3
        assert not (out / "build.json").exists()

    return made_once(tmp_path_factory, "unfinished", make) / "demo-filter-activations"


@pytest.fixture(scope="session")
def _backend() -> str:
    return backend.start(2)


@pytest.fixture
def store() -> Iterator[ObjectStore]:
    """An S3 server with an empty bucket, which commands and libraries reach without being told where it is."""
    import s3fs

    from support.object_store import ObjectStore

    with ObjectStore() as store, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", store.url)
        patch.setenv("AWS_ACCESS_KEY_ID", "a")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "b")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        s3fs.S3FileSystem.clear_instance_cache()
        s3fs.S3FileSystem(skip_instance_cache=True).mkdir(store.bucket)
        yield store
        s3fs.S3FileSystem.clear_instance_cache()


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
