"""Shards: the finished images of one unit, as one parquet file that proves itself.

The rows are records without `activation_rank`, which is known only once the layer is finished. A shard's metadata names the
build and the unit it belongs to and holds a digest of its content, so that a file that was truncated, changed or exchanged is
found when it is read.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from amaxds.dataset.record import Row, stored_types
from amaxds.errors import DamagedShard
from amaxds.spec.plan import Plan, Unit
from amaxds.storage.location import Location

WORK = ".amaxds"
"""The folder, in that of the dataset, in which a build has its shards until it has finished."""
_BESIDES = 100_000
"""More than an image's record takes, and the frame of a file."""
_KEY = b"amaxds"
_ARROW = {"image": pa.binary(), "layer": pa.string(), "status": pa.string(), "string": pa.string()}

Where = TypeVar("Where", bound=Location)
LayerKey = tuple[str, str]
"""The names of a recipe and of a layer."""


def _schema() -> pa.Schema:
    columns = {name: kind for name, kind in stored_types().items() if name != "activation_rank"}
    return pa.schema([(name, _ARROW.get(kind) or pa.type_for_alias(kind)) for name, kind in columns.items()])


def shard_path(folder: Where, unit: Unit) -> Where:
    """`<folder>/<recipe>/<layer>-<first filter>.parquet`"""
    return folder / unit.recipe.name / f"{unit.name}.parquet"


def write_shard(folder: Location, unit: Unit, build_digest: str, rows: Sequence[Row]) -> None:
    """Write the rows of a finished unit as its shard."""
    table = pa.Table.from_pylist(list(rows), schema=_schema())
    label = _label(unit, build_digest) | {"content": _content_digest(table)}
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({_KEY: json.dumps(label)}), buffer, compression="none")
    shard_path(folder, unit).write(buffer.getvalue())


def read_shard(folder: Location, unit: Unit, canvas: int, build_digest: str) -> list[Row]:
    """The shard's rows; DamagedShard where the file is not, in full, what this unit of this build wrote.

    canvas: side of the network's; no image is larger. No more is read than a shard can have.
    """
    path = shard_path(folder, unit)
    most = (4 * canvas**2 + _BESIDES) * (1 + len(unit.wanted))
    try:
        file = pq.ParquetFile(io.BytesIO(path.read(most)))
        if sum(file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups)) > most:
            raise ValueError(f"more than {most} bytes")
        table = file.read()
        label = json.loads((table.schema.metadata or {}).get(_KEY, b"{}"))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DamagedShard(path, f"cannot be read ({type(error).__name__})") from error
    if not table.schema.equals(_schema()):
        raise DamagedShard(path, "has other columns than a shard")
    if label != _label(unit, build_digest) | {"content": _content_digest(table)}:
        raise DamagedShard(path, "holds something else than its unit wrote")
    return list(table.to_pylist())


def layer_key(unit: Unit) -> LayerKey:
    """The recipe and layer that the unit belongs to."""
    return unit.recipe.name, unit.layer.name


@dataclass(frozen=True)
class BuildShards:
    """All shards of one build: those in the dataset folder, or a copy of them on this machine."""

    plan: Plan
    folder: Location
    build_digest: str
    """The digest of the build's identity, which every shard must name."""

    @functools.cached_property
    def layers(self) -> dict[LayerKey, list[Unit]]:
        """The units of every layer, all in the order of the plan."""
        found: dict[LayerKey, list[Unit]] = {}
        for unit in self.plan.units():
            found.setdefault(layer_key(unit), []).append(unit)
        return found

    def rows(self, key: LayerKey) -> Iterator[Row]:
        """The rows of a layer in the order of its filters. DamagedShard where one of its units is not there in full."""
        for unit in self.layers[key]:
            yield from read_shard(self.folder, unit, self.plan.network.canvas, self.build_digest)

    def missing(self) -> tuple[list[Unit], list[DamagedShard]]:
        """The units that have no intact shard, in the order of the plan, and what is wrong with each damaged shard."""
        missing, damaged = [], []
        for unit in self.plan.units():
            if shard_path(self.folder, unit).exists():
                try:
                    read_shard(self.folder, unit, self.plan.network.canvas, self.build_digest)
                    continue
                except DamagedShard as damage:
                    damaged.append(damage)
            missing.append(unit)
        return missing, damaged


def _label(unit: Unit, build_digest: str) -> dict[str, Any]:
    return {"build": build_digest, "recipe": unit.recipe.name, "unit": unit.name, "filters": list(unit.wanted)}


def _content_digest(table: pa.Table) -> str:
    sink = pa.BufferOutputStream()
    plain = table.replace_schema_metadata(None).combine_chunks()
    with pa.ipc.new_stream(sink, plain.schema) as stream:
        stream.write_table(plain)
    return hashlib.sha256(sink.getvalue()).hexdigest()
