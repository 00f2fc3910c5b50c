"""Everything that parses data from outside, and how such data is damaged: what the tests and `benchmarks/fuzz.py` share.

A target takes bytes and either accepts them, returning True, or refuses them in the way its users are promised, returning
False. Anything else, an exception above all, is a bug.
"""

from __future__ import annotations

import io
import json
import random
import shutil
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import save

from amaxds.builds.shards import read_shard, shard_path, write_shard
from amaxds.checks.validate import validate
from amaxds.compute.networks import load_weights
from amaxds.compute.weights import random_tensors
from amaxds.dataset.build_reader import parse_build_info, require_build_info
from amaxds.dataset.bundle import bundle
from amaxds.errors import AmaxdsError, DamagedShard
from amaxds.image import decode_png, encode_png, has_only_pixels, is_stretched_noise
from amaxds.spec.network import DEMO
from amaxds.spec.plan import make_plan
from amaxds.spec.selection import make_scope
from amaxds.storage.location import LocalPath
from support.weights_files import hdf5, named_layers, nested_layers, saved_layers

Run = Callable[[bytes], bool]


@dataclass(frozen=True)
class Target:
    """A parser, and valid inputs to begin from."""

    seeds: Sequence[bytes]
    run: Run
    damage: Callable[[random.Random, Sequence[bytes]], bytes] = lambda chance, seeds: damaged(chance, seeds)


def targets(dataset: Path, scratch: Path) -> dict[str, Target]:
    """All targets, on a small valid dataset folder of the recipe `original` and an empty folder to write to."""
    files = {path.name: path.read_bytes() for path in dataset.iterdir() if path.is_file()}
    parquet = next((dataset / "original").glob("train-*.parquet"))
    bundled = scratch / "bundle"
    bundle(dataset, require_build_info(dataset), bundled)
    archive = Path(shutil.make_archive(str(scratch / "archive"), "zip", bundled)).read_bytes()
    row = next(iter(_rows(dataset)))
    shard, read = _shard(row, scratch)
    return {
        "build.json": Target([files["build.json"]], _claims),
        "values of build.json": Target([files["build.json"]], _any_dataset(dataset, scratch / "values"), _other_values),
        "values of parquet": Target(
            [parquet.read_bytes()], _in_dataset(dataset, scratch / "cells", parquet.relative_to(dataset)), _other_cells
        ),
        "README.md": Target([files["README.md"]], _in_dataset(dataset, scratch / "card", Path("README.md"))),
        "croissant.json": Target(
            [files["croissant.json"]], _in_dataset(dataset, scratch / "croissant", Path("croissant.json"))
        ),
        "parquet": Target([parquet.read_bytes()], _in_dataset(dataset, scratch / "parquet", parquet.relative_to(dataset))),
        "shard": Target([shard], read),
        "PNG": Target([row["image"]["bytes"], encode_png(np.zeros((8, 9, 3), np.uint8))], _png),
        "metadata.csv": Target(
            [(bundled / "metadata.csv").read_bytes()], _in_dataset(bundled, scratch / "table", Path("metadata.csv"))
        ),
        "zip": Target([archive, _stored(archive)], _zip(scratch / "fuzzed.zip")),
        ".safetensors": Target(
            [save(random_tensors(DEMO, 0)), save({"a": np.zeros(3, np.float32)})], _weights(scratch, "safetensors")
        ),
        ".h5": Target([hdf5(named_layers), hdf5(nested_layers)], _weights(scratch, "h5")),
        ".weights.h5": Target([hdf5(saved_layers)], _weights(scratch, "weights.h5")),
        "--layers": Target([b"block5_*,block1_conv1", b"*", b"block[1-3]_conv?"], _pattern("layers")),
        "--filters": Target([b"0-7", b"3", b"1,5-6"], _pattern("filters")),
    }


INTERESTING = (
    *(b"", b"\0", b"\xff" * 4, b"\xff" * 8, b"\x80\0\0\0", b"\x7f\xff\xff\xff", b"-1", b"1e999", b"NaN", b"null", b"[]", b"{}"),
    *(b'"', b"\n", b"\r\n", b",", b"../", b"\xed\xa0\x80", "é\u2028".encode(), b"[" * 2000, b"9" * 5000, b"&a [*a]", b"0x"),
)


def damaged(chance: random.Random, seeds: Sequence[bytes]) -> bytes:
    """One of the seeds after one to eight changes."""
    data = bytearray(chance.choice(list(seeds)))
    for _ in range(chance.choice((1, 1, 1, 2, 4, 8))):
        at = chance.randrange(len(data) + 1)
        length = min(chance.choice((1, 1, 2, 4, 16, 256)), len(data) - at)
        match chance.randrange(7):
            case 0 if at < len(data):
                data[at] ^= 1 << chance.randrange(8)
            case 1:
                data[at : at + length] = chance.randbytes(length)
            case 2:
                del data[at : at + length]
            case 3:
                data[at:at] = chance.choice(INTERESTING)
            case 4:
                found = chance.choice(INTERESTING)
                data[at : at + len(found)] = found
            case 5:
                data[at:at] = data[(start := chance.randrange(len(data) + 1)) : start + length]
            case 6 if chance.random() < 0.3:
                del data[at:]
    return bytes(data)


VALUES = (
    *(
        None,
        True,
        -1,
        0,
        1,
        2**31,
        2**63,
        10**400,
        0.5,
        float("nan"),
        float("inf"),
        -1e308,
        "",
        "0",
        "x",
        "../x",
        "\0",
        "\ud800",
    ),
    *("é\u2028\n", "block1_conv1", "clear", "9" * 5000, [], [1], [[]], {}, {"name": "demo"}, {"": None}),
)


def _other_values(chance: random.Random, seeds: Sequence[bytes]) -> bytes:
    """JSON after one to three of its values were exchanged, dropped, or added to."""
    root = json.loads(chance.choice(list(seeds)))
    for _ in range(chance.choice((1, 1, 2, 3))):
        parent: Any = root
        while True:
            keys = list(parent) if isinstance(parent, dict) else range(len(parent))
            if not keys:
                break
            key = chance.choice(list(keys))
            if isinstance(parent[key], dict | list) and parent[key] and chance.random() < 0.8:
                parent = parent[key]
                continue
            match chance.randrange(4):
                case 0:
                    del parent[key]
                case 1 if isinstance(parent, dict):
                    parent[chance.choice(("", "x", "name", "\ud800"))] = chance.choice(VALUES)
                case _:
                    parent[key] = chance.choice(VALUES)
            break
    return json.dumps(root).encode()


def _other_cells(chance: random.Random, seeds: Sequence[bytes]) -> bytes:
    """Parquet after one of its values was exchanged for another that its column can hold."""
    table = pq.read_table(io.BytesIO(chance.choice(list(seeds))))
    rows, sink = table.to_pylist(), io.BytesIO()
    row, column = chance.choice(rows), chance.choice(table.column_names)
    value = chance.choice(VALUES)
    if column == "image":
        value = chance.choice((None, {"bytes": None, "path": None}, {"bytes": chance.randbytes(99), "path": "x"}))
    try:
        row[column] = pa.array([value], table.schema.field(column).type)[0].as_py()
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        row[column] = None
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), sink)
    return sink.getvalue()


def _any_dataset(dataset: Path, scratch: Path) -> Run:
    """Validation of a copy with another build.json, of which some may be valid: times, say, are nobody's business."""
    folder = Path(shutil.copytree(dataset, scratch))

    def run(data: bytes) -> bool:
        (folder / "build.json").write_bytes(data)
        return validate(folder).valid

    return run


def _claims(data: bytes) -> bool:
    info, problems = parse_build_info(data.decode("utf-8", "replace"))
    assert info is not None or problems
    return info is not None and not problems


def _in_dataset(dataset: Path, scratch: Path, name: Path) -> Run:
    """Validation of a copy with that file exchanged, which must never pass unless the file says the same."""
    folder = Path(shutil.copytree(dataset, scratch))
    original = (dataset / name).read_bytes()

    def run(data: bytes) -> bool:
        (folder / name).write_bytes(data)
        report = validate(folder)
        same = data == original or (report.valid and name.suffix == ".json" and json.loads(data) == json.loads(original))
        assert report.valid == same, "valid, though a file was changed"
        json.dumps(report.as_json())
        return report.valid

    return run


def _rows(dataset: Path) -> list[dict[str, Any]]:
    return [row for file in sorted((dataset / "original").glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def _shard(row: Mapping[str, Any], scratch: Path) -> tuple[bytes, Run]:
    unit = next(make_plan(DEMO, ["original"], layers="block1_conv1", filters="2").units())
    stored = {name: value for name, value in row.items() if name != "activation_rank"}
    named = stored | {"image": row["image"]["bytes"], "layer": "block1_conv1", "status": "alive", "filter": 2}
    shards = LocalPath(scratch / "shards")
    write_shard(shards, unit, "digest", [named])
    path = shard_path(shards, unit).path
    rows = read_shard(shards, unit, 112, "digest")

    def run(data: bytes) -> bool:
        path.write_bytes(data)
        try:
            assert read_shard(shards, unit, 112, "digest") == rows, "read as whole, though it is another's"
        except DamagedShard:
            return False
        return True

    return path.read_bytes(), run


def _png(data: bytes) -> bool:
    has_only_pixels(data)
    try:
        pixels = decode_png(data, max_pixels=100_000)
    except ValueError:
        return False
    is_stretched_noise(pixels)
    return True


def _zip(path: Path) -> Run:
    def run(data: bytes) -> bool:
        path.write_bytes(data)
        return validate(path).valid

    return run


def _weights(scratch: Path, ending: str) -> Run:
    path = scratch / f"fuzzed.{ending}"

    def run(data: bytes) -> bool:
        path.write_bytes(data)
        return _accepts(lambda: load_weights(DEMO, str(path), 0))

    return run


def _pattern(option: str) -> Run:
    return lambda data: _accepts(lambda: make_scope(DEMO, **{option: data.decode("utf-8", "surrogateescape")}))


def _accepts(work: Callable[[], object]) -> bool:
    try:
        work()
    except AmaxdsError as error:
        if len(str(error).splitlines()) != 2:
            raise AssertionError(f"not two lines: {error}") from error
        return False
    return True


def _stored(archive: bytes) -> bytes:
    """The same zip without compression."""
    sink = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as source, zipfile.ZipFile(sink, "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    return sink.getvalue()
