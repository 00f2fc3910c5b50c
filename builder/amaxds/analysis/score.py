"""The score of a classifier: how often it is right about images that it has not seen, and how uncertain that number is."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int32]
"""(n,): the class of each image, from 0."""


@dataclass(frozen=True)
class Score:
    """How well a classifier does on some images of the test split."""

    images: int
    """How many images were judged."""
    correct: int
    """For how many of them the answer was right."""
    interval: tuple[float, float]
    """95% confidence interval of the accuracy, by Wilson's score (J. Am. Stat. Assoc. 22, 209, 1927)."""
    chance: float
    """Accuracy, on the same images, of always answering the layer that is commonest among the training images of their status;
    the mean over the layers that are equally common, which all are where none of the training images is of that status."""
    macro_f1: float
    """F1 score, mean over the layers that have an image here, each with the same weight."""
    confusion: tuple[tuple[int, ...], ...]
    """Number of images by layer (first index) and answer (second index), both in the order of the dataset's layers."""

    @property
    def accuracy(self) -> float:
        """The share of right answers, from 0 to 1."""
        return self.correct / self.images

    def as_json(self) -> dict[str, Any]:
        """The score as it is in `classification.json`."""
        return {"accuracy": self.accuracy} | dataclasses.asdict(self)


@dataclass(frozen=True)
class Result:
    """One model, trained once on the images of one recipe."""

    recipe: str
    """The recipe's name."""
    model: str
    """`cnn`, the small CNN on pixels, `linear`, the linear model on the network's features, or `index`, a decision tree on the
    uniformity index alone."""
    trained_on: str
    """`all` images of the train split, or its `living` ones only."""
    images: int
    """How many images it was trained on."""
    settings: dict[str, Any]
    """The settings of the training."""
    scores: dict[str, Score]
    """Which images of the test split -> the score on them: the `living` ones, if there are any, and where there are dead ones,
    `all` and the `dead` ones too. A model trained on living images is judged on living images only."""

    def as_json(self) -> dict[str, Any]:
        """The result as it is in `classification.json`, with its scores."""
        return {**vars(self), "scores": {name: each.as_json() for name, each in self.scores.items()}}


def score(labels: Labels, answers: Labels, trained: Labels, classes: int) -> Score:
    """Score the answers (n,) for n > 0 images with these labels (n,); `trained` are the labels of the training images that are
    of the same status."""
    from scipy.stats import binomtest
    from sklearn.metrics import confusion_matrix, f1_score

    correct, times = int((labels == answers).sum()), np.bincount(trained, minlength=classes)
    commonest = times == times.max()
    low, high = binomtest(correct, len(labels)).proportion_ci(0.95, "wilson")
    return Score(
        images=len(labels),
        correct=correct,
        interval=(float(low), float(high)),
        chance=float(commonest[labels].mean() / commonest.sum()),
        macro_f1=float(f1_score(labels, answers, labels=np.unique(labels), average="macro", zero_division=0)),
        confusion=tuple(map(tuple, confusion_matrix(labels, answers, labels=range(classes)).tolist())),
    )
