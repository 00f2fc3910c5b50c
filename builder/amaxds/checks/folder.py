"""Validation of a dataset folder: its files, parquet and all, card, Croissant and contact sheets."""

from __future__ import annotations

import base64
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from amaxds.builds.shards import WORK
from amaxds.checks.record_checks import check_rows
from amaxds.checks.rules import ValidationReport
from amaxds.dataset import record
from amaxds.dataset.build_info import BUILD_FILE, BuildInfo
from amaxds.dataset.card import card_data, render_card
from amaxds.dataset.contact_sheet import Tile, contact_sheet, most_pixels
from amaxds.dataset.croissant import CROISSANT_FILE, render_croissant
from amaxds.dataset.parquet import WRITERS, WrittenAgain, dataset_info, image_name, named, opened, row_batches, split_files
from amaxds.dataset.record import Row
from amaxds.dataset.summary import summarise
from amaxds.errors import in_words
from amaxds.image import decode_png, has_only_pixels
from amaxds.spec.network import Network
from amaxds.spec.recipes import Recipe
from amaxds.spec.splits import SPLITS
from amaxds.storage.files import read_bounded, read_text
from amaxds.storage.values import abbreviate, differences, reject_duplicate_keys

if TYPE_CHECKING:
    import datasets

_PARQUET = re.compile(rf"({'|'.join(SPLITS)})-\d{{5}}-of-\d{{5}}\.parquet")
_SHEET_BYTES, _SHEET_PIXELS = 200_000_000, 4096 * 4096
"""A sheet may have more pixels than that where it shows many layers."""
_FOOTER_KEYS = {b"huggingface", b"ARROW:schema", b"content_defined_chunking"}
_RECEIPT = r"receipt-(huggingface|kaggle|gallery)\.json"
_BESIDE_DATA = re.compile(
    rf"\.cache|\.git|\.gitattributes|{_RECEIPT}|\.{_RECEIPT}\.[0-9a-f]{{8}}-\d+-[0-9a-f]{{12}}\.tmp|{re.escape(WORK)}"
)
"""What the hubs' own clients leave beside a dataset, receipts of `amaxds publish`, one that a killed publication was writing,
which the next one deletes, and what is checked by itself."""


def check_folder(path: Path, info: BuildInfo, report: ValidationReport) -> Iterator[Row]:
    """Check the files, and every record with its image. Yields the records that could be read."""
    _check_files(path, info, report)
    yield from _check_data(path, info, report)


def check_descriptions(path: Path, info: BuildInfo, rows: Sequence[Row], report: ValidationReport) -> None:
    """Check everything that is rendered from the records: contact sheets, croissant.json, card."""
    _check_sheets(path, info, rows, report)
    _check_croissant(path, info, report)
    _check_card(path, info, rows, report)


def _check_files(path: Path, info: BuildInfo, report: ValidationReport) -> None:
    """Check that the folder holds the files of a dataset and nothing else: some readers would run programs beside the data."""
    due = {"README.md", BUILD_FILE, CROISSANT_FILE, *(f"contact-sheet-{recipe}.png" for recipe in info.recipes)}
    found = set()
    for folder, folders, names in os.walk(path):
        inside = Path(folder).relative_to(path)
        if inside == Path("."):
            folders[:] = [name for name in folders if not _BESIDE_DATA.fullmatch(name)]
            names = [name for name in names if not _BESIDE_DATA.fullmatch(name)]
        for name in list(folders):
            if inside != Path(".") or name not in info.recipes:
                report.add("files", (inside / name).as_posix(), "is no folder of a dataset")
                folders.remove(name)  # Whatever is in it is none of the dataset's either, however much that is.
        for name in names + [name for name in folders if (Path(folder) / name).is_symlink()]:
            file = (inside / name).as_posix()
            found.add(file)
            parquet = inside.as_posix() in info.recipes and _PARQUET.fullmatch(name)
            if file not in due and not parquet:
                report.add("files", file, "is no file of a dataset")
            elif (Path(folder) / name).is_symlink():
                report.add("files", file, "is a link")
            elif not (Path(folder) / name).is_file():
                report.add("files", file, "is no regular file")
    for file in sorted(due - found - {"README.md", CROISSANT_FILE}):
        report.add("files", file, "is missing")


def _check_data(path: Path, info: BuildInfo, report: ValidationReport) -> Iterator[Row]:
    """Check the parquet files. Yields every record that could be read, without its image and with labels by name."""
    for recipe in info.recipes.values():
        files = [(split, file) for split, file in split_files(path, recipe.name) if _PARQUET.fullmatch(file.name)]
        if not files:
            report.add("files", recipe.name, "has no parquet files")
        counts, before = Counter(split for split, _ in files), dict.fromkeys(SPLITS, (-1, -1))
        for number, (split, file) in enumerate(files):
            place, first = f"{recipe.name}/{file.name}", next(i for i, each in enumerate(files) if each[0] == split)
            if file.name != (name := f"{split}-{number - first:05d}-of-{counts[split]:05d}.parquet"):
                report.add("files", place, f"is not named {name}: files of {split} are missing")
            yield from _check_file(file, place, split, recipe, info, before, report)


def _check_file(
    file: Path,
    place: str,
    split: str,
    recipe: Recipe,
    info: BuildInfo,
    before: dict[str, tuple[int, int]],
    report: ValidationReport,
) -> Iterator[Row]:
    most = _most_bytes(info, recipe)
    try:
        if (size := file.stat().st_size) > most:
            report.add("files", place, f"has {size} bytes, more than the {most} that its images could have")
            return
        source = pq.ParquetFile(opened(file))
        problem = _features_problem(source.schema_arrow, info.network)
        problem = problem or _declared_otherwise(file, source.metadata, info.network)
        if problem:
            report.add("features", place, problem)
            return
        size = sum(source.metadata.row_group(i).total_byte_size for i in range(source.metadata.num_row_groups))
        if size > most:
            report.add("files", place, f"holds {size} bytes, more than the {most} that its images could have")
            return
        if source.metadata.num_rows > info.filters:
            report.add("files", place, f"has {source.metadata.num_rows} rows, for a scope of {info.filters} filters")
            return
        again = WrittenAgain(file, info.network) if _same_writer(info) else None
        for batch in row_batches(source):
            rows = []
            if again is not None:
                again.add(batch)
            for stored in batch:
                row = named(stored, info.network)
                row |= {"split": split, "place": f"{place} {row['layer']}/{row['filter']}"}
                if row["path"] != (due := image_name(row["filter"])):
                    report.add("image", row["place"], f"its path is {row['path']!r}, expected {due!r}")
                key = (stored["layer"], stored["filter"])
                if None not in key:
                    if key <= before[split]:
                        report.add("order", row["place"], "comes after a later layer or filter")
                    before[split] = key
                rows.append(row)
            yield from check_rows(rows, info, recipe, report)
        if report.valid and again is not None and not again.same():
            report.add("files", place, "has other bytes than its rows give: something is hidden in it, or it was written anew")
    except (OSError, ValueError, pa.ArrowException) as error:
        report.add("files", place, f"cannot be read: {in_words(error)}")


def _most_bytes(info: BuildInfo, recipe: Recipe) -> int:
    """More than all images of a recipe can have together, with their records."""
    return info.filters * (4 * recipe.image_side(info.network) ** 2 + 10_000) + 1_000_000


def _features_problem(schema: pa.Schema, network: Network) -> str | None:
    """What is wrong with a file's columns, as it declares them to `datasets` and as it stores them."""
    wanted = record.features(network)
    stored, due = schema.remove_metadata(), wanted.arrow_schema.remove_metadata()
    twice = [name for name, times in Counter(stored.names).items() if times > 1]
    if twice:
        return f"column {twice[0]} is there twice"
    for column in due:
        if column.name in stored.names and stored.field(column.name).type != column.type:
            return f"column {column.name} is stored as {stored.field(column.name).type}, expected {column.type}"
    import datasets

    try:
        found = datasets.Features.from_arrow_schema(schema)
        return None if found == wanted and stored.names == due.names else _difference(found, wanted)
    except Exception as error:  # The library reads the file's own JSON, and fails in as many ways as that can be wrong.
        return f"the features it declares cannot be read: {in_words(error)}"


def _declared_otherwise(file: Path, footer: pq.FileMetaData, network: Network) -> str | None:
    """What is wrong with the places where a footer says the features again: readers differ in which of them they believe.

    pyarrow reads the schema under `ARROW:schema`, the Hub's viewer the JSON under `huggingface`; of a key that is there twice,
    some take the first value and some the last.
    """
    entries = footer.metadata or {}
    if foreign := sorted(set(entries) - _FOOTER_KEYS):
        return f"its footer has the key {abbreviate(foreign[0].decode(errors='replace'))}, which no dataset has"
    with opened(file) as source:
        source.seek(source.size() - footer.serialized_size - 8)
        text = source.read(footer.serialized_size)
    for key in entries:  # pyarrow gives one value of a key, however many there are.
        if text.count(key) != 1 + sum(value.count(key) for value in entries.values()):
            return f"its footer has the key {key.decode()} twice"
    due = record.features(network).arrow_schema
    try:
        declared = json.loads(entries[b"huggingface"], object_pairs_hook=reject_duplicate_keys)
        stored = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(entries[b"ARROW:schema"])))
    except KeyError as missing:
        return f"its footer lacks the key {missing.args[0].decode()}"
    except (ValueError, RecursionError) as error:
        return f"the features in its footer cannot be read: {in_words(error)}"
    for at, claimed, expected in differences(declared, json.loads(due.metadata[b"huggingface"])):
        return f"its footer declares {at or 'it'} as {abbreviate(claimed)}, expected {abbreviate(expected)}"
    return None if stored.equals(due, check_metadata=True) else "the schema in its footer is not that of its columns"


def _same_writer(info: BuildInfo) -> bool:
    """Whether the libraries that wrote the files are there in the same versions, so that they write the same bytes."""
    return all(info.software.version_of(each) == version(each) for each in WRITERS)


def _difference(found: datasets.Features, wanted: datasets.Features) -> str:
    for name in [*wanted, *found]:
        if name not in found:
            return f"column {name} is missing"
        if name not in wanted:
            return f"column {name} is not of the definition"
        if found[name] != wanted[name]:
            return f"column {name} is {found[name]}, expected {wanted[name]}"
    return f"columns are in another order: {', '.join(found)}"


def _check_sheets(path: Path, info: BuildInfo, rows: Sequence[Row], report: ValidationReport) -> None:
    """Check that the contact sheets are pictures, and under the same version and Pillow that they show the images."""
    same = info.by_this_version and info.software.version_of("pillow") == version("pillow")
    most = max(most_pixels(len(info.scope)), _SHEET_PIXELS)
    for recipe in info.recipes:
        name, tiles = f"contact-sheet-{recipe}.png", dict[str, list[Tile]]()
        try:
            file = path / name
            if file.is_symlink() or not file.is_file():
                continue  # Found already, under the files.
            data = read_bounded(file, _SHEET_BYTES)
            shown = decode_png(data, most)
        except (OSError, ValueError) as error:
            report.add("sheet", name, f"cannot be read: {in_words(error)}")
            continue
        if not has_only_pixels(data):
            report.add("sheet", name, "holds something besides header and pixels")
        names = [layer.name for layer in info.network.layers]
        shown_rows = [row for row in rows if row["recipe"] == recipe and row["tile"] is not None and row["layer"] in names]
        for row in sorted(shown_rows, key=lambda row: (names.index(row["layer"]), row["filter"] or 0)):
            tiles.setdefault(row["layer"], []).append(row["tile"])
        if same and tiles and not np.array_equal(shown, decode_png(contact_sheet(info.network, tiles), most)):
            report.add("sheet", name, "does not show these images")


def _check_croissant(path: Path, info: BuildInfo, report: ValidationReport) -> None:
    """Render croissant.json again and compare; if another version made it, only what it says of the files."""
    files = ((recipe, file) for recipe in info.recipes.values() for _, file in split_files(path, recipe.name))
    if any(file.stat().st_size > _most_bytes(info, recipe) for recipe, file in files):
        return  # Found already, under the files; their checksums would take hours.
    try:
        found = json.loads(read_text(path / CROISSANT_FILE), object_pairs_hook=reject_duplicate_keys)
        due = json.loads(render_croissant(info, path))
    except FileNotFoundError:
        report.add("croissant", CROISSANT_FILE, "is missing")
        return
    except (OSError, ValueError, RecursionError) as error:
        report.add("croissant", CROISSANT_FILE, f"cannot be read: {in_words(error)}")
        return
    if not info.by_this_version and isinstance(found, dict):
        found, due = found.get("distribution"), due["distribution"]
    for at, claimed, expected in differences(found, due):
        report.add("croissant", CROISSANT_FILE, f"{at or 'it'} is {abbreviate(claimed)}, expected {abbreviate(expected)}")


def _check_card(path: Path, info: BuildInfo, rows: Sequence[Row], report: ValidationReport) -> None:
    """Render the card again and compare its YAML by value, and its text line by line if all else is valid."""
    from huggingface_hub import metadata_load

    place = "README.md"
    try:
        text = read_text(path / place)
        found = metadata_load(path / place) or {}
    except FileNotFoundError:
        report.add("card", place, "is missing")
        return
    except Exception as error:  # YAML and the library's reader of it: any failure means an unreadable card.
        report.add("card", place, f"its YAML cannot be read: {in_words(error)}")
        return
    try:
        infos = {recipe: dataset_info(info.network, recipe, path) for recipe in info.recipes}
    except (OSError, ValueError, pa.ArrowException):
        return  # Found already, under the files.
    wanted = card_data(info.network.name, infos).to_dict()  # type: ignore[no-untyped-call]  # the library has no types
    for at, claimed, expected in differences(found, wanted):
        report.add("card", place, f"{at} is {abbreviate(claimed)}, expected {abbreviate(expected)}")
    if report.valid and info.by_this_version:
        due = render_card(info, infos, summarise(rows, info.network))
        pairs = zip_longest(text.split("\n"), due.split("\n"))
        for number, (line, expected) in enumerate(pairs, start=1):
            if line != expected:
                report.add("card", place, f"line {number} is {abbreviate(line)}, expected {abbreviate(expected)}")
                break
