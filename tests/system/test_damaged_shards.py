"""Shards that were damaged between two runs are made again, to the same bytes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support.commands import SMALL, amaxds, start_build
from support.damage import DAMAGES, shard_findings
from support.folders import files_of, shards_of


@pytest.fixture(scope="module")
def shards_of_another_build(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("another") / "demo-filter-activations"
    process = start_build(folder, *SMALL, "--seed", "1", file_size=250_000)
    process.communicate(timeout=300)
    assert process.returncode == 3
    return shards_of(folder)


TOGETHER = [("truncated", "a bit flipped", "deleted"), ("exchanged with another", "of another build")]


@pytest.mark.parametrize("together", TOGETHER, ids=", ".join)
def test_damaged_shards_are_made_again(
    together: tuple[str, ...], shards_of_another_build: list[Path], unfinished: Path, tmp_path: Path, small: Path
) -> None:
    folder = shutil.copytree(unfinished, tmp_path / small.name)
    shards = shards_of(folder)
    for damage, shard in zip(together, reversed(shards), strict=False):
        if damage == "of another build":
            shutil.copy(shards_of_another_build[shards.index(shard)], shard)
        else:
            DAMAGES[damage][0](shard)
    found = shard_findings(folder)
    assert found.pop(".amaxds").startswith("holds a build with 0 of 3 units finished")
    again = amaxds("build", folder, *SMALL)
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("It is made again.") == len(found)
    assert files_of(folder) == files_of(small)
