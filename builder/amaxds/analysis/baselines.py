"""The baselines that scikit-learn fits: from an image's features, or its uniformity index alone, to the image's layer.

Each is fitted with several settings, of which that is taken which does best on the validation images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from amaxds.analysis.features import Features
from amaxds.analysis.score import Labels

Setting = TypeVar("Setting", int, float)

REGULARISATIONS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Values to try for C of the linear model, the inverse strength; of equals the strongest is taken."""
ITERATIONS = 2000
LEAVES = (256, 128, 64, 32, 16, 8, 4)
"""Values to try for the fewest training images in a leaf of the tree; of equals the largest is taken."""


def fit_linear(
    features: Features, labels: Labels, validation: tuple[Features, Labels]
) -> tuple[Callable[[Features], Labels], dict[str, float]]:
    """Fit a logistic regression to features (n, filters) and labels (n,) of at least two classes. Square roots are taken of the
    features, so that a few large ones do not hide the others; then they are standardised.

    Returns a function from features to the labels that it answers, and the regularisation that was chosen.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    models = {
        each: make_pipeline(FunctionTransformer(_root), StandardScaler(), LogisticRegression(C=each, max_iter=ITERATIONS))
        for each in REGULARISATIONS
    }
    answers, best = _fit_best(models, features, labels, validation)
    return answers, {"regularisation": best}


def fit_index(
    index: NDArray[np.float64], labels: Labels, validation: tuple[NDArray[np.float64], Labels]
) -> tuple[Callable[[NDArray[np.float64]], Labels], dict[str, int]]:
    """Fit a decision tree to the uniformity index (n, 1) and labels (n,): ranges of the index, each with its commonest layer.

    Returns a function from indices to the labels that it answers, and the fewest training images in a range.
    """
    from sklearn.tree import DecisionTreeClassifier

    models = {each: DecisionTreeClassifier(min_samples_leaf=each, random_state=0) for each in LEAVES}
    answers, best = _fit_best(models, index, labels, validation)
    return answers, {"images_in_a_range": best}


def _fit_best(
    models: Mapping[Setting, Any], values: NDArray[Any], labels: Labels, validation: tuple[NDArray[Any], Labels]
) -> tuple[Callable[[NDArray[Any]], Labels], Setting]:
    """Fit all models, by setting. The answers of the best on the validation images, of equals the first, and its setting."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # More threads would add in another order, and round differently.
        right = {setting: model.fit(values, labels).score(*validation) for setting, model in models.items()}
    best = max(right, key=lambda setting: right[setting])

    def answers(shown: NDArray[Any]) -> Labels:
        with threadpool_limits(1):
            found: Labels = models[best].predict(shown).astype(np.int32)
        return found

    return answers, best


def _root(features: Features) -> NDArray[np.float64]:
    return np.sqrt(features.astype(np.float64))
