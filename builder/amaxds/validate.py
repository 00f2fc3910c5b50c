"""Validation: whether a dataset folder is what it says.

Every finding is collected, none stops the others; the report is sorted by rule and place. The data is not trusted: images are
sized before they are decoded, and rows are read in small batches.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pydantic
from datasets.info import DatasetInfosDict
from datasets.utils.metadata import MetadataConfigs
from huggingface_hub import DatasetCard

from amaxds import record
from amaxds.card import LICENSE
from amaxds.dataset import split_files
from amaxds.engine import cores
from amaxds.errors import AmaxdsError, UsageError
from amaxds.image import decode_png, pixels_sha256, uniformity_index
from amaxds.network import Network, get_network
from amaxds.plan import SPLITS, make_scope, split_of
from amaxds.provenance import FORMAT
from amaxds.record import Record
from amaxds.summary import LayerSummary, summarise

RULES = {
    "build": "build.json is there, readable, and describes a known network, recipes and scope",
    "card": "README.md has YAML whose features, configs, splits and licence are those of the data",
    "files": "every recipe has its parquet files, they can be read, and there are no others",
    "features": "the columns and their types are those of the definition",
    "record": "every value is in its column's range, and network, recipe and seed are the build's",
    "scope": "there is one record for each filter of the scope, and none besides",
    "counts": "build.json's numbers of images and dead are the data's",
    "split": "every record is in the split that its layer and filter decide",
    "order": "rows are in the order of layer and filter",
    "image": "every image is an 8-bit RGB PNG of the recipe's size",
    "index": "the uniformity index is the image's",
    "hash": "the hash is the image's",
    "rank": "no rank is higher than the layer has images",
    "status": "a dead image's activation is its starting noise's",
}


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be."""

    rule: str
    place: str
    """File and record, as exactly as it is known."""
    problem: str


@dataclass
class Report:
    """All findings in a dataset, and the summary of what could be read."""

    path: Path
    findings: list[Finding] = field(default_factory=list)
    images: int = 0
    summaries: list[LayerSummary] = field(default_factory=list)

    @property
    def valid(self) -> bool:
        return not self.findings

    def add(self, rule: str, place: str, problem: str) -> None:
        if rule not in RULES:
            raise KeyError(rule)
        self.findings.append(Finding(rule, place, problem))

    def as_json(self) -> dict[str, Any]:
        found = [{"rule": each.rule, "place": each.place, "problem": each.problem} for each in self.findings]
        return {"path": str(self.path), "valid": self.valid, "images": self.images, "findings": found}


@dataclass(frozen=True)
class _Claims:
    """What build.json says of the data."""

    network: Network
    recipes: Mapping[str, int]
    """Recipe -> side of its images."""
    seed: int
    scope: Mapping[str, tuple[int, ...]]
    images: int
    dead: int


def validate(path: Path) -> Report:
    """Check a dataset folder against its own build.json and against the definitions. UsageError where it is no folder."""
    if not path.is_dir():
        raise UsageError(f"{path} is not a dataset folder.", "Give the folder that `amaxds build` made.")
    report = Report(path)
    claims = _read_claims(path, report)
    if claims is not None:
        rows = list(_check_data(path, claims, report))
        report.images = len(rows)
        _check_counts(claims, rows, report)
        _check_card(path, claims, rows, report)
        if report.valid:
            report.summaries = summarise(rows)
    order = list(RULES)
    report.findings.sort(key=lambda each: (order.index(each.rule), each.place, each.problem))
    return report


def _read_claims(path: Path, report: Report) -> _Claims | None:
    try:
        stored = json.loads((path / "build.json").read_text("utf-8"))
        if stored["format"] != FORMAT:
            report.add("build", "build.json", f"format is {stored['format']!r}, this version reads {FORMAT}")
            return None
        network = get_network(stored["network"]["name"])
        scope = {layer: make_scope(network, layer, filters)[layer] for layer, filters in stored["scope"]["layers"].items()}
        recipes = {str(each["name"]): int(each["image_side"]) for each in stored["recipes"]}
        for name in recipes:
            if Path(name).name != name or name in ("", ".", ".."):
                raise ValueError(f"recipe name {name!r}")
        return _Claims(network, recipes, stored["seed"], scope, stored["images"], stored["dead"])
    except FileNotFoundError:
        report.add("build", "build.json", "is missing: the folder is no finished dataset")
    except AmaxdsError as error:
        report.add("build", "build.json", error.problem)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        report.add("build", "build.json", f"cannot be read: {type(error).__name__} {error}")
    return None


def _check_data(path: Path, claims: _Claims, report: Report) -> Iterator[dict[str, Any]]:
    """Check the parquet files; every record that could be read, without its image, labels as names."""
    for recipe in claims.recipes:
        files = split_files(path, recipe)
        if not files:
            report.add("files", recipe, "has no parquet files")
        for split, file in files:
            place = f"{recipe}/{file.name}"
            if split not in SPLITS:
                report.add("files", place, f"is named for no split ({', '.join(SPLITS)})")
            else:
                yield from _check_file(file, place, split, recipe, claims, report)
    for file in sorted(path.rglob("*.parquet")):
        parts = file.relative_to(path).parts
        if parts[0] not in (".amaxds", *claims.recipes) or (parts[0] != ".amaxds" and len(parts) != 2):
            report.add("files", "/".join(parts), "belongs to no recipe of build.json")


def _check_file(file: Path, place: str, split: str, recipe: str, claims: _Claims, report: Report) -> Iterator[dict[str, Any]]:
    wanted = record.features(claims.network)
    try:
        source = pq.ParquetFile(file)
        found = datasets.Features.from_arrow_schema(source.schema_arrow)
        if found != wanted:
            report.add("features", place, _difference(found, wanted))
            return
        splits = {layer.name: split_of(layer) for layer in claims.network.layers}
        before = (-1, -1)
        with ThreadPoolExecutor(cores()) as pool:
            for batch in source.iter_batches(batch_size=64):
                rows = batch.to_pylist()
                for row, problems in zip(rows, pool.map(_check_row, rows, [(claims, recipe)] * len(rows)), strict=True):
                    layer = _layer_name(claims.network, row["layer"])
                    at = f"{place} {layer}/{row['filter']}"
                    for rule, problem in problems:
                        report.add(rule, at, problem)
                    due = splits.get(layer, {}).get(row["filter"])
                    if due is not None and due != split:
                        report.add("split", at, f"belongs to {due}")
                    if (key := (row["layer"], row["filter"])) <= before and None not in key:
                        report.add("order", at, "comes after a later layer or filter")
                    before = key if None not in key else before
                    named = {name: value for name, value in row.items() if name != "image"}
                    status = record.STATUSES[row["status"]] if row["status"] in (0, 1) else str(row["status"])
                    yield named | {"layer": layer, "status": status}
    except (OSError, ValueError, pa.ArrowException) as error:
        report.add("files", place, f"cannot be read: {' '.join(str(error).split())[:160]}")


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


def _check_row(row: dict[str, Any], context: tuple[_Claims, str]) -> list[tuple[str, str]]:
    """Problems of one row by itself, as (rule, problem)."""
    claims, recipe = context
    problems = []
    data = (row["image"] or {}).get("bytes") or b""
    status = record.STATUSES[row["status"]] if row["status"] in (0, 1) else row["status"]
    try:
        Record.model_validate(row | {"image": data, "layer": _layer_name(claims.network, row["layer"]), "status": status})
    except pydantic.ValidationError as error:
        problems += [("record", f"{each['loc'][0]} is {row[str(each['loc'][0])]!r}: {each['msg']}") for each in error.errors()]
    for name, due in (("network", claims.network.name), ("recipe", recipe), ("seed", claims.seed)):
        if row[name] != due:
            problems.append(("record", f"{name} is {row[name]!r}, build.json says {due!r}"))
    if status == "dead" and row["activation"] != row["activation_start"]:
        problems.append(("status", f"dead, but its activation went from {row['activation_start']} to {row['activation']}"))
    return problems + list(_check_image(row, data, claims.recipes[recipe]))


def _check_image(row: Mapping[str, Any], data: bytes, side: int) -> Iterator[tuple[str, str]]:
    try:
        pixels = decode_png(data, max_pixels=4 * side * side)
    except ValueError as error:
        yield "image", str(error)
        return
    if pixels.shape != (side, side, 3):
        yield "image", f"is {pixels.shape[1]}x{pixels.shape[0]}, expected {side}x{side}"
    index = uniformity_index(pixels)
    if row["uniformity_index"] is None or not abs(row["uniformity_index"] - index) <= 1e-12:
        yield "index", f"uniformity_index is {row['uniformity_index']}, the image's is {index}"
    if row["pixels_sha256"] != (digest := pixels_sha256(pixels)):
        yield "hash", f"pixels_sha256 is {row['pixels_sha256']}, the image's is {digest}"


def _check_counts(claims: _Claims, rows: Sequence[Mapping[str, Any]], report: Report) -> None:
    for recipe in claims.recipes:
        due = {(layer, filter) for layer, filters in claims.scope.items() for filter in filters}
        found = Counter((row["layer"], row["filter"]) for row in rows if row["recipe"] == recipe)
        for layer, filter in sorted(due - found.keys()):
            report.add("scope", f"{recipe} {layer}/{filter}", "has no record")
        for layer, filter in sorted(found.keys() - due, key=str):
            report.add("scope", f"{recipe} {layer}/{filter}", "is not in the scope of build.json")
        for (layer, filter), times in sorted(found.items(), key=str):
            if times > 1:
                report.add("scope", f"{recipe} {layer}/{filter}", f"has {times} records")
    dead = sum(row["status"] == "dead" for row in rows)
    for name, claimed, counted in (("images", claims.images, len(rows)), ("dead", claims.dead, dead)):
        if claimed != counted:
            report.add("counts", "build.json", f"{name} is {claimed}, the data has {counted}")
    in_layer = Counter((row["recipe"], row["layer"]) for row in rows)
    for row in rows:
        if row["activation_rank"] is not None and row["activation_rank"] > in_layer[row["recipe"], row["layer"]]:
            at = f"{row['recipe']} {row['layer']}/{row['filter']}"
            report.add("rank", at, f"is {row['activation_rank']}, of {in_layer[row['recipe'], row['layer']]} images")


def _check_card(path: Path, claims: _Claims, rows: Sequence[Mapping[str, Any]], report: Report) -> None:
    place = "README.md"
    try:
        data = DatasetCard((path / place).read_text("utf-8"), ignore_metadata_errors=False).data
        infos = DatasetInfosDict.from_dataset_card_data(data)
        configs = MetadataConfigs.from_dataset_card_data(data)
    except FileNotFoundError:
        report.add("card", place, "is missing")
        return
    except Exception as error:  # YAML and two libraries' readers of it: any failure means an unreadable card.
        report.add("card", place, f"its YAML cannot be read: {' '.join(str(error).split())[:160]}")
        return
    if data.get("license") != LICENSE:
        report.add("card", place, f"licence is {data.get('license')!r}, expected {LICENSE!r}")
    for name in sorted(set(infos) | set(configs) | set(claims.recipes)):
        if name not in infos or name not in configs or name not in claims.recipes:
            report.add("card", place, f"config {name} is not in all of dataset_info, configs and build.json")
            continue
        wanted = record.features(claims.network)
        if infos[name].features != wanted:
            report.add("card", place, f"config {name}: {_difference(infos[name].features or datasets.Features(), wanted)}")
        present = {split: f"{name}/{split}-*.parquet" for split, _ in split_files(path, name)}
        listed = {each["split"]: each["path"] for each in configs[name].get("data_files", [])}
        if listed != present:
            report.add("card", place, f"config {name}: data_files are {listed}, expected {present}")
        counted = _count_splits(claims.network, name, rows)
        claimed = {split: info.num_examples for split, info in (infos[name].splits or {}).items()}
        if claimed != counted:
            report.add("card", place, f"config {name}: splits are {claimed}, the data has {counted}")


def _count_splits(network: Network, recipe: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    splits = {layer.name: split_of(layer) for layer in network.layers}
    found = Counter(splits.get(row["layer"], {}).get(row["filter"]) for row in rows if row["recipe"] == recipe)
    return {split: found[split] for split in SPLITS if found[split]}
