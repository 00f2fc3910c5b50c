"""Shards: the finished images of one unit, as one parquet file that proves itself.

A shard's metadata names the build and the unit it belongs to and holds a digest of its content, so that a file that was
truncated, changed or exchanged is found when it is read.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from amaxds.dataset.record import stored_types
from amaxds.errors import DamagedShard
from amaxds.spec.plan import Unit
from amaxds.storage.location import Location

WORK = ".amaxds"
"""The folder, in that of the dataset, in which a build has its shards until it has finished."""
_MOST_PER_IMAGE = 1_000_000
_KEY = b"amaxds"
_ARROW = {"image": pa.binary(), "layer": pa.string(), "status": pa.string(), "string": pa.string()}

Where = TypeVar("Where", bound=Location)
Row = dict[str, Any]
"""A record without `activation_rank`, which only the finished layer knows."""


def _schema() -> pa.Schema:
    columns = {name: kind for name, kind in stored_types().items() if name != "activation_rank"}
    return pa.schema([(name, _ARROW.get(kind) or pa.type_for_alias(kind)) for name, kind in columns.items()])


def shard_path(folder: Where, unit: Unit) -> Where:
    """`<folder>/<recipe>/<layer>-<first filter>.parquet`"""
    return folder / unit.recipe.name / f"{unit.name}.parquet"


def write_shard(folder: Location, unit: Unit, build_digest: str, rows: Sequence[Row]) -> None:
    table = pa.Table.from_pylist(list(rows), schema=_schema())
    label = _label(unit, build_digest) | {"content": _content_digest(table)}
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({_KEY: json.dumps(label)}), buffer, compression="none")
    shard_path(folder, unit).write(buffer.getvalue())


def read_shard(folder: Location, unit: Unit, build_digest: str) -> list[Row]:
    """The shard's rows; DamagedShard where the file is not, in full, what this unit of this build wrote."""
    path = shard_path(folder, unit)
    most = _MOST_PER_IMAGE * (1 + len(unit.wanted))
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


def _label(unit: Unit, build_digest: str) -> dict[str, Any]:
    return {"build": build_digest, "recipe": unit.recipe.name, "unit": unit.name, "filters": list(unit.wanted)}


def _content_digest(table: pa.Table) -> str:
    sink = pa.BufferOutputStream()
    plain = table.replace_schema_metadata(None).combine_chunks()
    with pa.ipc.new_stream(sink, plain.schema) as stream:
        stream.write_table(plain)
    return hashlib.sha256(sink.getvalue()).hexdigest()
