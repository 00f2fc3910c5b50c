"""A dataset opened for reading: its build.json and its records, the same for a dataset folder and for a bundle."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from amaxds.dataset.build_info import BuildInfo
from amaxds.dataset.build_reader import require_build_info
from amaxds.dataset.bundle_files import is_bundle
from amaxds.dataset.bundle_reader import bundle_info, read_image, read_table
from amaxds.dataset.parquet import named, opened, split_files
from amaxds.dataset.record import Row, stored_types
from amaxds.errors import UsageError, WrongData, in_words
from amaxds.spec.network import Layer
from amaxds.spec.recipes import Recipe
from amaxds.storage.archive import Archive, open_archive, require_contents


class Reader(Protocol):
    """Reads the records of one layer under one recipe."""

    def __call__(self, recipe: Recipe, layer: Layer, images: bool = True) -> list[Row]:
        """In the order of filters, labels by name, `image` the bytes of the PNG; without `image` if no images are wanted."""


@dataclasses.dataclass(frozen=True)
class DatasetReader:
    """An opened dataset: what its build.json says, and its records layer by layer."""

    info: BuildInfo
    rows: Reader


@contextlib.contextmanager
def open_dataset(path: Path, name: str | None = None) -> Iterator[DatasetReader]:
    """Open a dataset folder, or a bundle as folder or zip; `name` is what messages call it.

    UsageError if its parts cannot be read, now or later. Nothing is validated beyond that.
    """
    require_contents(path, name or str(path))
    with contextlib.ExitStack() as stack:
        with _reading(name or str(path)):
            if os.path.isfile(path) or is_bundle(path):
                info, read = _bundle(stack.enter_context(open_archive(path)))
            else:
                info = require_build_info(path)
                read = functools.partial(_of_folder, path, info)

        def rows(recipe: Recipe, layer: Layer, images: bool = True) -> list[Row]:
            with _reading(name or str(path)):
                return read(recipe, layer, images)

        yield DatasetReader(info, rows)


@contextlib.contextmanager
def _reading(name: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        problem = f"{name} cannot be read: {in_words(error)}."
        raise UsageError(problem, "See what `amaxds validate` says of it.") from error


def _of_folder(path: Path, info: BuildInfo, recipe: Recipe, layer: Layer, images: bool = True) -> list[Row]:
    rows: list[Row] = []
    columns = [name for name in stored_types() if images or name != "image"]
    for split, file in split_files(path, recipe.name):
        table = pq.read_table(opened(file), columns=columns, filters=pc.field("layer") == layer.index)
        rows += [named(row, info.network) | {"split": split} for row in table.to_pylist()]
    return sorted(rows, key=lambda row: row["filter"])


def _bundle(archive: Archive) -> tuple[BuildInfo, Reader]:
    problems: list[str] = []

    def add(rule: str, place: str, problem: str) -> None:
        problems.append(f"{place} {problem}")

    info = bundle_info(archive, add)
    records = list(read_table(archive, info, add)) if info is not None else []
    if info is None or not records:
        raise WrongData(problems[0] if problems else "it has no records")

    def rows(recipe: Recipe, layer: Layer, images: bool = True) -> list[Row]:
        of_layer = [row for row in records if (row["recipe"], row["layer"]) == (recipe.name, layer.name)]
        if not images:
            return sorted(of_layer, key=lambda row: row["filter"])
        complete = (row | {"image": read_image(archive, row["file_name"], info, recipe)} for row in of_layer)
        return sorted(complete, key=lambda row: row["filter"])

    return info, rows
