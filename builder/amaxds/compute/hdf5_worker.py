"""A program that copies the tensors of an HDF5 file into a safetensors file: `hdf5_worker.py FROM TO`.

It is run in a process of its own, because the HDF5 library may crash or hang on a damaged file.
"""

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
"""VGG16's dense layers, which come after all convolutions. A file may have them; they are not needed."""
_MOST_VALUES = 300_000_000


def read_hdf5(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors `<layer>/kernel` and `<layer>/bias` of a Keras 3 `.weights.h5`, or of an older Keras `.h5` with layer names.

    A layer with other variables has them numbered, as `<layer>/0`. ValueError for a file with very many values.
    """
    with h5py.File(path, "r") as file:
        root = file.get("model_weights", file)  # `Model.save` in HDF5 puts the named layers one level deeper.
        layers = _named_layers(root) if "layer_names" in root.attrs else _saved_layers(file)
        tensors: dict[str, NDArray[Any]] = {}
        values = 0
        for layer, variables in layers:
            values += sum(each.size for each in variables)
            if values > _MOST_VALUES:  # A small file may declare any number of zeros.
                raise ValueError(f"more than {_MOST_VALUES} values")
            if layer in _CLASSIFIER:
                continue
            found = [np.asarray(each) for each in variables]
            names = ("kernel", "bias") if found[0].ndim == 4 and len(found) <= 2 else map(str, range(len(found)))
            tensors |= {f"{layer}/{name}": each for name, each in zip(names, found, strict=False)}
        return tensors


def _named_layers(root: Any) -> Iterator[tuple[str, list[Any]]]:
    """Name and variables of each layer in the layout of Keras's published files, where attributes list the layers and each
    layer's variables."""
    for layer in (_text(name) for name in root.attrs["layer_names"]):
        found = [root[layer][_text(name)] for name in root[layer].attrs["weight_names"]]
        if found:
            yield layer, found


def _saved_layers(file: Any) -> Iterator[tuple[str, list[Any]]]:
    """The same in the layout of `Model.save_weights`: a group `vars` for each layer, with the layer's name as an attribute."""
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
