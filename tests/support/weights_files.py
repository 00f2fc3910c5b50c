"""Files of weights, in every layout that is read, written by the library that defines it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import h5py
import keras
import numpy as np
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group
from safetensors.numpy import save_file

from amaxds.compute.weights import random_tensors
from amaxds.spec.network import DEMO


def save_weights(tensors: dict[str, np.ndarray], path: Path) -> Path:
    """Save kernels and biases, by `layer/kernel` and `layer/bias`, in the layout that the file's name asks for."""
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
    """Save any Keras model's weights in the layout that the file's name asks for."""
    if path.name.endswith(".weights.h5"):
        model.save_weights(path)
    elif path.name.endswith("_model.h5") or path.suffix == ".keras":
        model.save(path)
    else:
        with h5py.File(path, "w") as file:
            save_weights_to_hdf5_group(file, model)
    return path


def hdf5(write: Callable[[h5py.File], None]) -> bytes:
    """An HDF5 file with what `write` puts into it."""
    sink = io.BytesIO()
    with h5py.File(sink, "w") as file:
        write(file)
    return sink.getvalue()


def named_layers(file: h5py.Group) -> None:
    """Random weights of the demo network in the layout of Keras's published files."""
    tensors = random_tensors(DEMO, 0)
    file.attrs["layer_names"] = [layer.name.encode() for layer in DEMO.layers]
    for layer in DEMO.layers:
        group = file.create_group(layer.name)
        names = [f"{layer.name}/{kind}:0" for kind in ("kernel", "bias")]
        group.attrs["weight_names"] = [name.encode() for name in names]
        for name in names:
            group[name] = tensors[name.removesuffix(":0")]


def nested_layers(file: h5py.File) -> None:
    """The same one level deeper, as `Model.save` writes it."""
    named_layers(file.create_group("model_weights"))


def saved_layers(file: h5py.File) -> None:
    """The layout of `Model.save_weights`."""
    tensors = random_tensors(DEMO, 0)
    for number, layer in enumerate(DEMO.layers):
        group = file.create_group(f"layers/conv2d_{number}/vars")
        group.attrs["name"] = layer.name
        for key, kind in enumerate(("kernel", "bias")):
            group[str(key)] = tensors[f"{layer.name}/{kind}"]
