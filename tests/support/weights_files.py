"""Files of weights, in every layout that is read, written by the library that defines it."""

from __future__ import annotations

from pathlib import Path

import h5py
import keras
import numpy as np
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group
from safetensors.numpy import save_file


def save_weights(tensors: dict[str, np.ndarray], path: Path) -> Path:
    """In the layout that the file's ending says, written by the library that defines it."""
    if path.suffix == ".safetensors":
        save_file(tensors, path)
        return path
    x = inputs = keras.Input((None, None, 3))
    names = [name.removesuffix("/kernel") for name in tensors if name.endswith("/kernel")]
    for name in names:
        kernel = tensors[f"{name}/kernel"]
        x = keras.layers.Conv2D(kernel.shape[3], 3, padding="same", name=name)(x)
    model = keras.Model(inputs, x)
    for name in names:
        model.get_layer(name).set_weights([tensors[f"{name}/kernel"], tensors[f"{name}/bias"]])
    return save_model(model, path)


def save_model(model: keras.Model, path: Path) -> Path:
    """In the layout that the file's ending says, of a model with any layers."""
    if path.name.endswith(".weights.h5"):
        model.save_weights(path)
    elif path.name.endswith("_model.h5"):
        model.save(path)
    else:
        with h5py.File(path, "w") as file:
            save_weights_to_hdf5_group(file, model)
    return path
