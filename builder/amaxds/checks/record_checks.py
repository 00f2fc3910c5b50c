"""Records checked one by one: against the definition, against build.json, and against their own image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from typing import Any

import pydantic

from amaxds.checks.rules import ValidationReport
from amaxds.compute.machine import cores
from amaxds.dataset.build_info import BuildInfo
from amaxds.dataset.contact_sheet import Tile, make_tile, shown_filters
from amaxds.dataset.record import Record, Row
from amaxds.image import Pixels, decode_png, has_only_pixels, pixels_sha256, uniformity_index
from amaxds.spec.recipes import Recipe
from amaxds.storage.values import abbreviate

Problems = list[tuple[str, str]]
"""(rule, problem)"""


def check_rows(rows: Iterable[Row], info: BuildInfo, recipe: Recipe, report: ValidationReport) -> Iterator[Row]:
    """Check some rows of one recipe, several at a time. Yields each with its contact sheet `tile` instead of its image."""
    shown = {layer: shown_filters(tuple(kept), len(info.scope)) for layer, kept in info.scope.items()}
    with ThreadPoolExecutor(cores()) as pool:
        every = list(rows)
        checked = pool.map(_check_row, every, repeat(info), repeat(recipe), repeat(shown))
        for row, (problems, tile) in zip(every, checked, strict=True):
            for rule, problem in problems:
                report.add(rule, row["place"], problem)
            yield {name: value for name, value in row.items() if name != "image"} | {"tile": tile}


def _check_row(row: Row, info: BuildInfo, recipe: Recipe, shown: Mapping[str, frozenset[int]]) -> tuple[Problems, Tile | None]:
    problems: Problems = []
    data = row["image"]
    try:
        Record.model_validate({name: row[name] for name in Record.model_fields})
    except pydantic.ValidationError as error:
        for each in error.errors():
            column = str(each["loc"][0]) if each["loc"] else ""
            problems.append(("record", f"{column} is {abbreviate(row[column])}: {each['msg']}" if column else each["msg"]))
    for name, due in (("network", info.network.name), ("recipe", recipe.name), ("seed", info.seed)):
        if row[name] != due:
            problems.append(("record", f"{name} is {row[name]!r}, build.json says {due!r}"))
    if row["layer"] not in {layer.name for layer in info.network.layers}:
        problems.append(("record", f"layer is {abbreviate(row['layer'])}, which {info.network.name} does not have"))
    dead = row["status"] == "dead"
    if dead and row["activation"] != row["activation_start"]:
        problems.append(("status", f"dead, but its activation went from {row['activation_start']} to {row['activation']}"))
    side = recipe.image_side(info.network)
    try:
        pixels = decode_png(data, max_pixels=4 * side * side)
    except ValueError as error:
        return [*problems, ("image", str(error))], None
    problems += _check_image(row, pixels, side)
    if not has_only_pixels(data):
        problems.append(("image", "its PNG holds something besides header and pixels"))
    # Noise of a seed can only be drawn again if seed, layer and filter are right.
    if not recipe.made_here or not problems:
        noise = recipe.shows_noise(info.network, pixels, row["seed"], row["layer"], row["filter"])
        if noise is not None and noise != dead:
            problems.append(("status", f"{row['status']}, but its image is {'not ' * dead}{recipe.noise}"))
    on_sheet = row["filter"] in shown.get(row["layer"], ())
    return problems, make_tile(row["filter"], pixels if on_sheet else None, dead)


def _check_image(row: Mapping[str, Any], pixels: Pixels, side: int) -> Iterator[tuple[str, str]]:
    if pixels.shape != (side, side, 3):
        yield "image", f"is {pixels.shape[1]}x{pixels.shape[0]}, expected {side}x{side}"
    index = uniformity_index(pixels)
    if row["uniformity_index"] is None or not abs(row["uniformity_index"] - index) <= 1e-12:
        yield "index", f"uniformity_index is {row['uniformity_index']}, the image's is {index}"
    if row["pixels_sha256"] != (digest := pixels_sha256(pixels)):
        yield "hash", f"pixels_sha256 is {row['pixels_sha256']}, the image's is {digest}"
