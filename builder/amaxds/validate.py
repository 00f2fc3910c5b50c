"""Validation: whether a dataset folder is what it says.

Every finding is collected, none stops the others; the report is sorted by rule and place. The data is not trusted: images are
sized before they are decoded, and rows are read in small batches.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from itertools import zip_longest
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pydantic
from huggingface_hub import metadata_load

from amaxds import record
from amaxds.card import card_data, render_card
from amaxds.croissant import CROISSANT_FILE, render_croissant
from amaxds.dataset import describe, image_name, split_files
from amaxds.engine import cores
from amaxds.errors import UsageError, in_words
from amaxds.files import read_text
from amaxds.findings import Report
from amaxds.image import Pixels, decode_png, has_only_pixels, is_stretched_noise, pixels_sha256, uniformity_index
from amaxds.network import Network
from amaxds.plan import SPLITS, split_of
from amaxds.provenance import BUILD_FILE, Claims, differences, read_claims, short, unique
from amaxds.recipe import Described, Original, Recipe
from amaxds.record import Record
from amaxds.sheet import Tile, contact_sheet, make_tile
from amaxds.summary import summarise

_PARQUET = re.compile(rf"({'|'.join(SPLITS)})-\d{{5}}-of-\d{{5}}\.parquet")
_BESIDE_DATA = (".cache", ".git", ".gitattributes", "published-huggingface.json", "published-kaggle.json")
"""What the hubs' own clients leave beside a dataset, and receipts of `amaxds publish`."""


def validate(path: Path) -> Report:
    """Check a dataset folder against its own build.json and against the definitions. UsageError where it is no folder."""
    if not os.path.isdir(path):
        raise UsageError(f"{path} is not a dataset folder.", "Give the folder that `amaxds build` made.")
    report = Report(path)
    claims, problems = read_claims(path)
    for problem in problems:
        report.add("build", BUILD_FILE, problem)
    if claims is not None:
        _check_files(path, claims, report)
        rows = list(_check_data(path, claims, report))
        report.images = len(rows)
        _check_scope(claims, rows, report)
        _check_counts(claims, rows, report)
        _check_sheets(path, claims, rows, report)
        _check_croissant(path, claims, report)
        _check_card(path, claims, rows, report)
        if report.valid:
            report.summaries = summarise(rows)
    report.sort()
    return report


def _check_files(path: Path, claims: Claims, report: Report) -> None:
    """That the folder holds the files of a dataset and nothing else: programs beside data would be run by some readers."""
    due = {"README.md", BUILD_FILE, CROISSANT_FILE, *(f"contact-sheet-{recipe}.png" for recipe in claims.recipes)}
    found = set()
    for folder, folders, names in os.walk(path):
        inside = Path(folder).relative_to(path)
        if inside == Path("."):
            folders[:] = [name for name in folders if name not in _BESIDE_DATA]
            names = [name for name in names if name not in _BESIDE_DATA]
        for name in folders:
            if name != ".amaxds" and (inside != Path(".") or name not in claims.recipes):
                report.add("files", (inside / name).as_posix(), "is no folder of a dataset")
        if ".amaxds" in folders:
            report.add("files", ".amaxds", "is left from a stopped build: run it again to finish")
            folders.remove(".amaxds")
        for name in names + [name for name in folders if (Path(folder) / name).is_symlink()]:
            file = (inside / name).as_posix()
            found.add(file)
            parquet = inside.as_posix() in claims.recipes and _PARQUET.fullmatch(name)
            if file not in due and not parquet:
                report.add("files", file, "is no file of a dataset")
            elif (Path(folder) / name).is_symlink():
                report.add("files", file, "is a link")
            elif not (Path(folder) / name).is_file():
                report.add("files", file, "is no regular file")
    for file in sorted(due - found - {"README.md", CROISSANT_FILE}):
        report.add("files", file, "is missing")


def _check_data(path: Path, claims: Claims, report: Report) -> Iterator[dict[str, Any]]:
    """Check the parquet files; every record that could be read, without its image, labels as names."""
    for recipe in claims.recipes.values():
        files = [(split, file) for split, file in split_files(path, recipe.name) if _PARQUET.fullmatch(file.name)]
        if not files:
            report.add("files", recipe.name, "has no parquet files")
        counts, before = Counter(split for split, _ in files), dict.fromkeys(SPLITS, (-1, -1))
        for number, (split, file) in enumerate(files):
            place, first = f"{recipe.name}/{file.name}", next(i for i, each in enumerate(files) if each[0] == split)
            if file.name != (name := f"{split}-{number - first:05d}-of-{counts[split]:05d}.parquet"):
                report.add("files", place, f"is not named {name}: files of {split} are missing")
            yield from _check_file(file, place, split, recipe, claims, before, report)


def _check_file(
    file: Path,
    place: str,
    split: str,
    recipe: Recipe,
    claims: Claims,
    before: dict[str, tuple[int, int]],
    report: Report,
) -> Iterator[dict[str, Any]]:
    try:
        source = pq.ParquetFile(file)
        problem = _features_problem(source.schema_arrow, claims.network)
        if problem:
            report.add("features", place, problem)
            return
        size = sum(source.metadata.row_group(i).total_byte_size for i in range(source.metadata.num_row_groups))
        most = claims.filters * 8 * (recipe.image_side(claims.network) ** 2 + 1000)
        if size > most:
            report.add("files", place, f"holds {size} bytes, more than the {most} that its images could have")
            return
        if source.metadata.num_rows > claims.filters:
            report.add("files", place, f"has {source.metadata.num_rows} rows, for a scope of {claims.filters} filters")
            return
        splits = {layer.name: split_of(layer) for layer in claims.network.layers}
        with ThreadPoolExecutor(cores()) as pool:
            for batch in source.iter_batches(batch_size=64):
                rows = batch.to_pylist()
                for row, (problems, tile) in zip(rows, pool.map(_check_row, rows, [(claims, recipe)] * len(rows)), strict=True):
                    layer = _layer_name(claims.network, row["layer"])
                    at = f"{place} {layer}/{row['filter']}"
                    for rule, problem in problems:
                        report.add(rule, at, problem)
                    due = splits.get(layer, {}).get(row["filter"])
                    if due is not None and due != split:
                        report.add("split", at, f"belongs to {due}")
                    key = (row["layer"], row["filter"])
                    if None not in key:
                        if key <= before[split]:
                            report.add("order", at, "comes after a later layer or filter")
                        before[split] = key
                    named = {name: value for name, value in row.items() if name != "image"}
                    yield named | {"layer": layer, "status": _status(row["status"]), "place": at, "tile": tile}
    except (OSError, ValueError, pa.ArrowException) as error:
        report.add("files", place, f"cannot be read: {in_words(error)}")


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
    try:
        found = datasets.Features.from_arrow_schema(schema)
        return None if found == wanted and stored.names == due.names else _difference(found, wanted)
    except Exception as error:  # The library reads the file's own JSON, and fails in as many ways as that can be wrong.
        return f"the features it declares cannot be read: {in_words(error)}"


def _status(label: int | None) -> str:
    return record.STATUSES[label] if label in (0, 1) else str(label)


def _layer_name(network: Network, label: int | None) -> str:
    return network.layers[label].name if label is not None and 0 <= label < len(network.layers) else f"layer {label}"


def _difference(found: datasets.Features, wanted: datasets.Features) -> str:
    for name in [*wanted, *found]:
        if name not in found:
            return f"column {name} is missing"
        if name not in wanted:
            return f"column {name} is not of the definition"
        if found[name] != wanted[name]:
            return f"column {name} is {found[name]}, expected {wanted[name]}"
    return f"columns are in another order: {', '.join(found)}"


def _check_row(row: dict[str, Any], context: tuple[Claims, Recipe]) -> tuple[list[tuple[str, str]], Tile | None]:
    """Problems of one row by itself, as (rule, problem), and its tile of the contact sheet."""
    claims, recipe = context
    problems = []
    data = (row["image"] or {}).get("bytes") or b""
    layer, status = _layer_name(claims.network, row["layer"]), _status(row["status"])
    try:
        Record.model_validate(row | {"image": data, "layer": layer, "status": status})
    except pydantic.ValidationError as error:
        for each in error.errors():
            column = str(each["loc"][0]) if each["loc"] else ""
            problems.append(("record", f"{column} is {short(row[column])}: {each['msg']}" if column else each["msg"]))
    for name, due in (("network", claims.network.name), ("recipe", recipe.name), ("seed", claims.stored["seed"])):
        if row[name] != due:
            problems.append(("record", f"{name} is {row[name]!r}, build.json says {due!r}"))
    path, due = (row["image"] or {}).get("path"), image_name(row["filter"])
    if path != due:
        problems.append(("image", f"its path is {path!r}, expected {due!r}"))
    if status == "dead" and row["activation"] != row["activation_start"]:
        problems.append(("status", f"dead, but its activation went from {row['activation_start']} to {row['activation']}"))
    side = recipe.image_side(claims.network)
    try:
        pixels = decode_png(data, max_pixels=4 * side * side)
    except ValueError as error:
        return [*problems, ("image", str(error))], None
    problems += _check_image(row, pixels, side)
    if not isinstance(recipe, Described) and not has_only_pixels(data):
        problems.append(("image", "its PNG holds something besides header and pixels"))
    if not problems and isinstance(recipe, Original):
        index = claims.network.layer(layer).index
        start = recipe.decode(claims.network, recipe.start(claims.network, row["seed"], index, row["filter"]))
        if (status == "dead") != _alike(pixels, start):
            problems.append(("status", f"{status}, but its image is {'not ' if status == 'dead' else ''}its starting noise"))
    if isinstance(recipe, Described) and (status == "dead") != is_stretched_noise(pixels):
        problems.append(("status", f"{status}, but its image is {'not ' if status == 'dead' else ''}stretched noise"))
    return problems, make_tile(pixels, status == "dead")


def _check_image(row: Mapping[str, Any], pixels: Pixels, side: int) -> Iterator[tuple[str, str]]:
    if pixels.shape != (side, side, 3):
        yield "image", f"is {pixels.shape[1]}x{pixels.shape[0]}, expected {side}x{side}"
    index = uniformity_index(pixels)
    if row["uniformity_index"] is None or not abs(row["uniformity_index"] - index) <= 1e-12:
        yield "index", f"uniformity_index is {row['uniformity_index']}, the image's is {index}"
    if row["pixels_sha256"] != (digest := pixels_sha256(pixels)):
        yield "hash", f"pixels_sha256 is {row['pixels_sha256']}, the image's is {digest}"


def _alike(image: Pixels, other: Pixels) -> bool:
    """The same but for the rounding of another machine: a few values may be one step of the contrast stretch apart."""
    apart = np.abs(image.astype(np.int16) - other)
    return bool(apart.max() <= 2 and (apart > 0).mean() <= 0.01)


def _check_scope(claims: Claims, rows: Sequence[Mapping[str, Any]], report: Report) -> None:
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


def _check_counts(claims: Claims, rows: Sequence[Mapping[str, Any]], report: Report) -> None:
    """What build.json counts, and the ranks: within the layer, and those behind another image as build.json names them."""
    dead = sum(row["status"] == "dead" for row in rows)
    for name, counted in (("images", len(rows)), ("dead", dead)):
        if claims.stored[name] != counted:
            report.add("counts", "build.json", f"{name} is {claims.stored[name]}, the data has {counted}")
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


def _check_sheets(path: Path, claims: Claims, rows: Sequence[Mapping[str, Any]], report: Report) -> None:
    """The contact sheets again from the images, where the same Pillow writes the same headings; that they are pictures."""
    same = claims.stored["software"].get("pillow") == version("pillow")
    for recipe in claims.recipes:
        name, tiles = f"contact-sheet-{recipe}.png", dict[str, list[Tile]]()
        try:
            file = path / name
            if file.is_symlink() or not file.is_file():
                continue  # Found already, under the files.
            shown = decode_png(file.read_bytes())
        except (OSError, ValueError) as error:
            report.add("sheet", name, f"cannot be read: {in_words(error)}")
            continue
        names = [layer.name for layer in claims.network.layers]
        shown_rows = [row for row in rows if row["recipe"] == recipe and row["tile"] is not None and row["layer"] in names]
        for row in sorted(shown_rows, key=lambda row: (names.index(row["layer"]), row["filter"] or 0)):
            tiles.setdefault(row["layer"], []).append(row["tile"])
        if same and tiles and not np.array_equal(shown, decode_png(contact_sheet(tiles))):
            report.add("sheet", name, "does not show these images")


def _check_croissant(path: Path, claims: Claims, report: Report) -> None:
    """croissant.json again from the data and build.json; of another version's, what it says of the files."""
    try:
        found = json.loads(read_text(path / CROISSANT_FILE), object_pairs_hook=unique)
        due = json.loads(render_croissant(claims.stored, path))
    except FileNotFoundError:
        report.add("croissant", CROISSANT_FILE, "is missing")
        return
    except (OSError, ValueError, RecursionError) as error:
        report.add("croissant", CROISSANT_FILE, f"cannot be read: {in_words(error)}")
        return
    if claims.stored["software"]["amaxds"] != version("amaxds") and isinstance(found, dict):
        found, due = found.get("distribution"), due["distribution"]
    for at, claimed, expected in differences(found, due):
        report.add("croissant", CROISSANT_FILE, f"{at or 'it'} is {short(claimed)}, expected {short(expected)}")


def _check_card(path: Path, claims: Claims, rows: Sequence[Mapping[str, Any]], report: Report) -> None:
    """The card again from the data and build.json: its YAML by value, and its text where the rest is valid."""
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
        infos = {recipe: describe(claims.network, recipe, path) for recipe in claims.recipes}
    except (OSError, pa.ArrowException):
        return  # Found already, under the files.
    wanted = card_data(claims.network.name, infos).to_dict()  # type: ignore[no-untyped-call]  # the library has no types
    for at, claimed, expected in differences(found, wanted):
        report.add("card", place, f"{at} is {short(claimed)}, expected {short(expected)}")
    if report.valid and claims.stored["software"]["amaxds"] == version("amaxds"):
        due = render_card(claims.stored, claims.stored["dataset"], infos, summarise(rows))
        pairs = zip_longest(text.split("\n"), due.split("\n"))
        for number, (line, expected) in enumerate(pairs, start=1):
            if line != expected:
                report.add("card", place, f"line {number} is {short(line)}, expected {short(expected)}")
                break
