"""The score of a classifier: how often it is right about images that it has not seen, and how sure that is."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int32]


@dataclass(frozen=True)
class Score:
    """What a classifier does on some images of the test split."""

    images: int
    correct: int
    interval: tuple[float, float]
    """95% interval of the accuracy by Wilson's score (J. Am. Stat. Assoc. 22, 209, 1927): what so few images leave open."""
    chance: float
    """The accuracy, on the same images, of always answering the commonest layer of those that were trained on."""
    macro_f1: float
    """The mean of F1 over the layers that have an image here, each weighted alike."""
    confusion: tuple[tuple[int, ...], ...]
    """[layer][answer]: images, layers in the dataset's order."""

    @property
    def accuracy(self) -> float:
        return self.correct / self.images

    def as_json(self) -> dict[str, Any]:
        return {"accuracy": self.accuracy} | dataclasses.asdict(self)


@dataclass(frozen=True)
class Result:
    """One model, trained once."""

    recipe: str
    model: str
    trained_on: str
    """`all` images of the train split, or its `living` ones."""
    images: int
    """How many it was trained on."""
    settings: dict[str, Any]
    scores: dict[str, Score]
    """On the `living` images of the test split, and where it has dead ones, on `all` and on the `dead`; a model that was
    trained on living images is judged on those alone."""

    def as_json(self) -> dict[str, Any]:
        return {**vars(self), "scores": {name: each.as_json() for name, each in self.scores.items()}}


def score(labels: Labels, answers: Labels, trained: Labels, classes: int) -> Score:
    """The score of answers (n,) to images with these labels (n,), n > 0; `trained`: the labels that were trained on."""
    from scipy.stats import binomtest
    from sklearn.metrics import confusion_matrix, f1_score

    correct, commonest = int((labels == answers).sum()), int(np.bincount(trained, minlength=classes).argmax())
    low, high = binomtest(correct, len(labels)).proportion_ci(0.95, "wilson")
    return Score(
        images=len(labels),
        correct=correct,
        interval=(float(low), float(high)),
        chance=float((labels == commonest).mean()),
        macro_f1=float(f1_score(labels, answers, labels=np.unique(labels), average="macro", zero_division=0)),
        confusion=tuple(map(tuple, confusion_matrix(labels, answers, labels=range(classes)).tolist())),
    )
