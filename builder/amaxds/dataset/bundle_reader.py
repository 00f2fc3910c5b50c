"""A bundle's build.json, table and images, read without trusting them."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from amaxds.dataset.build_info import BUILD_FILE, BuildInfo
from amaxds.dataset.build_reader import parse_build_info
from amaxds.dataset.bundle_files import TABLE, render_table
from amaxds.dataset.croissant import column_types
from amaxds.dataset.record import Row, stored_types
from amaxds.errors import WrongData, in_words
from amaxds.spec.recipes import Recipe
from amaxds.storage.archive import Archive
from amaxds.storage.values import abbreviate

AddProblem = Callable[[str, str, str], None]
"""Takes the rule that is broken, the file or record, and what is wrong there."""

_MOST_TEXT = 16_000_000
_MOST_IN_ROW = 1000


def bundle_info(archive: Archive, add: AddProblem) -> BuildInfo | None:
    """What build.json says of the bundle's one recipe, the one that metadata.csv names; None if it cannot be used."""
    for name, problem in archive.problems:
        add("files", name, problem)
    text = _text(archive, BUILD_FILE, "build", add)
    if text is None:
        return None
    info, problems = parse_build_info(text)
    for problem in problems:
        add("build", BUILD_FILE, problem)
    if info is None:
        return None
    known = info.recipes
    recipe = next((name for name in _recipes_of_table(archive, info) if name in known), next(iter(known)))
    # What build.json counts is the images of all its recipes.
    if len(known) > 1 and info.images != len(known) * info.filters:
        add("counts", BUILD_FILE, f"images is {info.images}, expected {len(known)} times {info.filters}")
    return info.of_recipe(recipe)


def _recipes_of_table(archive: Archive, info: BuildInfo) -> Iterator[str]:
    """The recipes that the lines of metadata.csv name, as far as they can be read."""
    try:
        for line in csv.DictReader(archive.read(TABLE, most_in_table(info)).decode().splitlines()):
            yield str(line.get("recipe"))
    except (KeyError, OSError, ValueError, csv.Error):
        return


def most_in_table(info: BuildInfo) -> int:
    """More bytes than the metadata.csv of a bundle has."""
    return _MOST_IN_ROW * (info.filters + 1)


def read_table(archive: Archive, info: BuildInfo, add: AddProblem) -> Iterator[Row]:
    """The records of metadata.csv, each with its place. Whatever a bundle would have written in another way is a problem."""
    text = _text(archive, TABLE, "files", add, most_in_table(info))
    if text is None:
        return
    header, *lines = text.split("\n")
    if header != ",".join(column_types()):
        add("features", TABLE, f"its columns are {abbreviate(header)}, expected {', '.join(column_types())}")
        return
    if lines[-1:] != [""]:
        add("features", TABLE, "does not end in a line end")
    if len(lines) - 1 > info.filters:
        add("files", TABLE, f"has {len(lines) - 1} records, for a scope of {info.filters} filters")
        return
    for number, line in enumerate(lines[:-1], start=2):
        at, kinds, row = f"{TABLE} line {number}", stored_types(), Row(image=b"")
        try:
            for column, value in zip(column_types(), next(csv.reader([line], strict=True), []), strict=True):
                row[column] = _READ.get(kinds.get(column, ""), str)(value)
        except (ValueError, csv.Error) as error:
            add("features", at, f"cannot be read: {error}")
            continue
        if render_table([row]).decode() != f"{header}\n{line}\n":
            add("features", at, "is written in another way than a bundle writes it")
        yield row | {"place": f"{at} {row['layer']}/{row['filter']}"}


def read_image(archive: Archive, name: str, info: BuildInfo, recipe: Recipe) -> bytes:
    """The bytes of an image. KeyError if it is not there, ValueError or OSError if it cannot be read or is too large."""
    return archive.read(name, 4 * recipe.image_side(info.network) ** 2 + 10_000)


def _integer(text: str) -> int:
    if not re.fullmatch(r"0|-?[1-9]\d{0,18}", text, re.ASCII):
        raise WrongData(f"{abbreviate(text)} is no whole number")
    return int(text)


def _number(text: str) -> float:
    return float(text)


def _single(text: str) -> float:
    value = float(text)
    if np.isfinite(value) and float(np.float32(value)) != value:
        raise WrongData(f"{text} is no float32")
    return value


_READ: dict[str, Callable[[str], Any]] = {"int32": _integer, "int64": _integer, "float32": _single, "float64": _number}


def _text(archive: Archive, name: str, rule: str, add: AddProblem, most: int = _MOST_TEXT) -> str | None:
    """A text file of the bundle; None, and a problem under the rule, if it is not there or cannot be read."""
    if name not in archive.files:
        add(rule, name, "is missing")
        return None
    try:
        return archive.read(name, most).decode()
    except (OSError, ValueError) as error:
        add(rule, name, f"cannot be read: {in_words(error)}")
        return None
