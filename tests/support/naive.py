"""The original study's loop, written again from its description, one image at a time, deliberately simple.

Independent of the package: a Keras model of ordinary layers, TensorFlow's own gradient, no XLA, no batch.
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf


def naive_model(tensors: dict[str, np.ndarray], until: str) -> keras.Model:
    """VGG16's convolutions and poolings from (kernel, bias) pairs, up to and including the layer `until`."""
    x = inputs = keras.Input((None, None, 3))
    names = [name.removesuffix("/kernel") for name in tensors if name.endswith("/kernel")]
    pairs = {}
    for name in names:
        if name.endswith("_conv1") and name != "block1_conv1":
            x = keras.layers.MaxPooling2D(2, 2)(x)
        kernel, bias = tensors[f"{name}/kernel"], tensors[f"{name}/bias"]
        layer = keras.layers.Conv2D(kernel.shape[3], 3, padding="same", activation="relu", name=name)
        x = layer(x)
        pairs[name] = (layer, [kernel, bias])
        if name == until:
            break
    for layer, values in pairs.values():
        layer.set_weights(values)
    return keras.Model(inputs, x)


def naive_ascent(
    model: keras.Model, filter: int, start: np.ndarray, steps: int, step_size: float
) -> tuple[np.ndarray, list[float], list[float]]:
    """The final image (h, w, 3), and the loss and the gradient's norm before every step."""
    x = tf.constant(start[None])
    losses, norms = [], []
    for _ in range(steps):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_mean(model(x)[:, 2:-2, 2:-2, filter])
        gradient = tape.gradient(loss, x)
        losses.append(float(loss))
        norms.append(float(tf.norm(gradient)))
        x = x + step_size * tf.math.l2_normalize(gradient)
    return x.numpy()[0], losses, norms


def naive_saved(x: np.ndarray, cut: int) -> np.ndarray:
    """The image as the study saved it: normalised, cut, made 8 bit, and stretched again by Keras's own saving code."""
    x = x - x.mean()
    x = x / (x.std() + 1e-5)
    x = x * 0.15
    x = x[cut:-cut, cut:-cut, :]
    x = np.clip(x + 0.5, 0, 1)
    x = (x * 255).astype("uint8")
    return np.asarray(keras.utils.array_to_img(x, scale=True))
