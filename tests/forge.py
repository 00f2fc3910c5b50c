"""Forgeries: datasets that are valid by themselves and yet not what their build made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from amaxds.dataset.build_info import require_build_info
from amaxds.dataset.parquet import read_records
from amaxds.dataset.record import Record
from amaxds.dataset.writer import Begun, write_dataset
from amaxds.image import decode_png, encode_png, pixels_sha256, uniformity_index

Row = dict[str, Any]


def forge(folder: Path, out: Path, change: Callable[[list[Row]], None], **stored: Any) -> Path:
    """A copy of a dataset whose records were changed before it was packaged, and its build.json as asked: everything that is
    rendered from them agrees with them."""
    info = require_build_info(folder)
    rows = {recipe: sorted_rows(folder, recipe) for recipe in info.recipes}
    for each in rows.values():
        change(each)
    identity = {
        key: info.stored[key] for key in info.stored if key not in ("format", "dataset", "times", "command", "outranked")
    }
    outranked = {recipe: [*each] for recipe, each in (info.stored["outranked"] | stored.pop("outranked", {})).items()}
    (out / "data").mkdir(parents=True)
    (out / "scratch").mkdir()
    records = {recipe: [{name: row[name] for name in Record.model_fields} for row in each] for recipe, each in rows.items()}
    give = {recipe: (lambda each=each: iter(each)) for recipe, each in records.items()}
    command, name = info.stored["command"], info.stored["dataset"]
    write_dataset(out / "data", out / "scratch", name, info.network, identity | stored, command, give, outranked, Begun())
    return out / "data"


def sorted_rows(folder: Path, recipe: str) -> list[Row]:
    """The records of one recipe in the order of layer and filter."""
    info = require_build_info(folder)
    rows = read_records(folder, recipe, info.network)
    return sorted(rows, key=lambda row: (info.network.layer(row["layer"]).index, row["filter"]))


def set_image(row: Row, png: bytes) -> None:
    """Give a record another image, with index and hash to match."""
    pixels = decode_png(png)
    row |= {"image": encode_png(pixels), "uniformity_index": uniformity_index(pixels), "pixels_sha256": pixels_sha256(pixels)}
