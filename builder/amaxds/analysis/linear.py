"""The linear model: logistic regression from an image's features in the dataset's own network to the image's layer.

Square roots are taken of the features, so that a few large ones do not hide the others; then they are standardised.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from amaxds.analysis.features import Features
from amaxds.analysis.score import Labels

REGULARISATIONS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Values to try for C, the inverse strength. The best on the validation images is taken, of equals the strongest."""
ITERATIONS = 2000


def fit_linear(
    features: Features, labels: Labels, validation: tuple[Features, Labels]
) -> tuple[Callable[[Features], Labels], dict[str, float]]:
    """Fit the model to features (n, filters) and labels (n,) of at least two classes.

    Returns a function from features to the labels that it answers, and the regularisation that was chosen.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # More threads would add in another order, and round differently.
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
