"""The gallery: a page that shows, sorts and searches every image of a dataset, opened from a disk without any server.

    index.html
    gallery/records.js, app.js, style.css, vue.global.prod.js    the page; Vue as its package has it
    gallery/preview.jpg               what is shown of the page where somebody links to it
    gallery/data.js                   the records, by recipe and layer, column by column
    gallery/details/<recipe>-<layer>.js    histograms, hashes and neighbours, loaded when an image is opened
    gallery/sprites/<recipe>-<layer>-<n>.jpg    the images made small, 32 to a file
    gallery/sprites/strip-<n>.jpg     the same of one image of each layer, for the strip of the network
    images/<recipe>/<layer>/filter-<n>.png      the images as they are in the dataset

A page opened from a disk may load scripts and pictures but not fetch files, so the data are scripts.
"""

from __future__ import annotations

import html
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from amaxds.analysis.features import Features
from amaxds.dataset.build_info import BuildInfo
from amaxds.dataset.record import Row
from amaxds.image import Pixels, decode_png
from amaxds.storage.files import write_whole

_COLUMNS, _ROWS, _SIDE, _QUALITY = 8, 4, 112, 90
_BINS = 64
PREVIEW = "gallery/preview.jpg"
_PREVIEW_SIZE, _PREVIEW_SIDE, _PREVIEW_GAP = (1200, 630), 140, 8
_CAPTIONS = {
    "index": "Uniformity index of every filter",
    "histograms": "Which colours the images have",
    "depth": "What changes with depth",
    "spectrum": "How fine the details are",
}
_SHOWN = ("filter", "split", "seed", "status", "uniformity_index", "activation_start", "activation", "activation_rank")
NEIGHBOURS = 6
"""How many of the most similar images are shown beside an opened one."""

Neighbours = NDArray[np.int64]
"""(n, k): for each of n images the positions of the k most similar others, the nearest first."""
Columns = dict[str, list[Any]]
"""Column -> its values in the records of one layer, in the order of filters."""


def write_layer(out: Path, recipe: str, layer: str, rows: Sequence[Row], pixels: Sequence[Pixels]) -> Columns:
    """Write the images, sprites and details of one layer into the report folder `out`; the columns that the page shows.

    rows: the layer's records in the order of filters, with the bytes of their PNG files. pixels: the same images, decoded.
    """
    folder = out / "images" / recipe / layer
    folder.mkdir(parents=True)
    for row in rows:
        (folder / f"filter-{row['filter']}.png").write_bytes(row["image"])
    for number, sheet in enumerate(_sprites(pixels)):
        write_whole(out / "gallery" / "sprites" / f"{recipe}-{layer}-{number}.jpg", sheet)
    details = {"pixels_sha256": [row["pixels_sha256"] for row in rows], "histograms": [_histogram(each) for each in pixels]}
    write_whole(_details_file(out, recipe, layer), f"{_details_variable(recipe, layer)} = {_json(details)};\n".encode())
    columns = {column: [row[column] for row in rows] for column in _SHOWN}
    # As text: in JavaScript whole numbers above 2^53 are rounded.
    return columns | {"seed": [None if seed is None else str(seed) for seed in columns["seed"]]}


def write_neighbours(out: Path, recipe: str, layers: Mapping[str, int], nearest: Neighbours) -> None:
    """Add to the details of a recipe's layers, by then written, which images are most similar to each image.

    layers: layer -> how many images it has, in the order in which `nearest` counts them.
    """
    places = [(layer, place) for layer, count in enumerate(layers.values()) for place in range(count)]
    first = 0
    for layer, count in layers.items():
        neighbours = [[places[each] for each in near] for near in nearest[first : first + count]]
        with _details_file(out, recipe, layer).open("a") as file:
            file.write(f"{_details_variable(recipe, layer)}.neighbours = {_json(neighbours)};\n")
        first += count


def write_page(
    out: Path, name: str, info: BuildInfo, records: Mapping[str, Mapping[str, Columns]], figures: Sequence[str] = ()
) -> None:
    """Write the page itself into the report folder `out`, after its images and figures.

    name: the dataset's, for the page's title. records: recipe -> layer -> what `write_layer` returned. figures: the files
    beside the page that it shows, without .png.
    """
    images = info.filters * len(info.recipes)
    data = {
        "name": name,
        "network": info.network.name,
        "layers": list(info.scope),
        "recipes": list(info.recipes),
        "summaries": {recipe.name: recipe.summary for recipe in info.recipes.values()},
        "filters": info.filters,
        "described": info.is_described,
        "images": images,
        "sprites": {"columns": _COLUMNS, "rows": _ROWS, "tiles": _COLUMNS * _ROWS},
        "figures": [_figure(out, each) for each in figures],
        "records": records,
    }
    write_whole(out / "gallery" / "data.js", f"window.GALLERY = {_json(data)};\n".encode())
    recipe, layers = next(iter(records.items()))
    most_colourful = {layer: _most_colourful(columns) for layer, columns in layers.items()}
    _write_strip(out, recipe, {layer: filters[0] for layer, filters in most_colourful.items()})
    _write_preview(out, recipe, most_colourful)
    made = "said to show what excites" if info.is_described else "made to excite"
    texts = {
        "%title%": f"What {info.filters} filters of {info.network.name} look for",
        "%description%": f"{name}: {images} images, each {made} one filter of {info.network.name}, "
        f"to sort, search and open. Recipes: {', '.join(info.recipes)}.",
        "%preview%": PREVIEW,
    }
    for asset in (resources.files("amaxds.analysis") / "page").iterdir():
        content = asset.read_bytes()
        if asset.name == "index.html":
            for mark, text in texts.items():
                content = content.replace(mark.encode(), html.escape(text).encode())
        write_whole(out / asset.name if asset.name == "index.html" else out / "gallery" / asset.name, content)


def _figure(out: Path, name: str) -> dict[str, Any]:
    """What the page shows of a figure: its size in pixels, its caption, and in which other forms it is there."""
    kind, _, recipe = name.partition("-")
    with Image.open(out / f"{name}.png") as image:
        width, height = image.size
    caption = _CAPTIONS.get(kind, kind) + (f", {recipe}" if recipe else "")
    kinds = [suffix for suffix in ("svg", "pdf") if (out / f"{name}.{suffix}").is_file()]
    return {"name": name, "caption": caption, "kinds": kinds, "width": width, "height": height}


def _most_colourful(columns: Columns) -> list[int]:
    """The filters of a layer, those whose images use the colours most equally first, dead ones last."""
    order = sorted(zip(columns["status"], columns["uniformity_index"], columns["filter"], strict=True), key=_by_colour)
    return [filter for _, _, filter in order]


def _by_colour(image: tuple[str | None, float, int]) -> tuple[bool, float]:
    status, index, _ = image
    return status == "dead", index


def _write_strip(out: Path, recipe: str, filters: Mapping[str, int]) -> None:
    for number, sheet in enumerate(_sprites([_read(out, recipe, layer, filter) for layer, filter in filters.items()])):
        write_whole(out / "gallery" / "sprites" / f"strip-{number}.jpg", sheet)


def _write_preview(out: Path, recipe: str, layers: Mapping[str, Sequence[int]]) -> None:
    """32 images, from the first layer to the last: as many of each as it takes, or of evenly spaced layers."""
    places = _COLUMNS * _ROWS
    names = list(layers)
    chosen = [names[place * len(names) // places] for place in range(places)]
    step = _PREVIEW_SIDE + _PREVIEW_GAP
    preview = Image.new("RGB", _PREVIEW_SIZE, (18, 20, 23))
    left = (_PREVIEW_SIZE[0] - step * _COLUMNS + _PREVIEW_GAP) // 2
    top = (_PREVIEW_SIZE[1] - step * _ROWS + _PREVIEW_GAP) // 2
    for place, layer in enumerate(chosen):
        earlier = chosen[:place].count(layer)
        if earlier < len(layers[layer]):
            image = Image.fromarray(_read(out, recipe, layer, layers[layer][earlier]))
            small = image.resize((_PREVIEW_SIDE, _PREVIEW_SIDE), Image.Resampling.LANCZOS)
            preview.paste(small, (left + place % _COLUMNS * step, top + place // _COLUMNS * step))
    buffer = io.BytesIO()
    preview.save(buffer, "JPEG", quality=_QUALITY)
    write_whole(out / PREVIEW, buffer.getvalue())


def _read(out: Path, recipe: str, layer: str, filter: int) -> Pixels:
    return decode_png((out / "images" / recipe / layer / f"filter-{filter}.png").read_bytes())


def most_alike(features: Features, count: int) -> Neighbours:
    """For each image the `count` others with the highest cosine similarity: (n, filters) -> (n, min(count, n - 1)).

    Features are standardised over the images first, so that filters with large outputs do not count more. Of equally similar
    images the first comes first.
    """
    standard = (features - features.mean(axis=0)) / np.maximum(features.std(axis=0), 1e-12)
    standard /= np.maximum(np.linalg.norm(standard, axis=1, keepdims=True), 1e-12)
    found = []
    for place, each in enumerate(standard):
        likeness = standard @ each
        likeness[place] = -np.inf
        found.append(np.argsort(-likeness, kind="stable")[: min(count, len(standard) - 1)])
    return np.array(found, np.int64)


def _sprites(images: Sequence[Pixels]) -> Iterator[bytes]:
    """The images made small, side by side, as JPEG files without chroma subsampling: fine stripes may differ in colour only."""
    side = min(images[0].shape[0], _SIDE)
    for first in range(0, len(images), _COLUMNS * _ROWS):
        sheet = Image.new("RGB", (side * _COLUMNS, side * _ROWS))
        for place, pixels in enumerate(images[first : first + _COLUMNS * _ROWS]):
            small = Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS)
            sheet.paste(small, (place % _COLUMNS * side, place // _COLUMNS * side))
        buffer = io.BytesIO()
        sheet.save(buffer, "JPEG", quality=_QUALITY, subsampling=0)
        yield buffer.getvalue()


def _details_file(out: Path, recipe: str, layer: str) -> Path:
    return out / "gallery" / "details" / f"{recipe}-{layer}.js"


def _details_variable(recipe: str, layer: str) -> str:
    """The JavaScript variable that holds a layer's details."""
    return f"window.GALLERY_DETAILS[{_json(f'{recipe}-{layer}')}]"


def _histogram(image: Pixels) -> list[list[int]]:
    """How many pixels fall into each of 64 equal bins, per colour."""
    counts: NDArray[np.int64] = np.reshape(Image.fromarray(image).histogram(), (3, _BINS, 256 // _BINS)).sum(axis=2)
    found: list[list[int]] = counts.tolist()
    return found


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True)
