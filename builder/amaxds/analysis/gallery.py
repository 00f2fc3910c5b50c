"""The gallery: a page on which every image can be looked at, sorted and searched, from a disk, with no server and no network.

    index.html
    gallery/app.js, style.css, vue.global.prod.js    the page; Vue as its package has it
    gallery/data.js                   the records, by recipe and layer, column by column
    gallery/details/<recipe>-<layer>.js    what only an opened image shows: histograms, hashes, neighbours
    gallery/sprites/<recipe>-<layer>-<n>.jpg    the images small, 32 to a file
    images/<recipe>/<layer>/filter-<n>.png      the images as they are in the dataset

A page from a disk may load scripts and pictures, but fetch nothing: so the data are scripts.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from amaxds.analysis.features import Features, network_features
from amaxds.compute.weights import Weights
from amaxds.dataset.reader import DatasetReader
from amaxds.dataset.record import Row
from amaxds.image import Pixels, decode_png
from amaxds.spec.network import Layer
from amaxds.spec.recipes import Recipe
from amaxds.storage.files import write_whole

_COLUMNS, _ROWS, _SIDE, _QUALITY = 8, 4, 112, 90
_BINS = 64
_SHOWN = ("filter", "split", "seed", "status", "uniformity_index", "activation_start", "activation", "activation_rank")
NEIGHBOURS = 6
"""How many of the images most like it are shown beside one."""

Neighbours = NDArray[np.int64]
"""(n, k): for each image the places of those most like it, the nearest first."""


def write_gallery(
    dataset: DatasetReader,
    name: str,
    out: Path,
    figures: Sequence[str] = (),
    weights: Weights | None = None,
    workers: int | None = None,
    done: Callable[[int], None] = lambda count: None,
) -> None:
    """Write the page of a valid dataset into the folder `out`.

    figures: the files beside the page that it links to, without their endings. weights: the network's own, by which images
    are found alike; without them no neighbours are shown. `done` is called with the number of images of each finished block.
    """
    info, records = dataset.info, dict[str, Any]()
    for recipe in info.recipes.values():
        of_layers = {}
        places: list[tuple[Layer, int]] = []
        images: list[Pixels] = []
        for layer in (info.network.layer(each) for each in info.scope):
            rows = dataset.rows(recipe, layer)
            pixels = [decode_png(row["image"]) for row in rows]
            _write_images(out, recipe, layer, rows, pixels)
            of_layers[layer.name] = {column: [row[column] for row in rows] for column in _SHOWN}
            places += [(layer, place) for place in range(len(rows))]
            images += pixels
            write_whole(_details(out, recipe, layer), _script(recipe, layer, rows, pixels))
        records[recipe.name] = of_layers
        if weights is not None:
            features = network_features(info, weights, images, workers, done)
            _add_neighbours(out, recipe, list(info.scope), places, most_alike(features, NEIGHBOURS))
    data = {
        "name": name,
        "network": info.network.name,
        "layers": list(info.scope),
        "recipes": list(info.recipes),
        "filters": info.filters,
        "images": info.filters * len(info.recipes),
        "sprites": {"columns": _COLUMNS, "rows": _ROWS, "tiles": _COLUMNS * _ROWS},
        "figures": list(figures),
        "records": records,
    }
    write_whole(out / "gallery" / "data.js", f"window.GALLERY = {_json(data)};\n".encode())
    for asset in (resources.files("amaxds.analysis") / "page").iterdir():
        target = out / asset.name if asset.name == "index.html" else out / "gallery" / asset.name
        write_whole(target, asset.read_bytes())


def most_alike(features: Features, count: int) -> Neighbours:
    """For each image the `count` others whose features point most nearly the same way: (n, filters) -> (n, min(count, n - 1)).

    Features are standardised over the images first, so that no filter counts more for being louder. Of equals the first.
    """
    standard = (features - features.mean(axis=0)) / np.maximum(features.std(axis=0), 1e-12)
    standard /= np.maximum(np.linalg.norm(standard, axis=1, keepdims=True), 1e-12)
    found = []
    for place, each in enumerate(standard):
        likeness = standard @ each
        likeness[place] = -np.inf
        found.append(np.argsort(-likeness, kind="stable")[: min(count, len(standard) - 1)])
    return np.array(found, np.int64)


def _write_images(out: Path, recipe: Recipe, layer: Layer, rows: Sequence[Row], pixels: Sequence[Pixels]) -> None:
    folder = out / "images" / recipe.name / layer.name
    folder.mkdir(parents=True)
    for row in rows:
        (folder / f"filter-{row['filter']}.png").write_bytes(row["image"])
    for number, sheet in enumerate(_sprites(pixels)):
        write_whole(out / "gallery" / "sprites" / f"{recipe.name}-{layer.name}-{number}.jpg", sheet)


def _sprites(images: Sequence[Pixels]) -> Iterator[bytes]:
    """The images side by side, as JPEG with its colours at full resolution: fine stripes are often of colour alone."""
    side = min(images[0].shape[0], _SIDE)
    for first in range(0, len(images), _COLUMNS * _ROWS):
        sheet = Image.new("RGB", (side * _COLUMNS, side * _ROWS))
        for place, pixels in enumerate(images[first : first + _COLUMNS * _ROWS]):
            small = Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS)
            sheet.paste(small, (place % _COLUMNS * side, place // _COLUMNS * side))
        buffer = io.BytesIO()
        sheet.save(buffer, "JPEG", quality=_QUALITY, subsampling=0)
        yield buffer.getvalue()


def _details(out: Path, recipe: Recipe, layer: Layer) -> Path:
    return out / "gallery" / "details" / f"{recipe.name}-{layer.name}.js"


def _script(recipe: Recipe, layer: Layer, rows: Sequence[Row], pixels: Sequence[Pixels]) -> bytes:
    details = {
        "pixels_sha256": [row["pixels_sha256"] for row in rows],
        "histograms": [_histogram(each) for each in pixels],
    }
    return f"window.GALLERY_DETAILS[{_json(f'{recipe.name}-{layer.name}')}] = {_json(details)};\n".encode()


def _histogram(image: Pixels) -> list[list[int]]:
    """Per colour, how many pixels have a value in each of 64 equal bins."""
    counts: NDArray[np.int64] = np.reshape(Image.fromarray(image).histogram(), (3, _BINS, 256 // _BINS)).sum(axis=2)
    found: list[list[int]] = counts.tolist()
    return found


def _add_neighbours(
    out: Path, recipe: Recipe, layers: Sequence[str], places: Sequence[tuple[Layer, int]], nearest: Neighbours
) -> None:
    """Append the neighbours to the details, as pairs of the layer's and the image's place."""
    of_layers: dict[str, list[list[tuple[int, int]]]] = {name: [] for name in layers}
    for (layer, _), near in zip(places, nearest, strict=True):
        of_layers[layer.name].append([(layers.index(places[each][0].name), places[each][1]) for each in near])
    for name, neighbours in of_layers.items():
        with (out / "gallery" / "details" / f"{recipe.name}-{name}.js").open("a") as file:
            file.write(f"window.GALLERY_DETAILS[{_json(f'{recipe.name}-{name}')}].neighbours = {_json(neighbours)};\n")


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True)
