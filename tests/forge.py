"""Forgeries: datasets that are valid by themselves and yet not what their build made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from amaxds.dataset.build_info import require_claims
from amaxds.dataset.parquet import read_records
from amaxds.dataset.record import Record
from amaxds.dataset.writer import Begun, write_dataset
from amaxds.image import decode_png, encode_png, pixels_sha256, uniformity_index

Row = dict[str, Any]


def forge(folder: Path, out: Path, change: Callable[[list[Row]], None], **stored: Any) -> Path:
    """A copy of a dataset whose records were changed before it was packaged, and its build.json as asked: everything that is
    rendered from them agrees with them."""
    claims = require_claims(folder)
    rows = {recipe: sorted_rows(folder, recipe) for recipe in claims.recipes}
    for each in rows.values():
        change(each)
    identity = {
        key: claims.stored[key] for key in claims.stored if key not in ("format", "dataset", "times", "command", "beaten")
    }
    beaten = {recipe: [*each] for recipe, each in (claims.stored["beaten"] | stored.pop("beaten", {})).items()}
    (out / "data").mkdir(parents=True)
    (out / "scratch").mkdir()
    records = {recipe: [{name: row[name] for name in Record.model_fields} for row in each] for recipe, each in rows.items()}
    give = {recipe: (lambda each=each: iter(each)) for recipe, each in records.items()}
    command, name = claims.stored["command"], claims.stored["dataset"]
    write_dataset(out / "data", out / "scratch", name, claims.network, identity | stored, command, give, beaten, Begun())
    return out / "data"


def sorted_rows(folder: Path, recipe: str) -> list[Row]:
    """The records of one recipe in the order of layer and filter."""
    claims = require_claims(folder)
    rows = read_records(folder, recipe, claims.network)
    return sorted(rows, key=lambda row: (claims.network.layer(row["layer"]).index, row["filter"]))


def set_image(row: Row, png: bytes) -> None:
    """Give a record another image, with index and hash to match."""
    pixels = decode_png(png)
    row |= {"image": encode_png(pixels), "uniformity_index": uniformity_index(pixels), "pixels_sha256": pixels_sha256(pixels)}
