"""The study's published values of VGG16 beside those of datasets made with this tool, layer by layer.

    python benchmarks/reproduction.py [DATASET ...]

Takes the records of datasets of VGG16 with its ImageNet weights, whole ones or parts of some layers each, into
benchmarks/vgg16/filters.csv, without the images. Then, from that table alone, it writes the measured part of
docs/reproduction.md and draws the index of every filter, docs/vgg16-index.png. A layer counts once all its filters are there.
"""

from __future__ import annotations

import json
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd

import amaxds
from amaxds.analysis.figure_style import figure_files, styled
from amaxds.analysis.index_figure import draw_index
from amaxds.analysis.measures import BINS, LayerMeasures
from amaxds.analysis.study_values import StudyValues
from amaxds.spec.network import VGG16

ROOT = Path(__file__).parents[1]
TABLE, PAGE, FIGURE = ROOT / "benchmarks" / "vgg16" / "filters.csv", ROOT / "docs" / "reproduction.md", "vgg16-index"
COLUMNS = ["recipe", "layer", "filter", "status", "uniformity_index", "activation_start", "activation", "activation_rank"]
BEGIN, END = "<!-- measured by benchmarks/reproduction.py -->", "<!-- end of what was measured -->"
LAYERS = [layer.name for layer in VGG16.layers]
TOLERANCE = {"block1": 0.04}
"""Of a layer's mean index against the published one, which has two digits; 0.02 in other blocks."""


def main(datasets: list[str]) -> None:
    table = pd.read_csv(TABLE) if TABLE.exists() else pd.DataFrame(columns=[*COLUMNS, "pixels_sha256"])
    for path in datasets:
        table = pd.concat([table, _records(path)])
    table = table.drop_duplicates(["recipe", "layer", "filter"], keep="last")
    place = table["layer"].map(LAYERS.index)
    table = table.assign(place=place).sort_values(["recipe", "place", "filter"]).drop(columns="place")
    TABLE.parent.mkdir(exist_ok=True)
    table.to_csv(TABLE, index=False, float_format="%.9g")
    study = json.loads((resources.files("amaxds") / "data" / "study_values.json").read_text())
    recipes = {recipe: _measures(table, recipe) for recipe in table["recipe"].unique()}
    recipes = {recipe: layers for recipe, layers in recipes.items() if layers}
    text = "\n\n".join([*_original(recipes.get("original", []), study), *_clear(recipes), *_draw(recipes, study)])
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.partition(END)[2]}")
    print(text)


def _records(path: str) -> pd.DataFrame:
    """The records of one dataset, of VGG16 with its own weights."""
    with amaxds.open_dataset(path) as dataset:
        if (dataset.network, dataset.info.as_json()["network"]["weights"]) != ("vgg16", "pretrained"):
            sys.exit(f"{path} is not of VGG16 with its ImageNet weights.")
        return dataset.to_pandas()[[*COLUMNS, "pixels_sha256"]]


def _measures(table: pd.DataFrame, recipe: str) -> list[LayerMeasures]:
    """The measures of each layer that is whole, without those of pixels."""
    found = []
    for layer in VGG16.layers:
        rows = table[(table["recipe"] == recipe) & (table["layer"] == layer.name)]
        if len(rows) == layer.filters:
            found.append(
                LayerMeasures(
                    recipe=recipe,
                    layer=layer.name,
                    filters=rows["filter"].to_numpy(),
                    alive=(rows["status"] == "alive").to_numpy(),
                    index=rows["uniformity_index"].to_numpy(),
                    gain=(rows["activation"] - rows["activation_start"]).to_numpy(),
                    rank=rows["activation_rank"].to_numpy(),
                    histogram=np.zeros((3, 256)),
                    spectrum=np.zeros(BINS),
                )
            )
    return found


def _original(layers: list[LayerMeasures], study: dict[str, dict[str, float]]) -> list[str]:
    """The table of `original` beside the study, and what follows from it."""
    if not layers:
        return []
    lines = [
        "| layer | filters | mean index: published | ours | difference | living filters alone | dead: study's figure | ours |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    missed = []
    for each in layers:
        published, dead = study["mean_index"][each.layer], study["dead_share_estimated"][each.layer]
        difference = each.mean_index - published
        living = f"{each.index[each.alive].mean():.3f}" if each.alive.any() else "none"
        if abs(difference) > TOLERANCE.get(each.layer.partition("_")[0], 0.02):
            missed.append(f"{each.layer} ({difference:+.3f})")
        lines.append(
            f"| {each.layer} | {len(each.filters)} | {published:.2f} | {each.mean_index:.3f} | {difference:+.3f} | {living} "
            f"| {dead:.0%} | {each.dead_share:.1%} |"
        )
    filters, gone = sum(len(each.filters) for each in layers), sum(each.dead for each in layers)
    largest = max(layers, key=lambda each: abs(each.mean_index - study["mean_index"][each.layer]))
    furthest = abs(largest.mean_index - study["mean_index"][largest.layer])
    within = "0.02 from block 2 on, and 0.04 in block 1"
    equal = sum(round(each.mean_index, 2) == study["mean_index"][each.layer] for each in layers)
    living, first = filters - gone, sum(int((each.rank[each.alive] == 1).sum()) for each in layers if each.rank is not None)
    return [
        "\n".join(lines),
        f"Of {filters} filters {gone} are dead ({gone / filters:.1%}); {first} of the {living} living ones "
        f"({first / living:.1%}) rank their own image first. Rounded to two digits, as published, {equal} of {len(layers)} "
        f"means are the same; the largest difference is {furthest:.3f}, in {largest.layer}. "
        + (
            f"Further off than {within}: {', '.join(missed)}."
            if missed
            else f"All layers are within what was set beforehand: {within}."
        ),
        *_more_dead(layers, study),
    ]


def _more_dead(layers: list[LayerMeasures], study: dict[str, dict[str, float]]) -> list[str]:
    """Where clearly more filters are dead than the study's figure shows, and which of both shares its printed means fit."""
    estimated = study["dead_share_estimated"]
    more = {each.layer: 100 * (each.dead_share - estimated[each.layer]) for each in layers}
    clearly = [each for each in layers if more[each.layer] >= 5]
    if not clearly:
        return []
    least, most = (choose(more[each.layer] for each in clearly) for choose in (min, max))
    borne: dict[str, list[str]] = {}
    for each in clearly:
        # The mean of all is that of living and dead ones by their shares; the published one is rounded to two digits.
        living, dead = each.index[each.alive].mean(), each.index[~each.alive].mean()
        low, high = ((study["mean_index"][each.layer] + half - living) / (dead - living) for half in (-0.005, 0.005))
        fits = [
            name for name, share in (("ours", each.dead_share), ("the figure's", estimated[each.layer])) if low <= share <= high
        ]
        borne.setdefault(" as well as ".join(fits) or "neither", []).append(each.layer)
    told = "; ".join(f"{what} in {', '.join(names)}" for what, names in borne.items())
    return [
        f"In {len(clearly)} layers, {clearly[0].layer} to {clearly[-1].layer}, the share of dead filters is {least:.0f} to "
        f"{most:.0f} percentage points above what was read off the study's figure, where their points lie upon each other, at "
        "0.482, and are hard to count. If the study's living filters had the mean index of ours, its printed means would fit "
        f"these shares: {told}."
    ]


def _clear(recipes: dict[str, list[LayerMeasures]]) -> list[str]:
    """Every other recipe, layer by layer."""
    found = []
    for recipe, layers in recipes.items():
        if recipe == "original":
            continue
        lines = [
            f"| layer, `{recipe}` | filters | dead | ranked first | mean index | median activation gained |",
            "|---|--:|--:|--:|--:|--:|",
        ]
        for each in layers:
            assert each.gain is not None
            first, gain = each.ranked_first_share, np.median(each.gain)
            lines.append(
                f"| {each.layer} | {len(each.filters)} | {each.dead} | {first:.1%} | {each.mean_index:.3f} | {gain:.3g} |"
            )
        filters, dead = sum(len(each.filters) for each in layers), sum(each.dead for each in layers)
        first = sum(int((each.rank == 1).sum()) for each in layers if each.rank is not None)
        share = f"{first} ({first / filters:.1%})"
        whole = f"Of {filters} filters {dead} are dead under `{recipe}`; {share} rank their own image first."
        found += ["\n".join(lines), whole]
    return found


def _draw(recipes: dict[str, list[LayerMeasures]], study: dict[str, dict[str, float]]) -> list[str]:
    """The figure of the recipes that have the most layers: one that is not whole yet would leave the others' layers out."""
    most = max(map(len, recipes.values()), default=0)
    drawn = {recipe: layers for recipe, layers in recipes.items() if len(layers) == most}
    if not drawn:
        return []
    values = StudyValues("", {each.layer: study["mean_index"][each.layer] for each in next(iter(drawn.values()))}, {})
    with styled():
        for name, data in figure_files(FIGURE, draw_index(drawn, values)):
            if name.endswith(".png"):
                (ROOT / "docs" / name).write_bytes(data)
    return [f"![Uniformity index of every filter of VGG16, with the means that the study published]({FIGURE}.png)"]


if __name__ == "__main__":
    main(sys.argv[1:])
