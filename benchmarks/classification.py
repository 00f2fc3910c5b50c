"""Which layers of VGG16 can be told apart by their images: the page docs/classification.md, from what `amaxds classify` found.

    python benchmarks/classification.py [CLASSIFICATION ...]

Takes classification.json of each folder, of a dataset of VGG16, into benchmarks/vgg16/classification.json. Then, from that file
alone, it writes the measured part of the page and draws docs/vgg16-confusion.png.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from amaxds.analysis.confusion_figure import draw_confusion
from amaxds.analysis.score import Result, Score
from amaxds.spec.network import VGG16

ROOT = Path(__file__).parents[1]
KEPT, PAGE = ROOT / "benchmarks" / "vgg16" / "classification.json", ROOT / "docs" / "classification.md"
FIGURE = ROOT / "docs" / "vgg16-confusion.png"
BEGIN, END = "<!-- measured by benchmarks/classification.py -->", "<!-- end of what was measured -->"
LAYERS = [layer.name for layer in VGG16.layers]
RECIPES, MODELS = ["original", "clear"], ["cnn", "linear", "index"]


def main(folders: list[str]) -> None:
    kept: list[dict[str, Any]] = json.loads(KEPT.read_text()) if KEPT.exists() else []
    for folder in folders:
        found = json.loads((Path(folder) / "classification.json").read_text())
        if (found["network"], found["layers"]) != ("vgg16", LAYERS):
            sys.exit(f"{folder} is not of all layers of VGG16.")
        kept = [each for each in kept if not any(_place(each) == _place(new) for new in found["results"])] + found["results"]
    kept.sort(key=_place)
    KEPT.write_text("[\n" + ",\n".join(json.dumps(each) for each in kept) + "\n]\n")
    results = [_result(each) for each in kept]
    png = dict(draw_confusion(results, LAYERS))["confusion.png"]
    FIGURE.write_bytes(png)
    confused = [_confused(each) for each in results if _on_living(each)]
    text = "\n\n".join([_table(results), *confused, f"![{_caption(results)}]({FIGURE.name})"])
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.partition(END)[2]}")
    print(text)


def _place(result: dict[str, Any]) -> tuple[int, int, str]:
    return RECIPES.index(result["recipe"]), MODELS.index(result["model"]), result["trained_on"]


def _result(stored: dict[str, Any]) -> Result:
    scores = {
        kind: Score(**{name: value for name, value in each.items() if name != "accuracy"})
        for kind, each in stored["scores"].items()
    }
    return Result(**{**stored, "scores": scores})


def _table(results: list[Result]) -> str:
    lines = [
        "| recipe | model | trained on | judged on | accuracy | 95% | by chance |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for each in results:
        for kind, found in each.scores.items():
            low, high = found.interval
            cells = (
                *(each.recipe, each.model, f"{each.images} {each.trained_on}", f"{found.images} {kind}"),
                *(f"{found.accuracy:.3f}", f"{low:.2f} to {high:.2f}", f"{found.chance:.3f}"),
            )
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _on_living(result: Result) -> bool:
    """Whether it is the model that was trained on living images alone: on all of them, where none is dead."""
    return result.trained_on == "living" or list(result.scores) == ["living"]


def _confused(result: Result) -> str:
    """What is mistaken for what among living images, in a sentence."""
    counts = np.array(result.scores["living"].confusion)
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    true, answered = np.indices(counts.shape)
    near = wrong[abs(true - answered) == 1].sum() / max(wrong.sum(), 1)
    both = wrong + wrong.T
    order = sorted(zip(*np.nonzero(np.triu(both)), strict=True), key=lambda pair: -both[pair])[:3]
    told = ", ".join(f"{LAYERS[first]} with {LAYERS[second]} ({both[first, second]})" for first, second in order)
    return (
        f"`{result.recipe}`, `{result.model}`, living images: {wrong.sum()} of {counts.sum()} answers are wrong, "
        f"{100 * near:.0f}% of these by one layer. Confused most: {told}."
    )


def _caption(results: list[Result]) -> str:
    recipes = " and ".join(dict.fromkeys(each.recipe for each in results))
    dead = "; of `original` dead ones are among them" if any("dead" in each.scores for each in results) else ""
    return f"Which layer each model answers for all test images of each layer of VGG16, under {recipes}{dead}"


if __name__ == "__main__":
    main(sys.argv[1:])
