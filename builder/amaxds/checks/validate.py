"""Validation: whether a dataset folder or a bundle is what it says.

Every finding is collected, none stops the others; the report is sorted by rule and place. The data is not trusted: images are
sized before they are decoded, and rows are read in small batches.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from amaxds.checks.bundle import check_bundle, check_bundle_descriptions
from amaxds.checks.folder import check_descriptions, check_folder
from amaxds.checks.rules import Report
from amaxds.checks.unfinished_build import check_unfinished
from amaxds.dataset.build_info import BUILD_FILE, Claims, read_claims
from amaxds.dataset.bundle import is_bundle
from amaxds.dataset.bundle_reader import bundle_claims
from amaxds.dataset.record import Row
from amaxds.dataset.summary import summarise
from amaxds.errors import UsageError, in_words
from amaxds.spec.splits import split_of
from amaxds.storage.archive import Tree, open_tree


def validate(path: Path, name: str | None = None) -> Report:
    """Check a dataset folder, or a bundle as folder or zip, against its own build.json and against the definitions.

    name: what the report calls it, where that is not its path. UsageError where it is neither.
    """
    report = Report(name or str(path))
    if os.path.isfile(path) or is_bundle(path):
        try:
            with open_tree(path) as tree:
                _validate_bundle(tree, report)
        except (OSError, ValueError) as error:
            report.add("files", path.name, in_words(error))
    elif os.path.isdir(path):
        _validate_folder(path, report)
    else:
        raise UsageError(f"{path} is no folder and no file.", "Give a dataset folder, or a bundle as folder or zip.")
    report.sort()
    return report


def _validate_folder(path: Path, report: Report) -> None:
    check_unfinished(path, report)
    claims, problems = read_claims(path)
    for problem in problems:
        report.add("build", BUILD_FILE, problem)
    if claims is not None:
        rows = list(check_folder(path, claims, report))
        _check_records(claims, rows, report)
        check_descriptions(path, claims, rows, report)
        if report.valid:
            report.summaries = summarise(rows, claims.network)


def _validate_bundle(tree: Tree, report: Report) -> None:
    claims = bundle_claims(tree, report.add)
    if claims is not None:
        rows = list(check_bundle(tree, claims, report))
        _check_records(claims, rows, report)
        check_bundle_descriptions(tree, claims, rows, report)
        if report.valid:
            report.summaries = summarise(rows, claims.network)


def _check_records(claims: Claims, rows: Sequence[Row], report: Report) -> None:
    """What must be true of the records together, in whatever form they come."""
    report.images = len(rows)
    _check_splits(claims, rows, report)
    _check_scope(claims, rows, report)
    _check_counts(claims, rows, report)
    _check_ranks(claims, rows, report)


def _check_splits(claims: Claims, rows: Sequence[Row], report: Report) -> None:
    splits = {layer.name: split_of(layer) for layer in claims.network.layers}
    for row in rows:
        due = splits.get(row["layer"], {}).get(row["filter"])
        if due is not None and due != row["split"]:
            report.add("split", row["place"], f"belongs to {due}")


def _check_scope(claims: Claims, rows: Sequence[Row], report: Report) -> None:
    """One record for each filter of the scope, and no two with the same pixels."""
    due = {(layer, filter) for layer, filters in claims.scope.items() for filter in filters}
    for recipe in claims.recipes:
        found = Counter((row["layer"], row["filter"]) for row in rows if row["recipe"] == recipe)
        for layer, filter in sorted(due - found.keys()):
            report.add("scope", f"{recipe} {layer}/{filter}", "has no record")
        for layer, filter in sorted(found.keys() - due, key=str):
            report.add("scope", f"{recipe} {layer}/{filter}", "is not in the scope of build.json")
        for (layer, filter), times in sorted(found.items(), key=str):
            if times > 1:
                report.add("scope", f"{recipe} {layer}/{filter}", f"has {times} records")
    first: dict[str, str] = {}
    for row in rows:
        before = first.setdefault(str(row["pixels_sha256"]), row["place"])
        if before != row["place"] and row["pixels_sha256"] is not None:
            report.add("duplicate", row["place"], f"has the pixels of {before}")


def _check_counts(claims: Claims, rows: Sequence[Row], report: Report) -> None:
    dead = sum(row["status"] == "dead" for row in rows)
    for name, counted in (("images", len(rows)), ("dead", dead)):
        if claims.stored[name] not in (counted, None):
            report.add("counts", "build.json", f"{name} is {claims.stored[name]}, the data has {counted}")


def _check_ranks(claims: Claims, rows: Sequence[Row], report: Report) -> None:
    """Ranks within their layer, and those behind another image as build.json names them."""
    in_layer = Counter((row["recipe"], row["layer"]) for row in rows)
    for row in rows:
        if row["activation_rank"] is not None and row["activation_rank"] > in_layer[row["recipe"], row["layer"]]:
            report.add("rank", row["place"], f"is {row['activation_rank']}, of {in_layer[row['recipe'], row['layer']]} images")
    for recipe in claims.recipes:
        named = {(each["layer"], each["filter"]): each for each in claims.stored["beaten"].get(recipe, [])}
        behind = {
            (row["layer"], row["filter"]): row["activation_rank"]
            for row in rows
            if row["recipe"] == recipe and row["status"] == "alive" and row["activation_rank"] not in (1, None)
        }
        for layer, filter in sorted(named.keys() | behind.keys(), key=str):
            entry, rank = named.get((layer, filter)), behind.get((layer, filter), 1)
            if entry is None or entry["rank"] != rank:
                said = "does not name it among the beaten" if entry is None else f"says {entry['rank']}"
                report.add("rank", f"{recipe} {layer}/{filter}", f"is {rank}, build.json {said}")
            elif entry["best"] == filter or entry["best"] not in claims.scope.get(layer, ()):
                report.add("rank", f"{recipe} {layer}/{filter}", f"beaten by filter {entry['best']}, says build.json")
