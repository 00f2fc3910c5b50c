"""Classification: can the layer that an image was made for be told from the image alone?

Two baselines on the dataset's own splits, trained on `train`, chosen by `validation`, judged on `test`: `cnn` sees pixels and
starts from nothing, `linear` sees what the network itself makes of the image. Where a recipe left filters dead, each is
trained twice, with their images and without.

classification/
  classification.json       settings, counts and scores
  confusion.png, .svg       which layer each model answers for the test images of each layer
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amaxds.analysis.cnn import CnnSettings, Images, train_cnn
from amaxds.analysis.confusion_figure import draw_confusion
from amaxds.analysis.features import Features, network_features
from amaxds.analysis.linear import fit_linear
from amaxds.analysis.score import Labels, Result, score
from amaxds.builds.own_weights import weights_or_reason
from amaxds.builds.progress import counting
from amaxds.compute import backend, environment
from amaxds.compute.machine import cores
from amaxds.compute.weights import Weights
from amaxds.dataset.reader import DatasetReader, open_dataset
from amaxds.errors import UsageError
from amaxds.image import decode_png
from amaxds.spec.recipes import Recipe
from amaxds.spec.splits import SPLITS
from amaxds.storage.files import write_json, write_whole
from amaxds.storage.staging import FORMAT, whole_folder

MODELS = ("cnn", "linear")
MARK = "classification.json"


@dataclass(frozen=True)
class Run:
    """How classification is done."""

    seed: int = 0
    workers: int | None = None
    """Programs side by side that compute features; one for each core by default."""
    cnn: CnnSettings = field(default_factory=CnnSettings)


@dataclass(frozen=True)
class _Part:
    """The images of one split under one recipe."""

    images: Images
    labels: Labels
    """(n,): the layer's place in the dataset's scope."""
    alive: NDArray[np.bool_]
    features: Features
    """Of width 0 where the network's weights are not there."""

    def of(self, kept: NDArray[np.bool_]) -> _Part:
        return _Part(self.images[kept], self.labels[kept], self.alive[kept], self.features[kept])


def classify(
    path: Path,
    name: str,
    out: Path,
    models: Sequence[str] = (),
    weights: str | None = None,
    run: Run = Run(),
) -> tuple[list[Result], str | None]:
    """Train and judge the models on a valid dataset, in any form, and write the folder `out`, whole.

    models: of `MODELS`. None chosen: all, but `linear` only where the network's weights can be had; if not, the reason is
    returned too. weights: the file that the dataset was built with, if it was one. UsageError where there is nothing to tell
    apart, or a split has no image; for unknown models; where `out` is there and is no earlier classification.
    """
    for each in models:
        if each not in MODELS:
            raise UsageError(f"unknown model {each!r}.", f"Choose from {', '.join(MODELS)}.")
    with whole_folder(out, path, "classification", MARK) as part, open_dataset(path, name) as dataset:
        _require_classes(dataset, name)
        wanted = not models or "linear" in models
        loaded, reason = weights_or_reason(dataset.info, weights, bool(models)) if wanted else (None, None)
        chosen = [each for each in models or MODELS if each != "linear" or loaded is not None]
        backend.start(run.workers or cores())
        results = [
            result
            for recipe in dataset.info.recipes.values()
            for result in _of_recipe(dataset, name, recipe, chosen, loaded, run)
        ]
        write_json(part / MARK, summarise_classification(dataset, results, run.seed))
        for file, data in draw_confusion(results, dataset.info.scope):
            write_whole(part / file, data)
    return results, reason


def summarise_classification(dataset: DatasetReader, results: Iterable[Result], seed: int) -> dict[str, Any]:
    """classification.json."""
    info = dataset.info
    return {
        "format": FORMAT,
        "dataset": info.dataset,
        "network": info.network.name,
        "layers": list(info.scope),
        "seed": seed,
        "software": environment.software() | {"scikit-learn": metadata.version("scikit-learn")},
        "results": [each.as_json() for each in results],
    }


def _require_classes(dataset: DatasetReader, name: str) -> None:
    if len(dataset.info.scope) < 2:
        raise UsageError(f"{name} has images of one layer only.", "Build more layers: there is nothing to tell apart.")


def _of_recipe(
    dataset: DatasetReader, name: str, recipe: Recipe, models: Sequence[str], weights: Weights | None, run: Run
) -> Iterator[Result]:
    parts = _read(dataset, name, recipe)
    if weights is not None:
        parts = _with_features(dataset, recipe, parts, weights, run)
    living = {split: part.of(part.alive) for split, part in parts.items()}
    for model in models:
        teach = _teach_cnn if model == "cnn" else _teach_linear
        for trained_on, given in (("all", parts), ("living", living)):
            if trained_on == "living" and (len(given["train"].labels) == len(parts["train"].labels) or not _enough(given)):
                continue
            train, test = given["train"], given["test"]
            classes = len(dataset.info.scope)
            answers, settings = teach(train, given["validation"], test, classes, f"{recipe.name}, {trained_on}", run)
            kinds = {"all": np.full(len(test.labels), True), "living": test.alive, "dead": ~test.alive}
            scores = {
                kind: score(test.labels[kept], answers[kept], train.labels, classes)
                for kind, kept in kinds.items()
                if kept.any() and (kind == "living" or not test.alive.all())
            }
            yield Result(recipe.name, model, trained_on, len(train.labels), settings, scores)


def _enough(given: Mapping[str, _Part]) -> bool:
    """Whether there is something to learn from and to judge by."""
    return len(np.unique(given["train"].labels)) > 1 and all(len(part.labels) for part in given.values())


def _read(dataset: DatasetReader, name: str, recipe: Recipe) -> dict[str, _Part]:
    """Every image of a recipe, by split."""
    scope, layers = dataset.info.scope, map(dataset.info.network.layer, dataset.info.scope)
    rows = [(label, row) for label, layer in enumerate(layers) for row in dataset.rows(recipe, layer)]
    parts = {}
    for split in SPLITS:
        found = [(label, row["status"] == "alive", decode_png(row["image"])) for label, row in rows if row["split"] == split]
        if not found:
            raise UsageError(f"{name} has no image in its split {split!r}.", "Build more filters: each split is needed.")
        labels, alive, images = zip(*found, strict=True)
        parts[split] = _Part(
            np.stack(images), np.array(labels, np.int32), np.array(alive), np.zeros((len(found), 0), np.float32)
        )
    if len(np.unique(parts["train"].labels)) < 2:
        raise UsageError(f"{name} has images of one of {len(scope)} layers to learn from.", "Build more layers or filters.")
    return parts


def _with_features(
    dataset: DatasetReader, recipe: Recipe, parts: Mapping[str, _Part], weights: Weights, run: Run
) -> dict[str, _Part]:
    with counting(f"{recipe.name}: features", sum(len(part.labels) for part in parts.values())) as done:
        return {
            split: dataclasses.replace(
                part, features=network_features(dataset.info, weights, list(part.images), run.workers, done)
            )
            for split, part in parts.items()
        }


def _teach_cnn(
    train: _Part, validation: _Part, test: _Part, classes: int, what: str, run: Run
) -> tuple[Labels, dict[str, Any]]:
    with counting(f"{what}: cnn, epochs", run.cnn.epochs) as done:
        answer = train_cnn(train.images, train.labels, (validation.images, validation.labels), classes, run.seed, run.cnn, done)
        return answer(test.images), run.cnn.as_json()


def _teach_linear(
    train: _Part, validation: _Part, test: _Part, classes: int, what: str, run: Run
) -> tuple[Labels, dict[str, Any]]:
    answer, chosen = fit_linear(train.features, train.labels, (validation.features, validation.labels))
    return answer(test.features), chosen
