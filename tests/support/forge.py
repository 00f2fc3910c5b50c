"""Forgeries: datasets that are valid by themselves and yet not what their build made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from amaxds.dataset.build_reader import require_build_info
from amaxds.dataset.parquet import read_records
from amaxds.dataset.record import Record
from amaxds.dataset.writer import Begun, write_dataset
from amaxds.image import decode_png, encode_png, pixels_sha256, uniformity_index

Row = dict[str, Any]


def forge(folder: Path, out: Path, change: Callable[[list[Row]], None], **stored: Any) -> Path:
    """A copy of a dataset whose records were changed before it was packaged, and its build.json as asked: everything that is
    rendered from them agrees with them."""
    info = require_build_info(folder)
    process = {name: info.as_json()[name] for name in ("software", "device")}
    rows = {recipe: sorted_rows(folder, recipe) for recipe in info.recipes}
    for each in rows.values():
        change(each)
    best = {(recipe, each.layer, each.filter): each.best for recipe, entries in info.outranked.items() for each in entries}
    pairs = {
        recipe: [
            ({name: row[name] for name in Record.model_fields}, best.get((recipe, row["layer"], row["filter"]))) for row in each
        ]
        for recipe, each in rows.items()
    }
    (out / "data").mkdir(parents=True)
    write_dataset(out / "data", info.dataset, info.on({**process, **stored}), pairs, Begun())
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
