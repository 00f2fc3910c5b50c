"""The report: figures, numbers and a gallery of a dataset, in one folder.

report/
  index.png                 and .svg, .pdf: uniformity index of every filter, all layers and recipes in one panel
  histograms-<recipe>.png   and .svg, .pdf: mean colour histograms, a panel per recipe, a line per layer
  depth.png                 and .svg, .pdf: index, activation gain, ranks and dead filters over depth, the recipes side by side
  spectrum.png              and .svg, .pdf: mean power spectrum, a panel per recipe, a line per layer
  sheets/<recipe>-<layer>.png      if asked for: a contact sheet per layer with all its images
  index.html, gallery/, images/    the gallery: a page with every image
  summary.json              every number that is drawn, nested by recipe and layer
  summary.csv               the same numbers, one a line: figure, recipe, layer, quantity, position, value
"""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from amaxds.analysis.features import network_features
from amaxds.analysis.gallery import NEIGHBOURS, Columns, most_alike, write_layer, write_neighbours, write_page
from amaxds.analysis.measures import COARSE_LEVELS, COLOURS, FREQUENCIES, LayerMeasures, measure_layer
from amaxds.analysis.study_values import StudyValues, read_study_values
from amaxds.builds.own_weights import weights_or_reason
from amaxds.builds.progress import counting
from amaxds.compute.machine import cores
from amaxds.compute.weights import Weights
from amaxds.dataset.build_info import BuildInfo
from amaxds.dataset.contact_sheet import contact_sheet, make_tile
from amaxds.dataset.reader import DatasetReader, open_dataset
from amaxds.dataset.record import Row
from amaxds.errors import UsageError
from amaxds.image import Pixels, decode_png
from amaxds.storage.files import write_json, write_whole
from amaxds.storage.staging import FORMAT, whole_folder

SUMMARY_FILE = "summary.json"
_SHEET_COLUMNS = 16
CSV_COLUMNS = ("figure", "recipe", "layer", "quantity", "position", "value")


def write_report(
    path: Path,
    name: str,
    out: Path,
    neighbours: bool | None = None,
    weights: str | None = None,
    workers: int | None = None,
    sheets: bool = False,
) -> str | None:
    """Write the report of a valid dataset, in any form, to the folder `out`; `name` is what messages call the dataset.

    neighbours: whether the gallery shows the most similar images, which needs the network's weights: those of the build,
    whose file `weights` names where it was one. None: show them where the weights can be had; where not, the reason is
    returned. sheets: whether to draw a contact sheet
    per layer. The folder appears only when it is complete, and replaces an earlier report. UsageError where `out` is anything
    else, and for other weights than the build's; NotFoundOnline where pretrained weights that were asked for cannot be had.
    """
    from amaxds.analysis.figures import draw

    if weights is not None and neighbours is False:
        raise UsageError("weights are given, and only neighbours need them.", "Leave out one: --weights or --no-neighbours.")
    with whole_folder(out, path, "report", SUMMARY_FILE) as part, open_dataset(path, name) as dataset:
        info = dataset.info
        loaded, reason = (None, None) if neighbours is False else weights_or_reason(info, weights, neighbours is True, workers)
        layers, records = write_layers(dataset, part, loaded, workers, sheets)
        study = read_study_values(info)
        summary = summarise_report(info, layers, study)
        write_json(part / SUMMARY_FILE, summary)
        write_whole(part / "summary.csv", _as_csv(csv_rows(summary)))
        figures = []
        for file, data in draw(layers, study):
            write_whole(part / file, data)
            figures += [file.removesuffix(".png")] * file.endswith(".png")
        write_page(part, str(summary["dataset"]), info, records, figures)
    return reason


def write_layers(
    dataset: DatasetReader, out: Path, weights: Weights | None = None, workers: int | None = None, sheets: bool = False
) -> tuple[list[LayerMeasures], dict[str, dict[str, Columns]]]:
    """Measure every layer under every recipe, and write its part of the gallery into the folder `out`; with `sheets` its
    contact sheet, too.

    Returns the measures, in the order of recipes and of the network, and the records that the page shows. Every image is read
    and decoded once; memory is bounded by the images of one layer, or, with weights, which similar images are found by, of
    one recipe.
    """
    info, workers = dataset.info, workers or cores()
    measures: list[LayerMeasures] = []
    records: dict[str, dict[str, Columns]] = {recipe: {} for recipe in info.recipes}
    with ThreadPoolExecutor(workers) as pool:
        for recipe in info.recipes.values():
            images: list[Pixels] = []
            for layer in info.scope:
                rows = dataset.rows(recipe, info.network.layer(layer))
                pixels = list(pool.map(decode_png, [row["image"] for row in rows]))
                measures.append(measure_layer(recipe.name, layer, rows, pixels, pool))
                records[recipe.name][layer] = write_layer(out, recipe.name, layer, rows, pixels)
                if sheets:
                    write_whole(out / "sheets" / f"{recipe.name}-{layer}.png", _layer_sheet(info, layer, rows, pixels))
                images += pixels if weights is not None else []
            if weights is not None:
                with counting(f"{recipe.name}: looking for images alike", len(images)) as done:
                    nearest = most_alike(network_features(info, weights, images, workers, done), NEIGHBOURS)
                counts = {layer: len(columns["filter"]) for layer, columns in records[recipe.name].items()}
                write_neighbours(out, recipe.name, counts, nearest)
    return measures, records


def _layer_sheet(info: BuildInfo, layer: str, rows: Sequence[Row], images: Sequence[Pixels]) -> bytes:
    pairs = zip(rows, images, strict=True)
    tiles = [make_tile(row["filter"], pixels, row["status"] == "dead") for row, pixels in pairs]
    return contact_sheet(info.network, {layer: tiles}, per_row=_SHEET_COLUMNS)


def summarise_report(info: BuildInfo, layers: Sequence[LayerMeasures], study: StudyValues | None) -> dict[str, Any]:
    """The content of summary.json: every number that the figures show.

    A value is None where it is not known, belongs to a dead image, or where no frequency falls into a bin of the spectrum.
    """
    return {
        "format": FORMAT,
        "dataset": info.dataset,
        "network": info.network.name,
        "seed": info.seed,
        "complete": info.network.is_complete(info.scope),
        "frequencies": FREQUENCIES.tolist(),
        "coarse_levels": COARSE_LEVELS.tolist(),
        "recipes": {recipe: {each.layer: _layer(each) for each in layers if each.recipe == recipe} for recipe in info.recipes},
    } | ({"published": dataclasses.asdict(study)} if study else {})


def _layer(each: LayerMeasures) -> dict[str, Any]:
    gain = None if each.gain is None else each.gain.tolist()
    rank = None if each.rank is None else each.rank.tolist()
    return {
        "filters": each.filters.tolist(),
        "status": ["alive" if alive else "dead" for alive in each.alive],
        "uniformity_index": each.index.tolist(),
        "activation_gain": gain and [value if alive else None for value, alive in zip(gain, each.alive, strict=True)],
        "activation_rank": rank and [value if alive else None for value, alive in zip(rank, each.alive, strict=True)],
        "mean_index": each.mean_index,
        "dead": each.dead,
        "dead_share": each.dead_share,
        "ranked_first_share": each.ranked_first_share,
        "averaged_over": each.averaged,
        "histogram": dict(zip(COLOURS, each.histogram.tolist(), strict=True)),
        "coarse_histogram": dict(zip(COLOURS, each.coarse_histogram.tolist(), strict=True)),
        "power": [None if math.isnan(value) else value for value in each.spectrum.tolist()],
    }


def csv_rows(summary: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    """The rows of summary.csv, from summary.json, without its nulls. A number that two figures show has a row for each."""
    published = summary.get("published", {})
    for recipe, layers in summary["recipes"].items():
        for layer, found in layers.items():
            index, depth = ("index", recipe, layer), ("depth", recipe, layer)
            dead = [int(status == "dead") for status in found["status"]]
            yield from _lines(index, "uniformity_index", found["filters"], found["uniformity_index"])
            yield from _lines(index, "is_dead", found["filters"], dead)
            yield (*index, "mean_index", None, found["mean_index"])
            yield (*index, "dead", None, found["dead"])
            if published:
                yield (*index, "published_mean_index", None, published["mean_index"][layer])
                yield (*depth, "published_dead_share_estimated", None, published["dead_share_estimated"][layer])
            for quantity in ("uniformity_index", "activation_gain", "activation_rank"):
                yield from _lines(depth, quantity, found["filters"], found[quantity] or [])
            yield from _lines(depth, "ranked_first_share", [None], [found["ranked_first_share"]])
            yield (*depth, "dead_share", None, found["dead_share"])
            for colour, shares in found["histogram"].items():
                yield from _lines((f"histograms-{recipe}", recipe, layer), colour, range(256), shares)
            for colour, shares in found["coarse_histogram"].items():
                yield from _lines((f"histograms-{recipe}", recipe, layer), f"{colour}_coarse", summary["coarse_levels"], shares)
            yield from _lines(("spectrum", recipe, layer), "power", summary["frequencies"], found["power"])


def _lines(
    prefix: tuple[str, str, str], quantity: str, positions: Iterable[Any], values: Iterable[Any]
) -> Iterator[tuple[Any, ...]]:
    pairs = zip(positions, values, strict=False)
    return ((*prefix, quantity, position, value) for position, value in pairs if value is not None)


def _as_csv(rows: Iterable[tuple[Any, ...]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    writer.writerows(rows)
    return text.getvalue().encode()
