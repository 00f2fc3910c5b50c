"""A shard that is not, in full, what its unit wrote is found."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest

from amaxds.builds.shards import read_shard, shard_path, write_shard
from amaxds.dataset.record import Row
from amaxds.errors import DamagedShard
from amaxds.image import encode_png
from amaxds.spec.network import DEMO
from amaxds.spec.plan import Unit, make_plan
from amaxds.storage.location import LocalPath

UNITS = list(make_plan(DEMO, ["original"], layers="block2_conv1").units())


def _rows(unit: Unit) -> list[Row]:
    image = np.random.default_rng(0).integers(0, 256, (88, 88, 3)).astype(np.uint8)
    fixed = {"network": "demo", "recipe": "original", "seed": 0, "status": "alive", "layer": unit.layer.name}
    numbers = {"activation_start": 0.25, "activation": 3.5, "uniformity_index": 0.5, "pixels_sha256": "0" * 64}
    return [{"image": encode_png(image), "filter": filter} | fixed | numbers for filter in unit.wanted]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_shard(LocalPath(tmp_path), UNITS[0], "build", _rows(UNITS[0]))
    assert read_shard(LocalPath(tmp_path), UNITS[0], 112, "build") == _rows(UNITS[0])
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["block2_conv1-0000.parquet"]


def test_shards_of_large_images_are_read(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (800, 800, 3)).astype(np.uint8)
    rows = [row | {"image": encode_png(image)} for row in _rows(UNITS[0])]
    write_shard(LocalPath(tmp_path), UNITS[0], "build", rows)
    assert read_shard(LocalPath(tmp_path), UNITS[0], 800, "build") == rows
    with pytest.raises(DamagedShard, match="cannot be read"):
        read_shard(LocalPath(tmp_path), UNITS[0], 112, "build")


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_shard(LocalPath(tmp_path / name), UNITS[0], "build", _rows(UNITS[0]))
    one, other = (shard_path(LocalPath(tmp_path / name), UNITS[0]).path.read_bytes() for name in ("a", "b"))
    assert one == other


def test_truncated_flipped_and_exchanged_shards_are_found(tmp_path: Path) -> None:
    for unit in UNITS:
        write_shard(LocalPath(tmp_path), unit, "build", _rows(unit))
    path = shard_path(LocalPath(tmp_path), UNITS[0]).path
    whole = path.read_bytes()
    for kept in (0, 4, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:kept])
        with pytest.raises(DamagedShard):
            read_shard(LocalPath(tmp_path), UNITS[0], 112, "build")
    rng = np.random.default_rng(4)
    unnoticed = 0
    for place in rng.integers(0, len(whole), 200):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        with contextlib.suppress(DamagedShard):
            unnoticed += read_shard(LocalPath(tmp_path), UNITS[0], 112, "build") != _rows(UNITS[0])
    assert unnoticed == 0
    path.write_bytes(shard_path(LocalPath(tmp_path), UNITS[1]).path.read_bytes())
    with pytest.raises(DamagedShard, match="something else"):
        read_shard(LocalPath(tmp_path), UNITS[0], 112, "build")
    path.write_bytes(whole)
    with pytest.raises(DamagedShard, match="something else"):
        read_shard(LocalPath(tmp_path), UNITS[0], 112, "another build")
    path.unlink()
    with pytest.raises(DamagedShard, match="cannot be read"):
        read_shard(LocalPath(tmp_path), UNITS[0], 112, "build")
