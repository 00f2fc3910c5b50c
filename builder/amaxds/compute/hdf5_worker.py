"""A program that copies the tensors of an HDF5 file into a safetensors file: `hdf5_worker.py FROM TO`.

It is run in a process of its own, because the HDF5 library may crash or hang on a damaged file.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

_ORDER = (
    *("depthwise_kernel", "pointwise_kernel", "kernel", "bias", "gamma", "beta"),
    *("moving_mean", "moving_variance", "mean", "variance"),
)
"""The order in which a layer's variables are numbered, whatever theirs in the file, where the file has their names."""
_CLASSIFIER = ("fc1", "fc2", "predictions")
"""VGG16's dense layers, which come after all convolutions. A file may have them; they are not needed."""
_MOST_VALUES = 400_000_000


def read_hdf5(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors `<layer>/kernel` and `<layer>/bias` of a Keras 3 `.weights.h5`, or of an older Keras `.h5` with layer names.

    A layer with other variables has them numbered, as `<layer>/0`. Layers inside of other models are found, too; of several
    with one name, the second is called `<layer>~2`. ValueError for a file with very many values, without names of layers, or
    that leads to other files.
    """
    with h5py.File(path, "r") as file:
        require_inside(file)
        root = file.get("model_weights", file)  # `Model.save` in HDF5 puts the named layers one level deeper.
        layers = _named_layers(root) if "layer_names" in root.attrs else _saved_layers(file)
        tensors: dict[str, NDArray[Any]] = {}
        values, times = 0, Counter[str]()
        for layer, variables in layers:
            values += sum(each.size for each in variables)
            if values > _MOST_VALUES:  # A small file may declare any number of zeros.
                raise ValueError(f"more than {_MOST_VALUES} values")
            if layer in _CLASSIFIER:
                continue
            found, times[layer] = [np.asarray(each) for each in variables], times[layer] + 1
            names = ("kernel", "bias") if found[0].ndim == 4 and len(found) <= 2 else map(str, range(len(found)))
            place = layer if times[layer] == 1 else f"{layer}~{times[layer]}"
            tensors |= {f"{place}/{name}": each for name, each in zip(names, found, strict=False)}
        return tensors


def require_inside(file: Any) -> None:
    """ValueError where something in an HDF5 file leads to another file, or is stored in chunks larger than any tensor."""
    waiting, seen = [file], set()
    while waiting:
        group = waiting.pop()
        for name in group:
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                raise ValueError(f"{name} is a link to another file")
            if isinstance(link, h5py.SoftLink):
                continue  # To a place in this file, which is looked at by its own name.
            each = group[name]
            if isinstance(each, h5py.Dataset):
                if each.external or each.is_virtual:
                    raise ValueError(f"{name} has its values in another file")
                if math.prod(each.chunks or ()) > _MOST_VALUES:
                    raise ValueError(f"{name} is stored in chunks of more than {_MOST_VALUES} values")
            elif (place := h5py.h5o.get_info(each.id).addr) not in seen:
                seen.add(place)
                waiting.append(each)


def _named_layers(root: Any) -> Iterator[tuple[str, list[Any]]]:
    """Name and variables of each layer in the layout of Keras's published files, where attributes list the layers and each
    layer's variables."""
    for layer in (_text(name) for name in root.attrs["layer_names"]):
        inside: dict[str, dict[str, Any]] = {}
        for path in map(_text, root[layer].attrs["weight_names"]):
            parts = path.split("/")
            variable = parts[-1].partition(":")[0]
            inside.setdefault(parts[-2] if len(parts) > 1 else layer, {})[variable] = root[layer][path]
        # A model inside the model stands there as one layer, with the variables of all of its own.
        for name, variables in inside.items():
            yield layer if len(inside) == 1 and f"/{layer}/" in f"/{path}" else name, _in_order(variables)


def _in_order(variables: dict[str, Any]) -> list[Any]:
    known = all(name in _ORDER for name in variables)
    return [variables[name] for name in (sorted(variables, key=_ORDER.index) if known else variables)]


def _saved_layers(file: Any) -> Iterator[tuple[str, list[Any]]]:
    """The same in the layout of `Model.save_weights`: a group `vars` for each layer, with the layer's name as an attribute."""
    if "layers" not in file:
        raise ValueError("it does not list layers")
    groups: list[str] = []
    file["layers"].visit(lambda name: groups.append(name) if name.endswith("/vars") else None)
    for name in groups:
        variables = file["layers"][name]
        found = [variables[key] for key in sorted(variables, key=int)]
        if found:
            if "name" not in variables.attrs:
                raise ValueError("it does not name its layers, as it is of an older Keras")
            yield _text(variables.attrs["name"]), found


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


if __name__ == "__main__":
    try:
        found = read_hdf5(Path(sys.argv[1]))
        save_file({name: np.asarray(tensor, order="C") for name, tensor in found.items()}, sys.argv[2])
    except Exception as error:  # Readers of foreign bytes fail in many ways; each of them means the same here.
        sys.exit(" ".join(str(error).split())[:200] or type(error).__name__)
