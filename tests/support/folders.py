"""What is in the folders that builds write."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file of a finished dataset but build.json, which holds times."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "build.json"
    }


def shards_of(folder: Path) -> list[Path]:
    return sorted((folder / ".amaxds" / "shards").rglob("*.parquet"))


def read_rows(folder: Path, recipe: str = "original") -> dict[tuple[int, int], dict[str, Any]]:
    """(layer label, filter) -> row, of every record of a dataset folder."""
    rows = [row for file in sorted((folder / recipe).glob("*.parquet")) for row in pq.read_table(file).to_pylist()]
    return {(row["layer"], row["filter"]): row for row in rows}


def hashes(folder: Path, recipe: str = "original") -> dict[tuple[int, int], str]:
    """(layer label, filter) -> pixels_sha256 of every record of a dataset folder."""
    return {key: row["pixels_sha256"] for key, row in read_rows(folder, recipe).items()}


def zipped(folder: Path, top: str = "") -> Path:
    """Zip the files of a folder into one beside it, under a folder named `top` where one is given."""
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, top + file.relative_to(folder).as_posix())
    return path
