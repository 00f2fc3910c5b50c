"""Evidence: whether a record and its image bear each other out, and the build's claims both of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from typing import Any

import numpy as np
import pydantic

from amaxds.engine import cores
from amaxds.findings import Report
from amaxds.image import Pixels, decode_png, has_only_pixels, is_stretched_noise, pixels_sha256, uniformity_index
from amaxds.provenance import Claims, short
from amaxds.recipe import Described, Original, Recipe
from amaxds.record import Record
from amaxds.sheet import Tile, make_tile

Row = dict[str, Any]
"""A record with its labels as names, and besides it `place`, where it was found, and `split`, where it was put."""

Problems = list[tuple[str, str]]
"""(rule, problem)"""


def check_rows(rows: Iterable[Row], claims: Claims, recipe: Recipe, report: Report) -> Iterator[Row]:
    """Check some rows of one recipe side by side; each without its image but with its `tile` of the contact sheet."""
    with ThreadPoolExecutor(cores()) as pool:
        every = list(rows)
        for row, (problems, tile) in zip(every, pool.map(_check_row, every, repeat(claims), repeat(recipe)), strict=True):
            for rule, problem in problems:
                report.add(rule, row["place"], problem)
            yield {name: value for name, value in row.items() if name != "image"} | {"tile": tile}


def _check_row(row: Row, claims: Claims, recipe: Recipe) -> tuple[Problems, Tile | None]:
    problems: Problems = []
    data = row["image"]
    try:
        Record.model_validate({name: row[name] for name in Record.model_fields})
    except pydantic.ValidationError as error:
        for each in error.errors():
            column = str(each["loc"][0]) if each["loc"] else ""
            problems.append(("record", f"{column} is {short(row[column])}: {each['msg']}" if column else each["msg"]))
    for name, due in (("network", claims.network.name), ("recipe", recipe.name), ("seed", claims.stored["seed"])):
        if row[name] != due:
            problems.append(("record", f"{name} is {row[name]!r}, build.json says {due!r}"))
    if row["layer"] not in {layer.name for layer in claims.network.layers}:
        problems.append(("record", f"layer is {short(row['layer'])}, which {claims.network.name} does not have"))
    dead = row["status"] == "dead"
    if dead and row["activation"] != row["activation_start"]:
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
        index = claims.network.layer(row["layer"]).index
        start = recipe.decode(claims.network, recipe.start(claims.network, row["seed"], index, row["filter"]))
        if dead != _alike(pixels, start):
            problems.append(("status", f"{row['status']}, but its image is {'not ' * dead}its starting noise"))
    if isinstance(recipe, Described) and dead != is_stretched_noise(pixels):
        problems.append(("status", f"{row['status']}, but its image is {'not ' * dead}stretched noise"))
    return problems, make_tile(pixels, dead)


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
