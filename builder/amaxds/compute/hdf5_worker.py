"""Tensors out of an HDF5 file. Run as a program, because the library may crash or hang on a damaged file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

_CLASSIFIER = ("fc1", "fc2", "predictions")
"""VGG16's dense layers, which stand behind all convolutions: a file may hold them."""
_MOST_VALUES = 300_000_000


def read_hdf5(path: Path) -> dict[str, NDArray[Any]]:
    """`<layer>/kernel` and `<layer>/bias` of a Keras 3 `.weights.h5`, or a Keras `.h5` with layer names."""
    with h5py.File(path, "r") as file:
        root = file.get("model_weights", file)  # `Model.save` in HDF5 puts the named layers one level deeper.
        layers = _named_layers(root) if "layer_names" in root.attrs else _saved_layers(file)
        tensors: dict[str, NDArray[Any]] = {}
        values = 0
        for layer, variables in layers:
            values += sum(each.size for each in variables)
            if values > _MOST_VALUES:  # A small file may say that it has any number of zeros.
                raise ValueError(f"more than {_MOST_VALUES} values")
            if layer in _CLASSIFIER:
                continue
            found = [np.asarray(each) for each in variables]
            names = ("kernel", "bias") if found[0].ndim == 4 and len(found) <= 2 else map(str, range(len(found)))
            tensors |= {f"{layer}/{name}": each for name, each in zip(names, found, strict=False)}
        return tensors


def _named_layers(root: Any) -> Iterator[tuple[str, list[Any]]]:
    """The layout of Keras's published files: attributes list the layers, and each layer's weights."""
    for layer in (_text(name) for name in root.attrs["layer_names"]):
        found = [root[layer][_text(name)] for name in root[layer].attrs["weight_names"]]
        if found:
            yield layer, found


def _saved_layers(file: Any) -> Iterator[tuple[str, list[Any]]]:
    """The layout of `Model.save_weights`: a group `vars` for each layer, with the layer's name as an attribute."""
    groups: list[str] = []
    file["layers"].visit(lambda name: groups.append(name) if name.endswith("/vars") else None)
    for name in groups:
        variables = file["layers"][name]
        found = [variables[key] for key in sorted(variables, key=int)]
        if found:
            yield _text(variables.attrs.get("name", name.split("/")[-2])), found


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


if __name__ == "__main__":
    try:
        found = read_hdf5(Path(sys.argv[1]))
        save_file({name: np.ascontiguousarray(tensor) for name, tensor in found.items()}, sys.argv[2])
    except Exception as error:  # Readers of foreign bytes fail in many ways; each of them means the same here.
        sys.exit(" ".join(str(error).split())[:200] or type(error).__name__)
