"""Validation of a bundle, in a folder or a zip: metadata.csv, the images it names, and what is rendered from them."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json
import re
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

from amaxds.bundle import (
    KAGGLE_FILE,
    TABLE,
    bundled,
    image_file,
    kaggle_metadata,
    render_bundle_croissant,
    render_table,
)
from amaxds.croissant import CROISSANT_FILE, column_types
from amaxds.errors import UsageError, in_words
from amaxds.evidence import Row, check_rows
from amaxds.findings import Report
from amaxds.hub import require_repo
from amaxds.provenance import BUILD_FILE, Claims, differences, parse_claims, short, unique
from amaxds.recipe import Recipe
from amaxds.record import stored_types
from amaxds.tree import Tree

_MOST_TEXT = 16_000_000
_MOST_IN_ROW = 1000


def bundle_claims(tree: Tree, report: Report) -> Claims | None:
    """What build.json says of the bundle's one recipe, which metadata.csv names, unless it cannot be used."""
    for name, problem in tree.problems:
        report.add("files", name, problem)
    text = _text(tree, BUILD_FILE, "build", report)
    if text is None:
        return None
    claims, problems = parse_claims(text)
    for problem in problems:
        report.add("build", BUILD_FILE, problem)
    if claims is None:
        return None
    known = claims.recipes
    recipe = next((name for name in _recipes_of_table(tree) if name in known), next(iter(known)))
    stored = bundled(claims.stored, recipe) | {"beaten": {recipe: claims.stored["beaten"].get(recipe, [])}}
    if len(known) > 1:  # What build.json counts is the images of all its recipes.
        if stored["images"] != len(known) * claims.filters:
            report.add("counts", BUILD_FILE, f"images is {stored['images']}, expected {len(known)} times {claims.filters}")
        stored |= {"images": claims.filters, "dead": None}
    return dataclasses.replace(claims, stored=stored, recipes={recipe: known[recipe]})


def check_bundle(tree: Tree, claims: Claims, report: Report) -> Iterator[Row]:
    """Check the files, and every line of metadata.csv with the image it names; what could be read of the records."""
    recipe = next(iter(claims.recipes.values()))
    before, named = (-1, -1), set[str]()
    indices = {layer.name: layer.index for layer in claims.network.layers}
    records = read_table(tree, claims, report)
    while rows := list(itertools.islice(records, 64)):
        for row in rows:
            named.add(row["file"])
            if row["file"] != (due := image_file(row["layer"], row["filter"])):
                report.add("image", row["place"], f"file is {row['file']!r}, expected {due!r}")
            if (key := (indices.get(row["layer"], len(indices)), row["filter"])) <= before:
                report.add("order", row["place"], "comes after a later layer or filter")
            before = key
            try:
                row["image"] = read_image(tree, row["file"], claims, recipe)
            except KeyError:
                report.add("files", row["file"], f"is missing, and {TABLE} names it")
            except (OSError, ValueError) as error:
                report.add("image", row["place"], in_words(error))
        yield from check_rows([row for row in rows if row["image"]], claims, recipe, report)
        yield from ({**row, "tile": None} for row in rows if not row["image"])
    for name in sorted(tree.files.keys() - named - {TABLE, BUILD_FILE, CROISSANT_FILE, KAGGLE_FILE}):
        report.add("files", name, f"is no file of a bundle, or an image that {TABLE} does not name")


def _recipes_of_table(tree: Tree) -> Iterator[str]:
    """What the lines of metadata.csv say, as far as they can be read."""
    try:
        for line in csv.DictReader(tree.read(TABLE, _MOST_TEXT).decode().splitlines()):
            yield str(line.get("recipe"))
    except (KeyError, OSError, ValueError, csv.Error):
        return


def read_table(tree: Tree, claims: Claims, report: Report) -> Iterator[Row]:
    """The records of metadata.csv, each with its place; what is written otherwise than a bundle writes it is a finding."""
    text = _text(tree, TABLE, "files", report, _MOST_IN_ROW * (claims.filters + 1))
    if text is None:
        return
    header, *lines = text.split("\n")
    if header != ",".join(column_types()):
        report.add("features", TABLE, f"its columns are {short(header)}, expected {', '.join(column_types())}")
        return
    if lines[-1:] != [""]:
        report.add("features", TABLE, "does not end in a line end")
    if len(lines) - 1 > claims.filters:
        report.add("files", TABLE, f"has {len(lines) - 1} records, for a scope of {claims.filters} filters")
        return
    for number, line in enumerate(lines[:-1], start=2):
        at, kinds, row = f"{TABLE} line {number}", stored_types(), Row(image=b"")
        try:
            for column, value in zip(column_types(), next(csv.reader([line], strict=True), []), strict=True):
                row[column] = _READ.get(kinds.get(column, ""), str)(value)
        except (ValueError, csv.Error) as error:
            report.add("features", at, f"cannot be read: {error}")
            continue
        if render_table([row]).decode() != f"{header}\n{line}\n":
            report.add("features", at, "is written in another way than a bundle writes it")
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


def check_bundle_descriptions(tree: Tree, claims: Claims, rows: Sequence[Row], report: Report) -> None:
    """Check what is rendered from the records: croissant.json, and dataset-metadata.json where it is there.

    Kaggle takes that one as settings, and does not hand it out again.
    """
    stored = claims.stored
    try:
        table = tree.read(TABLE, _MOST_TEXT)
    except (KeyError, OSError, ValueError):
        return  # Found already.
    due = json.loads(render_bundle_croissant(stored, rows, table))
    found = _json(tree, CROISSANT_FILE, "croissant", report)
    if found is not None:
        if stored["software"]["amaxds"] != version("amaxds") and isinstance(found, dict):
            found, due = found.get("distribution"), due["distribution"]
        for at, claimed, expected in differences(found, due):
            report.add("croissant", CROISSANT_FILE, f"{at or 'it'} is {short(claimed)}, expected {short(expected)}")
    if KAGGLE_FILE in tree.files and (found := _json(tree, KAGGLE_FILE, "kaggle", report)) is not None:
        _check_kaggle(found, claims, report)


def _check_kaggle(found: Any, claims: Claims, report: Report) -> None:
    repo = found.get("id") if isinstance(found, dict) else None
    try:
        require_repo(str(repo))
    except UsageError:
        report.add("kaggle", KAGGLE_FILE, f"id is {short(repo)}, expected owner/name")
    if claims.stored["software"]["amaxds"] == version("amaxds"):
        due = kaggle_metadata(claims.stored, next(iter(claims.recipes)))
        for at, claimed, expected in differences(found, due):
            if at != "id":
                report.add("kaggle", KAGGLE_FILE, f"{at or 'it'} is {short(claimed)}, expected {short(expected)}")


def _json(tree: Tree, name: str, rule: str, report: Report) -> Any:
    text = _text(tree, name, rule, report)
    try:
        return None if text is None else json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        report.add(rule, name, f"cannot be read: {in_words(error)}")
        return None


def _text(tree: Tree, name: str, rule: str, report: Report, most: int = _MOST_TEXT) -> str | None:
    """A text file of the tree; None, and a finding under the rule, where it is not there or cannot be read."""
    if name not in tree.files:
        report.add(rule, name, "is missing")
        return None
    try:
        return tree.read(name, most).decode()
    except (OSError, ValueError) as error:
        report.add(rule, name, f"cannot be read: {in_words(error)}")
        return None
