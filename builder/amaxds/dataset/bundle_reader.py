"""A bundle's build.json, table and images, read without trusting them."""

from __future__ import annotations

import csv
import dataclasses
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from amaxds.dataset.build_info import BUILD_FILE, Claims, parse_claims
from amaxds.dataset.bundle import (
    TABLE,
    bundled,
    render_table,
)
from amaxds.dataset.croissant import column_types
from amaxds.dataset.record import Row, stored_types
from amaxds.errors import in_words
from amaxds.spec.recipes import Recipe
from amaxds.storage.archive import Tree
from amaxds.storage.values import short

AddProblem = Callable[[str, str, str], None]
"""Takes the rule that is broken, the file or record, and what is wrong there."""

_MOST_TEXT = 16_000_000
_MOST_IN_ROW = 1000


def bundle_claims(tree: Tree, add: AddProblem) -> Claims | None:
    """What build.json says of the bundle's one recipe, which metadata.csv names, unless it cannot be used."""
    for name, problem in tree.problems:
        add("files", name, problem)
    text = _text(tree, BUILD_FILE, "build", add)
    if text is None:
        return None
    claims, problems = parse_claims(text)
    for problem in problems:
        add("build", BUILD_FILE, problem)
    if claims is None:
        return None
    known = claims.recipes
    recipe = next((name for name in _recipes_of_table(tree) if name in known), next(iter(known)))
    stored = bundled(claims.stored, recipe) | {"beaten": {recipe: claims.stored["beaten"].get(recipe, [])}}
    if len(known) > 1:  # What build.json counts is the images of all its recipes.
        if stored["images"] != len(known) * claims.filters:
            add("counts", BUILD_FILE, f"images is {stored['images']}, expected {len(known)} times {claims.filters}")
        stored |= {"images": claims.filters, "dead": None}
    return dataclasses.replace(claims, stored=stored, recipes={recipe: known[recipe]})


def _recipes_of_table(tree: Tree) -> Iterator[str]:
    """What the lines of metadata.csv say, as far as they can be read."""
    try:
        for line in csv.DictReader(tree.read(TABLE, _MOST_TEXT).decode().splitlines()):
            yield str(line.get("recipe"))
    except (KeyError, OSError, ValueError, csv.Error):
        return


def read_table(tree: Tree, claims: Claims, add: AddProblem) -> Iterator[Row]:
    """The records of metadata.csv, each with its place; what is written otherwise than a bundle writes it is a finding."""
    text = _text(tree, TABLE, "files", add, _MOST_IN_ROW * (claims.filters + 1))
    if text is None:
        return
    header, *lines = text.split("\n")
    if header != ",".join(column_types()):
        add("features", TABLE, f"its columns are {short(header)}, expected {', '.join(column_types())}")
        return
    if lines[-1:] != [""]:
        add("features", TABLE, "does not end in a line end")
    if len(lines) - 1 > claims.filters:
        add("files", TABLE, f"has {len(lines) - 1} records, for a scope of {claims.filters} filters")
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


def read_image(tree: Tree, name: str, claims: Claims, recipe: Recipe) -> bytes:
    """The bytes of an image; KeyError where it is not there, ValueError or OSError where it cannot be read or is too large."""
    return tree.read(name, 4 * recipe.image_side(claims.network) ** 2 + 10_000)


def _integer(text: str) -> int:
    if not re.fullmatch(r"0|-?[1-9]\d{0,18}", text, re.ASCII):
        raise ValueError(f"{short(text)} is no whole number")
    return int(text)


def _number(text: str) -> float:
    return float(text)


def _single(text: str) -> float:
    value = float(text)
    if np.isfinite(value) and float(np.float32(value)) != value:
        raise ValueError(f"{text} is no float32")
    return value


_READ: dict[str, Callable[[str], Any]] = {"int32": _integer, "int64": _integer, "float32": _single, "float64": _number}


def _text(tree: Tree, name: str, rule: str, add: AddProblem, most: int = _MOST_TEXT) -> str | None:
    """A text file of the tree; None, and a finding under the rule, where it is not there or cannot be read."""
    if name not in tree.files:
        add(rule, name, "is missing")
        return None
    try:
        return tree.read(name, most).decode()
    except (OSError, ValueError) as error:
        add(rule, name, f"cannot be read: {in_words(error)}")
        return None
