"""Validation: whether a dataset folder or a bundle is what it says.

Every finding is collected, none stops the others; the report is sorted by rule and place. The data is not trusted: images are
sized before they are decoded, and rows are read in small batches.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

from amaxds.checks.bundle import check_bundle, check_bundle_descriptions
from amaxds.checks.folder import check_descriptions, check_folder
from amaxds.checks.rules import ValidationReport
from amaxds.checks.unfinished_build import check_unfinished
from amaxds.dataset.build_info import BUILD_FILE, BuildInfo
from amaxds.dataset.build_reader import read_build_info
from amaxds.dataset.bundle_files import is_bundle
from amaxds.dataset.bundle_reader import bundle_info
from amaxds.dataset.parquet import WRITERS
from amaxds.dataset.record import Row
from amaxds.dataset.summary import summarise
from amaxds.errors import UsageError, in_words
from amaxds.spec.splits import split_of
from amaxds.storage.archive import Archive, open_archive, require_contents
from amaxds.storage.values import abbreviate


def validate(path: Path, name: str | None = None) -> ValidationReport:
    """Check a dataset folder, or a bundle as folder or zip, against its own build.json and against the definitions.

    name: what the report calls it, if not by its path. UsageError if the path is neither folder nor file.
    """
    require_contents(path, name or str(path))
    report = ValidationReport(name or str(path))
    if os.path.isfile(path) or is_bundle(path):
        try:
            with open_archive(path) as archive:
                _validate_bundle(archive, report)
        except (OSError, ValueError) as error:
            report.add("files", path.name, in_words(error))
    elif os.path.isdir(path):
        _validate_folder(path, report)
    else:
        raise UsageError(f"{path} is no folder and no file.", "Give a dataset folder, or a bundle as folder or zip.")
    report.sort()
    return report


def _validate_folder(path: Path, report: ValidationReport) -> None:
    check_unfinished(path, report)
    info, problems = read_build_info(path)
    for problem in problems:
        report.add("build", BUILD_FILE, problem)
    if info is not None:
        report.not_compared = [*_not_compared(info, ("pillow", "the contact sheets"), *_PARQUET_WRITERS)]
        rows = list(check_folder(path, info, report))
        _check_records(info, rows, report)
        check_descriptions(path, info, rows, report)
        if report.valid:
            report.summaries = summarise(rows, info.network)


def _validate_bundle(archive: Archive, report: ValidationReport) -> None:
    info = bundle_info(archive, report.add)
    if info is not None:
        report.not_compared = [*_not_compared(info)]
        rows = list(check_bundle(archive, info, report))
        _check_records(info, rows, report)
        check_bundle_descriptions(archive, info, rows, report)
        if report.valid:
            report.summaries = summarise(rows, info.network)


_PARQUET_WRITERS = tuple((each, "the bytes of parquet files beyond their rows") for each in WRITERS)


def _not_compared(info: BuildInfo, *drawn_by: tuple[str, str]) -> Iterator[str]:
    """What this version does not write or draw as the dataset's did. drawn_by: libraries, and what of the dataset is theirs."""
    if not info.by_this_version:
        what = "the text of the card, descriptions and pictures beside the images, and settings of recipes"
        yield f"{what}; amaxds is {version('amaxds')} here, and made the dataset as {abbreviate(info.software.amaxds)}"
    for library, what in drawn_by:
        if (there := info.software.version_of(library)) != (here := version(library)):
            before = "it is not known which version was there" if there is None else f"was {abbreviate(there)} there"
            yield f"{what}; {library} is {here} here, and {before}"


def _check_records(info: BuildInfo, rows: Sequence[Row], report: ValidationReport) -> None:
    """What must be true of the records together, in whatever form they come."""
    report.images = len(rows)
    _check_splits(info, rows, report)
    _check_scope(info, rows, report)
    _check_counts(info, rows, report)
    _check_ranks(info, rows, report)


def _check_splits(info: BuildInfo, rows: Sequence[Row], report: ValidationReport) -> None:
    splits = {layer.name: split_of(layer) for layer in info.network.layers}
    for row in rows:
        due = splits.get(row["layer"], {}).get(row["filter"])
        if due is not None and due != row["split"]:
            report.add("split", row["place"], f"belongs to {due}")


def _check_scope(info: BuildInfo, rows: Sequence[Row], report: ValidationReport) -> None:
    """One record for each filter of the scope, and no two that an ascent made with the same pixels."""
    due = {(layer, filter) for layer, filters in info.scope.items() for filter in filters}
    for recipe in info.recipes:
        found = Counter((row["layer"], row["filter"]) for row in rows if row["recipe"] == recipe)
        for layer, filter in sorted(due - found.keys()):
            report.add("scope", f"{recipe} {layer}/{filter}", "has no record")
        for layer, filter in sorted(found.keys() - due, key=str):
            report.add("scope", f"{recipe} {layer}/{filter}", "is not in the scope of build.json")
        for (layer, filter), times in sorted(found.items(), key=str):
            if times > 1:
                report.add("scope", f"{recipe} {layer}/{filter}", f"has {times} records")
    first: dict[str, str] = {}
    made = {name for name, recipe in info.recipes.items() if recipe.made_here}
    for row in (row for row in rows if row["recipe"] in made):  # Images from elsewhere may be equal: all black, for example.
        before = first.setdefault(str(row["pixels_sha256"]), row["place"])
        if before != row["place"] and row["pixels_sha256"] is not None:
            report.add("duplicate", row["place"], f"has the pixels of {before}")


def _check_counts(info: BuildInfo, rows: Sequence[Row], report: ValidationReport) -> None:
    dead = sum(row["status"] == "dead" for row in rows)
    for name, said, counted in (("images", info.images, len(rows)), ("dead", info.dead_images, dead)):
        if said not in (counted, None):
            report.add("counts", "build.json", f"{name} is {said}, the data has {counted}")


def _check_ranks(info: BuildInfo, rows: Sequence[Row], report: ValidationReport) -> None:
    """No rank is beyond its layer's images, and build.json names every image that is outranked."""
    in_layer = Counter((row["recipe"], row["layer"]) for row in rows)
    for row in rows:
        if row["activation_rank"] is not None and row["activation_rank"] > in_layer[row["recipe"], row["layer"]]:
            report.add("rank", row["place"], f"is {row['activation_rank']}, of {in_layer[row['recipe'], row['layer']]} images")
    for recipe in info.recipes:
        named = {(each.layer, each.filter): each for each in info.outranked.get(recipe, [])}
        behind = {
            (row["layer"], row["filter"]): row["activation_rank"]
            for row in rows
            if row["recipe"] == recipe and row["status"] == "alive" and row["activation_rank"] not in (1, None)
        }
        for layer, filter in sorted(named.keys() | behind.keys(), key=str):
            entry, rank = named.get((layer, filter)), behind.get((layer, filter), 1)
            if entry is None or entry.rank != rank:
                said = "does not name it among the outranked" if entry is None else f"says {entry.rank}"
                report.add("rank", f"{recipe} {layer}/{filter}", f"is {rank}, build.json {said}")
            elif entry.best == filter or entry.best not in info.scope.get(layer, ()):
                report.add("rank", f"{recipe} {layer}/{filter}", f"outranked by filter {entry.best}, says build.json")
