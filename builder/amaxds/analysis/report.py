"""The report: a dataset in figures and numbers, as one folder.

report/
  index-<recipe>.png        and .svg: uniformity index of every filter, a panel per layer, as in the original study
  histograms-<recipe>.png   and .svg: mean colour histograms, a panel per layer
  depth.png                 and .svg: index, activation gain, ranks and dead filters over depth, the recipes side by side
  spectrum.png              and .svg: mean power spectrum, a panel per layer
  index.html, gallery/, images/    the gallery: every image, to look at in a browser
  summary.json              every number that is drawn, nested by recipe and layer
  summary.csv               the same numbers, one a line: figure, recipe, layer, quantity, position, value
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from amaxds.analysis.gallery import write_gallery
from amaxds.analysis.measures import COARSE_LEVELS, COLOURS, FREQUENCIES, LayerMeasures, measure
from amaxds.builds.own_weights import weights_or_reason
from amaxds.builds.progress import counting
from amaxds.dataset.build_info import BuildInfo
from amaxds.dataset.reader import open_dataset
from amaxds.spec.network import VGG16
from amaxds.storage.files import write_json, write_whole
from amaxds.storage.staging import FORMAT, whole_folder

SUMMARY_FILE = "summary.json"
CSV_COLUMNS = ("figure", "recipe", "layer", "quantity", "position", "value")


def write_report(
    path: Path, name: str, out: Path, neighbours: bool | None = None, weights: str | None = None, workers: int | None = None
) -> str | None:
    """Write the report of a valid dataset, in any form, to the folder `out`; `name` is what messages call the dataset.

    neighbours: whether the gallery shows the images most alike, which needs the network's weights: those of the build, whose
    file `weights` names where it was one. None: where they can be had; if not, the reason is returned. The folder appears
    whole. UsageError where it is there and is no earlier report, which would be replaced, and for other weights;
    NotFoundOnline where pretrained ones that were asked for cannot be had.
    """
    from amaxds.analysis.figures import draw

    with whole_folder(out, path, "report", SUMMARY_FILE) as part, open_dataset(path, name) as dataset:
        info = dataset.info
        loaded, reason = (None, None) if neighbours is False else weights_or_reason(info, weights, neighbours is True)
        layers, published = list(measure(dataset)), read_published(info)
        summary = summarise_report(info, layers, published)
        write_json(part / SUMMARY_FILE, summary)
        write_whole(part / "summary.csv", _as_csv(csv_rows(summary)))
        figures = []
        for file, data in draw(layers, published):
            write_whole(part / file, data)
            figures += [file.removesuffix(".png")] * file.endswith(".png")
        with counting("looking for images alike", info.filters * len(info.recipes)) as done:
            write_gallery(dataset, str(summary["dataset"]), part, figures, loaded, workers, done)
    return reason


def read_published(info: BuildInfo) -> dict[str, Any] | None:
    """What the original study published of the dataset's layers: `source` in words, and by layer `mean_index` and
    `dead_share_estimated`. None for another network than the study's."""
    if info.network != VGG16:
        return None
    stored = json.loads((files("amaxds") / "data" / "study_values.json").read_text(encoding="utf-8"))
    of_scope = {
        name: {layer: value for layer, value in stored[name].items() if layer in info.scope}
        for name in ("mean_index", "dead_share_estimated")
    }
    return {"source": stored["source"]} | of_scope


def summarise_report(info: BuildInfo, layers: Sequence[LayerMeasures], published: Mapping[str, Any] | None) -> dict[str, Any]:
    """summary.json: every number that is drawn. Null: not known, of a dead image, or no frequency in a bin."""
    return {
        "format": FORMAT,
        "dataset": info.dataset,
        "network": info.network.name,
        "seed": info.seed,
        "complete": info.filters == info.network.filters,
        "frequencies": FREQUENCIES.tolist(),
        "coarse_levels": COARSE_LEVELS.tolist(),
        "recipes": {recipe: {each.layer: _layer(each) for each in layers if each.recipe == recipe} for recipe in info.recipes},
    } | ({"published": published} if published else {})


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
    """summary.json as lines of summary.csv, without nulls. A number that two figures draw is there for both."""
    published = summary.get("published", {})
    for recipe, layers in summary["recipes"].items():
        for layer, found in layers.items():
            index, depth = (f"index-{recipe}", recipe, layer), ("depth", recipe, layer)
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
    place: tuple[str, str, str], quantity: str, positions: Iterable[Any], values: Iterable[Any]
) -> Iterator[tuple[Any, ...]]:
    pairs = zip(positions, values, strict=False)
    return ((*place, quantity, position, value) for position, value in pairs if value is not None)


def _as_csv(rows: Iterable[tuple[Any, ...]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    writer.writerows(rows)
    return text.getvalue().encode()
