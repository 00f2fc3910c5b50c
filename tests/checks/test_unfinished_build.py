"""Validation says how far an unfinished build has come, and trusts nothing that is left of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from support.commands import amaxds
from support.damage import DAMAGES, shard_findings


@pytest.mark.parametrize("damage", DAMAGES)
def test_validation_names_a_damaged_shard_and_counts_the_others(damage: str, unfinished: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(unfinished, tmp_path / "copy")
    harm, whole, reported = DAMAGES[damage]
    harm(folder / ".amaxds" / "shards" / "original" / "block1_conv2-0000.parquet")
    found = shard_findings(folder)
    assert found.pop(".amaxds").startswith(f"holds a build with {whole} of 3 units finished")
    assert len(found) == reported
    if reported:
        assert ".amaxds/shards/original/block1_conv2-0000.parquet" in found


def test_an_unfinished_build_is_reported_as_one(unfinished: Path) -> None:
    ended = amaxds("validate", unfinished)
    assert ended.returncode == 1
    assert "shards    .amaxds: holds a build with 3 of 3 units finished: run the same command to go on" in ended.stdout
    assert "build     build.json: is missing" in ended.stdout


def test_what_is_left_of_an_unfinished_build_need_not_be_trusted(unfinished: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(unfinished, tmp_path / "copy")
    file = folder / ".amaxds" / "build.json"
    stored = json.loads(file.read_text())
    for text in ("", "[]", "{}", "[" * 100_000, *(json.dumps(stored | {key: -1}) for key in stored)):
        file.write_text(text)
        found = shard_findings(folder)
        assert found.keys() == {".amaxds/build.json"}, text[:80]
        assert "cannot be used" in found[".amaxds/build.json"]
    shutil.rmtree(folder / ".amaxds")
    (folder / ".amaxds").symlink_to(unfinished / ".amaxds")
    assert shard_findings(folder) == {".amaxds": "is no folder of a build"}
    (folder / ".amaxds").unlink()
    (folder / ".amaxds").mkdir()
    (folder / ".amaxds" / "lock").touch()
    assert shard_findings(folder) == {}
