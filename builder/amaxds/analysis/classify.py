"""Classification: can a model tell from an image which layer it was made for?

There are three baselines. `cnn` is a small network trained from scratch on the pixels; `linear` is a logistic regression on
the features that the dataset's own network computes from the image; `index` is a decision tree on the uniformity index alone.
All are trained on the dataset's `train` split, tuned on `validation` and judged on `test`. Where a recipe has dead filters,
each is trained twice: with their images and without.

classification/
  classification.json       settings, counts and scores
  confusion.png, .svg, .pdf  which layer each model answers for the test images of each layer
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amaxds.analysis.baselines import fit_index, fit_linear
from amaxds.analysis.cnn import CnnSettings, Images, train_cnn
from amaxds.analysis.confusion_figure import draw_confusion
from amaxds.analysis.features import Features, network_features
from amaxds.analysis.score import Labels, Result, score
from amaxds.builds.own_weights import weights_or_reason
from amaxds.builds.progress import counting
from amaxds.compute import backend, environment
from amaxds.compute.machine import cores
from amaxds.compute.networks import has_loops
from amaxds.compute.weights import Weights
from amaxds.dataset.reader import DatasetReader, open_dataset
from amaxds.errors import UsageError
from amaxds.image import decode_png
from amaxds.spec.network import Network
from amaxds.spec.recipes import Recipe
from amaxds.spec.splits import SPLITS
from amaxds.storage.files import write_json, write_whole
from amaxds.storage.staging import FORMAT, whole_folder

MODELS = ("cnn", "linear", "index")
CLASSIFICATION_FILE = "classification.json"
_KINDS: Mapping[str, Callable[[NDArray[np.bool]], NDArray[np.bool]]] = {
    "all": np.ones_like,
    "living": lambda alive: alive,
    "dead": np.logical_not,
}
"""Which images a score is of: kind -> from whether each image is alive (n,) to whether it is of this kind (n,)."""


@dataclass(frozen=True)
class ClassificationSettings:
    """What the models are trained with."""

    seed: int = 0
    workers: int | None = None
    """How many programs compute features in parallel; by default one for each core."""
    cnn: CnnSettings = field(default_factory=CnnSettings)


@dataclass(frozen=True)
class _Split:
    """The images of one split under one recipe, n of them."""

    images: Images
    labels: Labels
    """(n,): each image's layer, as its position among the layers of the dataset."""
    alive: NDArray[np.bool_]
    """(n,)"""
    features: Features
    """(n, filters), or (n, 0) where the network's weights are not there."""
    index: NDArray[np.float64]
    """(n, 1): the uniformity index."""

    def only(self, kept: NDArray[np.bool_]) -> _Split:
        return _Split(*(getattr(self, each.name)[kept] for each in dataclasses.fields(self)))


def classify(
    path: Path,
    name: str,
    out: Path,
    models: Sequence[str] = (),
    weights: str | None = None,
    settings: ClassificationSettings = ClassificationSettings(),
) -> tuple[list[Result], str | None]:
    """Train and judge models on a valid dataset, in any form, and write the results to the folder `out`.

    models: some of `MODELS`; by default all, but `linear` only where the network's weights can be had. weights: the file that
    the dataset was built with, if it was built with one. Returns the results, and why `linear` was left out, if it was. The
    folder appears only when it is complete. UsageError where the dataset has images of one layer only, or a split has none;
    for unknown models; and where `out` is there and is no earlier classification.
    """
    for each in models:
        if each not in MODELS:
            raise UsageError(f"unknown model {each!r}.", f"Choose from {', '.join(MODELS)}.")
    with whole_folder(out, path, "classification", CLASSIFICATION_FILE) as part, open_dataset(path, name) as dataset:
        _require_classes(dataset, name)
        settings = _started(dataset.info.network, not models or "cnn" in models, settings)
        wanted = not models or "linear" in models
        if weights is not None and not wanted:
            raise UsageError(
                "weights are given, and no model needs them.", "Leave them out (--weights), or add --model linear."
            )
        loaded, reason = weights_or_reason(dataset.info, weights, bool(models), settings.workers) if wanted else (None, None)
        chosen = [each for each in dict.fromkeys(models or MODELS) if each != "linear" or loaded is not None]
        results = [
            result
            for recipe in dataset.info.recipes.values()
            for result in _of_recipe(dataset, name, recipe, chosen, loaded, settings)
        ]
        write_json(part / CLASSIFICATION_FILE, summarise_classification(dataset, results, settings.seed))
        for file, data in draw_confusion(results, dataset.info.scope):
            write_whole(part / file, data)
    return results, reason


def _started(network: Network, with_cnn: bool, settings: ClassificationSettings) -> ClassificationSettings:
    """Start the backend, with one thread for each operation if there is a CNN to train, as its bits depend on that; and the
    settings with as many workers as then compute features: programs with loops of TensorFlow would wait for each other."""
    workers, loops = settings.workers or cores(), has_loops(network)
    name = backend.start(workers, loops and not with_cnn)
    in_turn = loops and with_cnn and name == "tensorflow" and not environment.on_gpu()
    return dataclasses.replace(settings, workers=1 if in_turn else workers)


def summarise_classification(dataset: DatasetReader, results: Iterable[Result], seed: int) -> dict[str, Any]:
    """The content of classification.json."""
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
    dataset: DatasetReader,
    name: str,
    recipe: Recipe,
    models: Sequence[str],
    weights: Weights | None,
    settings: ClassificationSettings,
) -> Iterator[Result]:
    """The results of each model under one recipe, trained on all images and, where some are dead, on the living ones."""
    splits = _read(dataset, name, recipe)
    if weights is not None:
        splits = _with_features(dataset, recipe, splits, weights, settings)
    living = {each: split.only(split.alive) for each, split in splits.items()}
    classes = len(dataset.info.scope)
    no_dead = all(splits[each].alive.all() for each in ("train", "validation"))
    for model in models:
        answer = _cnn_answers if model == "cnn" else functools.partial(_fitted_answers, model)
        for trained_on, chosen in (("all", splits), ("living", living)):
            if trained_on == "living" and (no_dead or not _enough(chosen)):
                continue
            train, test = chosen["train"], chosen["test"]
            answers, used = answer(chosen, classes, f"{recipe.name}, {trained_on}", settings)
            scores = {}
            for kind, of_kind in _KINDS.items():
                kept = of_kind(test.alive)
                if kept.any() and (kind == "living" or not test.alive.all()):
                    alike = train.labels[of_kind(train.alive)]
                    scores[kind] = score(test.labels[kept], answers[kept], alike, classes)
            yield Result(recipe.name, model, trained_on, len(train.labels), used, scores)


def _enough(splits: Mapping[str, _Split]) -> bool:
    """Whether there are images of two layers to train on, and images in every split."""
    return len(np.unique(splits["train"].labels)) > 1 and all(len(split.labels) for split in splits.values())


def _read(dataset: DatasetReader, name: str, recipe: Recipe) -> dict[str, _Split]:
    """Every image of a recipe, by split, without features."""
    scope, layers = dataset.info.scope, map(dataset.info.network.layer, dataset.info.scope)
    rows = [(label, row) for label, layer in enumerate(layers) for row in dataset.rows(recipe, layer)]
    splits = {}
    for split in SPLITS:
        found = [(label, row) for label, row in rows if row["split"] == split]
        if not found:
            raise UsageError(f"{name} has no image in its split {split!r}.", "Build more filters: each split is needed.")
        splits[split] = _Split(
            images=np.stack([decode_png(row["image"]) for _, row in found]),
            labels=np.array([label for label, _ in found], np.int32),
            alive=np.array([row["status"] == "alive" for _, row in found]),
            features=np.zeros((len(found), 0), np.float32),
            index=np.array([[row["uniformity_index"]] for _, row in found]),
        )
    if len(np.unique(splits["train"].labels)) < 2:
        raise UsageError(f"{name} has images of one of {len(scope)} layers to learn from.", "Build more layers or filters.")
    return splits


def _with_features(
    dataset: DatasetReader,
    recipe: Recipe,
    splits: Mapping[str, _Split],
    weights: Weights,
    settings: ClassificationSettings,
) -> dict[str, _Split]:
    with counting(f"{recipe.name}: features", sum(len(split.labels) for split in splits.values())) as done:
        return {
            name: dataclasses.replace(
                split, features=network_features(dataset.info, weights, list(split.images), settings.workers, done)
            )
            for name, split in splits.items()
        }


def _cnn_answers(
    splits: Mapping[str, _Split], classes: int, what: str, settings: ClassificationSettings
) -> tuple[Labels, dict[str, Any]]:
    """The CNN's answers for the test images, and what it was trained with."""
    train, validation = splits["train"], splits["validation"]
    with counting(f"{what}: cnn, epochs", settings.cnn.epochs) as done:
        answer = train_cnn(
            train.images, train.labels, (validation.images, validation.labels), classes, settings.seed, settings.cnn, done
        )
        return answer(splits["test"].images), settings.cnn.as_json()


def _fitted_answers(
    model: str, splits: Mapping[str, _Split], classes: int, what: str, settings: ClassificationSettings
) -> tuple[Labels, dict[str, Any]]:
    """The answers of a model of `_FITTED` for the test images, and the setting of it that was chosen."""
    fit, seen = _FITTED[model]
    train, validation = splits["train"], splits["validation"]
    answer, chosen = fit(seen(train), train.labels, (seen(validation), validation.labels))
    return answer(seen(splits["test"])), chosen


_FITTED: dict[str, tuple[Callable[..., Any], Callable[[_Split], NDArray[Any]]]] = {
    "linear": (fit_linear, lambda split: split.features),
    "index": (fit_index, lambda split: split.index),
}
"""How each of these models is fitted, and what it sees of the images."""
