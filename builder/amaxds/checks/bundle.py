"""Validation of a bundle, in a folder or a zip: metadata.csv, the images it names, and what is rendered from them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Any

from amaxds.checks.record_checks import check_rows
from amaxds.checks.rules import ValidationReport
from amaxds.dataset.build_info import BUILD_FILE, BuildInfo
from amaxds.dataset.bundle import require_repo
from amaxds.dataset.bundle_files import KAGGLE_FILE, TABLE, image_file, kaggle_metadata, render_bundle_croissant
from amaxds.dataset.bundle_reader import _text, most_in_table, read_image, read_table
from amaxds.dataset.croissant import CROISSANT_FILE
from amaxds.dataset.record import Row
from amaxds.errors import UsageError, in_words
from amaxds.storage.archive import Archive
from amaxds.storage.values import abbreviate, differences, reject_duplicate_keys


def check_bundle(archive: Archive, info: BuildInfo, report: ValidationReport) -> Iterator[Row]:
    """Check the files, and every line of metadata.csv with the image it names. Yields the records that could be read."""
    recipe = next(iter(info.recipes.values()))
    before, named = (-1, -1), set[str]()
    indices = {layer.name: layer.index for layer in info.network.layers}
    records = read_table(archive, info, report.add)
    while rows := list(itertools.islice(records, 64)):
        for row in rows:
            named.add(row["file_name"])
            if row["file_name"] != (due := image_file(row["layer"], row["filter"])):
                report.add("image", row["place"], f"file_name is {row['file_name']!r}, expected {due!r}")
            if (key := (indices.get(row["layer"], len(indices)), row["filter"])) <= before:
                report.add("order", row["place"], "comes after a later layer or filter")
            before, row["image"] = key, None
            try:
                row["image"] = read_image(archive, row["file_name"], info, recipe)
            except KeyError:
                report.add("files", row["file_name"], f"is missing, and {TABLE} names it")
            except (OSError, ValueError) as error:
                report.add("image", row["place"], in_words(error))
        yield from check_rows([row for row in rows if row["image"] is not None], info, recipe, report)
        yield from ({**row, "tile": None} for row in rows if row["image"] is None)
    for name in sorted(archive.files.keys() - named - {TABLE, BUILD_FILE, CROISSANT_FILE, KAGGLE_FILE}):
        report.add("files", name, f"is no file of a bundle, or an image that {TABLE} does not name")


def check_bundle_descriptions(archive: Archive, info: BuildInfo, rows: Sequence[Row], report: ValidationReport) -> None:
    """Check what is rendered from the records: croissant.json, and dataset-metadata.json if it is there.

    Kaggle takes dataset-metadata.json as settings and does not hand it out again, so a bundle from there has none.
    """
    try:
        table = archive.read(TABLE, most_in_table(info))
    except (KeyError, OSError, ValueError):
        return  # Found already.
    due = json.loads(render_bundle_croissant(info, rows, table))
    found = _json(archive, CROISSANT_FILE, "croissant", report)
    if found is not None:
        if not info.by_this_version and isinstance(found, dict):
            found, due = found.get("distribution"), due["distribution"]
        for at, claimed, expected in differences(found, due):
            report.add("croissant", CROISSANT_FILE, f"{at or 'it'} is {abbreviate(claimed)}, expected {abbreviate(expected)}")
    if KAGGLE_FILE in archive.files and (found := _json(archive, KAGGLE_FILE, "kaggle", report)) is not None:
        _check_kaggle(found, info, sum(row["status"] == "dead" for row in rows), report)


def _check_kaggle(found: Any, info: BuildInfo, dead: int, report: ValidationReport) -> None:
    repo = found.get("id") if isinstance(found, dict) else None
    try:
        require_repo(str(repo))
    except UsageError:
        report.add("kaggle", KAGGLE_FILE, f"id is {abbreviate(repo)}, expected owner/name")
        repo = None
    if info.by_this_version:
        due = kaggle_metadata(info, dead, repo)
        for at, claimed, expected in differences(found, due):
            if at != "id":
                report.add("kaggle", KAGGLE_FILE, f"{at or 'it'} is {abbreviate(claimed)}, expected {abbreviate(expected)}")


def _json(archive: Archive, name: str, rule: str, report: ValidationReport) -> Any:
    text = _text(archive, name, rule, report.add)
    try:
        return None if text is None else json.loads(text, object_pairs_hook=reject_duplicate_keys)
    except (ValueError, RecursionError) as error:
        report.add(rule, name, f"cannot be read: {in_words(error)}")
        return None
