"""Publications that are killed, at any moment: the same command again publishes all of it, once, and leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support import kaggle_server
from support.commands import ForkedCommand, amaxds, start
from support.huggingface_server import HuggingFaceServer
from support.kaggle_server import KaggleServer

NAME = "demo-filter-activations"
REPO = f"owner/{NAME}"
MOMENTS = 10
LOGIN = {"HF_TOKEN": "hf_test", **kaggle_server.LOGIN}
Server = KaggleServer | HuggingFaceServer


def _start(place: Path, hub: str) -> subprocess.Popen[str] | ForkedCommand:
    """Publish from a fresh home with a temporary folder of its own."""
    (place / "temporary").mkdir(exist_ok=True)
    variables = LOGIN | {"HOME": str(place), "TMPDIR": str(place / "temporary")}
    return start("publish", "--to", hub, "--allow-partial", "--yes", cwd=place, **variables)


def _published(place: Path, hub: str) -> None:
    """Publish, and see that nothing is left."""
    process = _start(place, hub)
    said, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert "published and verified" in said
    assert list((place / "temporary").iterdir()) == []
    assert amaxds("validate", place / NAME).returncode == 0


def _versions(server: Server) -> list[Any]:
    return server.datasets[REPO].versions if isinstance(server, KaggleServer) else server.repos[REPO].commits[1:]


@pytest.mark.parametrize(("hub", "make"), [("kaggle", KaggleServer), ("huggingface", HuggingFaceServer)])
def test_a_publication_killed_at_any_request_is_published_once_by_the_same_command(
    hub: str, make: Callable[[], Server], small: Path, tmp_path: Path
) -> None:
    def place(name: str) -> Path:
        shutil.copytree(small, tmp_path / name / NAME)
        return tmp_path / name

    with make() as server:
        _published(place("undisturbed"), hub)
        requests, due = len(server.requests), _versions(server)[0].files
    draw, killed = np.random.default_rng(3), 0
    for number in range(MOMENTS):
        moment = 1 + int((number + draw.random()) / MOMENTS * requests)
        with make() as server:
            folder = place(str(number))
            process = _start(folder, hub)

            def kill(arrived: int, moment: int = moment, pid: int = process.pid) -> None:
                if arrived == moment:
                    os.kill(pid, signal.SIGKILL)

            server.on_request = kill
            process.communicate(timeout=300)
            killed += process.returncode == -signal.SIGKILL
            last = server.requests[moment - 1 : moment]
            print(f"{hub}: killed at request {moment} of {requests}: {last}", flush=True)
            server.on_request = lambda arrived: None
            _published(folder, hub)
            assert len(_versions(server)) == 1
            assert _versions(server)[0].files == due
            if isinstance(server, KaggleServer):
                # An upload that was begun goes on, and is begun again only where nobody knows of it.
                archives = [blob for blob in server.blobs.values() if blob.name == "filterActivations.zip"]
                assert len(archives) <= (2 if "StartBlobUpload" in last[0][1] else 1)
    assert killed >= MOMENTS - 1


def test_too_little_disk_is_said_before_anything_is_sent(
    small: Path, tmp_path: Path, assert_error: Callable[..., None]
) -> None:
    shutil.copytree(small, tmp_path / NAME)
    code = (
        "import shutil, sys; free = shutil.disk_usage('.')._replace(free=1000); shutil.disk_usage = lambda path: free\n"
        "from amaxds.__main__ import main; sys.argv = ['amaxds', *sys.argv[1:]]; main()"
    )
    with HuggingFaceServer() as server:
        words = ["publish", NAME, "--to", "hf", "--repo", REPO, "--allow-partial", "--yes"]
        ended = subprocess.run(
            [sys.executable, "-c", code, *words],
            cwd=tmp_path,
            env=os.environ | LOGIN | {"HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert_error(ended, 3, "with the copy that is fetched back, takes", "MB are free", "TMPDIR")
        assert server.requests == []
