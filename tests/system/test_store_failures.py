"""What becomes of a build in a store that refuses, fails or is shared."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amaxds.storage.store import Remote
from support.commands import amaxds
from support.folders import files_of
from support.huggingface_server import HuggingFaceServer
from support.object_store import ObjectStore
from support.shared import made_once

Check = Callable[..., None]


Environ = dict[str, Any]


DENIED = "403 Forbidden", "AccessDenied"


SMALL = ("--network", "demo", "--recipe", "original", "--steps", "3", "--layers", "block1_conv1", "--filters", "0-3")


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small build under another name. Not to be changed."""

    def make(folder: Path) -> None:
        assert amaxds("build", folder / "out", *SMALL).returncode == 0

    return made_once(tmp_path_factory, "out", make) / "out"


def test_an_upload_that_fails_leaves_no_dataset_and_is_made_up_for(
    store: ObjectStore, local: Path, tmp_path: Path, assert_error: Check
) -> None:
    place = store.place("out")
    store.refused = lambda request: (
        DENIED if request["REQUEST_METHOD"] == "PUT" and request["PATH_INFO"].endswith("train-00000-of-00001.parquet") else None
    )
    ended = amaxds("build", place, *SMALL)
    assert ended.returncode == 3
    assert ended.stderr.splitlines()[-2].startswith(f"amaxds: cannot write {place}/original/train-00000-of-00001.parquet")
    left = store.names(place)
    assert "build.json" not in left
    assert ".amaxds/shards/original/block1_conv1-0000.parquet" in left
    found = amaxds("validate", place)
    assert found.returncode == 1
    assert "1 of 1 units finished" in found.stdout
    store.refused = lambda request: None
    again = amaxds("build", place, *SMALL)
    assert again.returncode == 0, again.stderr
    assert "4 of 4 images are there already" in again.stderr
    assert store.fetched(place, tmp_path / "out") == files_of(local)


def test_two_builds_of_the_same_in_a_store_do_no_harm(store: ObjectStore, local: Path, tmp_path: Path) -> None:
    place = store.place("out")
    builds = [_begin(place, SMALL) for _ in range(2)]
    errors = [build.communicate(timeout=300)[1] for build in builds]
    assert [build.returncode for build in builds] == [0, 0], errors
    assert store.fetched(place, tmp_path / "out") == files_of(local)


def _begin(place: Remote, arguments: tuple[str, ...]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "amaxds", "build", str(place), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_build_that_another_one_overtakes_ends_as_that_one_did(store: ObjectStore, tmp_path: Path) -> None:
    """The first is held up before it puts its second shard, until the second has finished and deleted all shards."""
    place, held, go_on = store.place("out"), threading.Event(), threading.Event()
    two_units = (*SMALL[:-1], "0-3", "--batch-size", "2", "--workers", "1")

    def hold_up(request: Environ) -> None:
        shard = request["REQUEST_METHOD"] == "PUT" and request["PATH_INFO"].endswith("block1_conv1-0002.parquet")
        if shard and not held.is_set():
            held.set()
            go_on.wait(120)

    store.refused = hold_up
    first = _begin(place, two_units)
    assert held.wait(120)
    second = amaxds("build", place, *two_units)
    assert "2 of 4 images are there already" in second.stderr
    made = store.fetched(place, tmp_path / "made")
    go_on.set()
    errors = first.communicate(timeout=300)[1]
    assert (second.returncode, first.returncode) == (0, 0), second.stderr + errors
    assert store.fetched(place, tmp_path / "out") == made
    assert amaxds("validate", place).returncode == 0


@pytest.mark.parametrize("command", ["build", "validate"])
def test_a_store_that_refuses_is_said_in_two_lines(store: ObjectStore, command: str, assert_error: Check) -> None:
    store.refused = lambda request: DENIED
    place = store.place("out")
    assert_error(amaxds(command, place, *(SMALL if command == "build" else ())), 3, f"cannot read {place}", "credentials")


def test_the_receipt_of_what_is_published_from_a_store_is_left_there(store: ObjectStore, local: Path) -> None:
    place = store.place("out")
    for file in (path for path in local.rglob("*") if path.is_file()):
        (place / file.relative_to(local)).put(file)
    with HuggingFaceServer() as hub:
        command = ("publish", place, "--to", "huggingface", "--repo", "owner/out", "--allow-partial", "--yes")
        ended = amaxds(*command, HF_TOKEN=hub.token)
        assert ended.returncode == 0, ended.stderr
        assert f"receipt {place}/receipt-huggingface.json" in ended.stdout
        assert "receipt-huggingface.json" in store.names(place)
        again = amaxds(*command, "--dry-run", HF_TOKEN=hub.token)
    assert "0 to add, 0 to change, 0 to remove" in again.stdout
    assert amaxds("validate", place).returncode == 0
