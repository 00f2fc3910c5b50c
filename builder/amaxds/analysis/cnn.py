"""The small CNN that learns from pixels which layer an image came from.

It has three strided convolutions, each with group normalisation and ReLU, then the mean over the image and a linear layer.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amaxds.analysis.score import Labels

Images = NDArray[np.uint8]
"""(n, h, w, 3)"""


@dataclass(frozen=True)
class CnnSettings:
    """How the CNN is built and trained."""

    widths: tuple[int, ...] = (32, 64, 128)
    """Filters of each convolution. The first is 5x5, the others 3x3; all have stride 2."""
    groups: int = 8
    epochs: int = 25
    batch_size: int = 32
    learning_rate: float = 1e-2
    """Of AdamW (arXiv 1711.05101) at the start; it falls to 0 along a cosine."""
    weight_decay: float = 0.01

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def train_cnn(
    images: Images,
    labels: Labels,
    validation: tuple[Images, Labels],
    classes: int,
    seed: int,
    settings: CnnSettings,
    done: Callable[[int], None] = lambda epochs: None,
) -> Callable[[Images], Labels]:
    """Train a CNN from scratch; returns a function from images (n, h, w, 3) to the classes (n,) that it answers.

    It answers with the weights of the epoch that had the lowest loss on the validation images and labels. Call `backend.start`
    before: then the same seed gives the same answers on any number of cores. `done` is called with 1 after each epoch. The
    global random states of Keras and NumPy are overwritten.
    """
    import keras

    keras.utils.set_random_seed(seed)
    model = _model(classes, seed, settings)
    steps = math.ceil(len(images) / settings.batch_size) * settings.epochs
    rate = keras.optimizers.schedules.CosineDecay(settings.learning_rate, steps)
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=settings.weight_decay),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=keras.backend.backend() == "jax",  # Under TensorFlow, compiling takes longer than training.
    )
    random = np.random.Generator(np.random.Philox(seed))
    lowest, best = math.inf, model.get_weights()
    # Batch by batch, as `fit` would use tf.data, which prints warnings, and shuffle with the global random state.
    for _ in range(settings.epochs):
        order = random.permutation(len(images))
        for first in range(0, len(order), settings.batch_size):
            rows = order[first : first + settings.batch_size]
            model.train_on_batch(images[rows], labels[rows])
        loss = _loss(model, validation, settings.batch_size)
        if loss < lowest:
            lowest, best = loss, model.get_weights()
        done(1)
    model.set_weights(best)

    def answer(shown: Images) -> Labels:
        size = settings.batch_size
        logits = [model.predict_on_batch(shown[first : first + size]) for first in range(0, len(shown), size)]
        found: Labels = np.concatenate(logits).argmax(axis=1).astype(np.int32)
        return found

    return answer


def _loss(model: Any, images: tuple[Images, Labels], size: int) -> float:
    """The mean loss on images with their labels, computed so many at a time."""
    model.reset_metrics()  # Otherwise it would be the mean over all batches so far.
    for first in range(0, len(images[0]), size):
        loss = model.test_on_batch(*(each[first : first + size] for each in images))
    return float(loss)


def _model(classes: int, seed: int, settings: CnnSettings) -> Any:
    from keras import Input, Sequential, layers

    stack: list[Any] = [Input((None, None, 3)), layers.Rescaling(1 / 127.5, -1), layers.RandomFlip("horizontal", seed=seed)]
    for place, width in enumerate(settings.widths):
        convolution = layers.Conv2D(width, 3 if place else 5, strides=2, padding="same", use_bias=False)
        stack += [convolution, layers.GroupNormalization(settings.groups), layers.ReLU()]
    return Sequential([*stack, layers.GlobalAveragePooling2D(), layers.Dense(classes)])
