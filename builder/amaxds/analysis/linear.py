"""The linear model: layers told apart by what the network itself makes of the images, by logistic regression.

Features are square-rooted, so that a few large ones do not hide the others, and standardised.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from amaxds.analysis.features import Features
from amaxds.analysis.score import Labels

REGULARISATIONS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""The inverse strengths, scikit-learn's C, that the validation images choose from; of equally good ones the strongest."""
ITERATIONS = 2000


def fit_linear(
    features: Features, labels: Labels, validation: tuple[Features, Labels]
) -> tuple[Callable[[Features], Labels], dict[str, float]]:
    """Fit to features (n, filters) of images with labels (n,), of at least two classes: its answers, and what was chosen."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # With more threads, sums are added up in another order.
        models = [
            make_pipeline(FunctionTransformer(_root), StandardScaler(), LogisticRegression(C=each, max_iter=ITERATIONS))
            for each in REGULARISATIONS
        ]
        right = [model.fit(features, labels).score(*validation) for model in models]
        best = int(np.argmax(right))

    def answers(shown: Features) -> Labels:
        with threadpool_limits(1):
            found: Labels = models[best].predict(shown).astype(np.int32)
        return found

    return answers, {"regularisation": REGULARISATIONS[best]}


def _root(features: Features) -> NDArray[np.float64]:
    return np.sqrt(features.astype(np.float64))
