"""Weights of a network: read from a file or drawn at random, and their digest.

Files are read without Keras and without pickle: HDF5 with h5py in a process of its own, and safetensors with its own library.
"""

from __future__ import annotations

import functools
import hashlib
import re
import subprocess
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amaxds.compute.machine import run_python
from amaxds.errors import WeightsError
from amaxds.spec.network import Network, tensor_shapes
from amaxds.storage.files import disk_errors
from amaxds.storage.scratch import temporary_folder

_SAFETENSORS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1"}
"""NumPy's names of the types of values in safetensors files."""
Tensors = Mapping[str, NDArray[np.float32]]
_PICKLED = (".pth", ".pt", ".bin", ".ckpt", ".pkl")
_IN_KERAS = "model.weights.h5"
_MOST_BYTES = 8_000_000_000
_TORCH = re.compile(r"features\.(\d+)\.(weight|bias)")


@dataclass(frozen=True)
class Weights:
    """A network's weights and where they came from."""

    source: str
    """`pretrained`, `random`, or the name of a file."""
    tensors: Tensors
    """float32. For a Keras model, all its variables, as `keras_models.variables_of` names them; for a network without one,
    `<layer>/kernel` (3, 3, in, out) and `<layer>/bias` (out,) for every layer."""
    model: str | None = None
    """The Keras model that they belong to, in Keras's JSON; None for a network without one."""
    file: str | None = None
    """The name of the file, where pretrained weights were read from one that the user chose."""

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of names, shapes and values, in hexadecimal: the same whatever kind of file they were read from."""
        digest = hashlib.sha256()
        for name, tensor in self.tensors.items():
            digest.update(f"{name}{tensor.shape}".encode())
            digest.update(np.ascontiguousarray(tensor, "<f4").tobytes())
        return digest.hexdigest()


def random_tensors(network: Network, seed: int) -> dict[str, NDArray[np.float32]]:
    """He-normal kernels, each layer's drawn from a generator of its own, and zero biases."""
    tensors: dict[str, NDArray[np.float32]] = {}
    for layer in network.layers:
        shape = 3, 3, layer.channels, layer.filters
        tensors[f"{layer.name}/kernel"] = random_kernel(seed, layer.index, shape, 9 * layer.channels)
        tensors[f"{layer.name}/bias"] = np.zeros(layer.filters, np.float32)
    return tensors


def random_kernel(seed: int, place: int, shape: tuple[int, ...], inputs: int) -> NDArray[np.float32]:
    """Normally distributed values with standard deviation √(2 / inputs) (He et al., arXiv 1502.01852), from the generator
    number `place` of the seed."""
    sequence = np.random.SeedSequence(entropy=seed, spawn_key=(place,))
    values = np.random.Generator(np.random.Philox(sequence)).standard_normal(shape, dtype=np.float32)
    return values * np.float32(np.sqrt(2.0 / inputs))


def read_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors of a `.safetensors` file, or those of a `.keras`, a Keras 3 `.weights.h5` or an older Keras `.h5` as
    `hdf5_worker.read_hdf5` names them; WeightsError for anything else."""
    try:
        if path.suffix == ".safetensors":
            return _read_safetensors(path)
        if path.suffix == ".h5":
            return _read_hdf5(path)
        if path.suffix == ".keras":
            return _read_keras(path)
    except Exception as error:  # Parsers of foreign bytes fail in many ways; each of them means the same here.
        raise WeightsError(
            f"{path} cannot be read as weights: {' '.join(str(error).split())[:200] or type(error).__name__}.",
            "It may be truncated or of another format; fetch it again, or choose others (--weights).",
        ) from error
    if path.suffix in _PICKLED:
        raise WeightsError(
            f"{path} is a pickle, which may run any program when it is read.",
            "Save its state dict with safetensors.torch.save_file as .safetensors, and give that.",
        )
    raise WeightsError(
        f"{path} has an unknown ending.", "Weights are read from .safetensors, .keras, .weights.h5 and .h5 files."
    )


def _read_keras(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors of a `.keras` file, a zip with a `.weights.h5` file in it."""
    with zipfile.ZipFile(path) as archive, temporary_folder() as folder:
        if archive.getinfo(_IN_KERAS).file_size > _MOST_BYTES:
            raise ValueError(f"more than {_MOST_BYTES} bytes")
        with disk_errors(folder):
            weights = Path(archive.extract(_IN_KERAS, folder))
        return _read_hdf5(weights)


def _read_safetensors(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors of a safetensors file; those of type bfloat16, which NumPy lacks, as float32."""
    from safetensors import deserialize
    from safetensors.numpy import load_file

    with path.open("rb") as file:
        plain = b'"BF16"' not in file.read(10_000_000)
    if plain:
        return dict(load_file(path))
    found = {}
    for name, each in deserialize(path.read_bytes()):  # type: ignore[no-untyped-call]  # not in its types
        if each["dtype"] == "BF16":
            flat = (np.frombuffer(each["data"], "<u2").astype("<u4") << 16).view("<f4")
        else:
            flat = np.frombuffer(each["data"], _SAFETENSORS[each["dtype"]])
        found[name] = flat.reshape(each["shape"])
    return found


def _read_hdf5(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors of an HDF5 file, read in a process of its own, because the library may crash or hang on a damaged file."""
    from safetensors.numpy import load_file

    hdf5_worker, seconds = str(Path(__file__).with_name("hdf5_worker.py")), 10 + path.stat().st_size / 10e6
    with temporary_folder() as folder:
        out = folder / "weights.safetensors"
        try:
            ended = run_python(hdf5_worker, str(path.resolve()), str(out), seconds=seconds)
        except subprocess.TimeoutExpired:
            raise ValueError(f"its reader found no end within {seconds:.0f} s") from None
        if ended.returncode < 0:
            raise ValueError(f"its reader was ended by signal {-ended.returncode}")
        if ended.returncode:
            raise ValueError(ended.stderr.strip().rpartition("\n")[2])
        return dict(load_file(out))


def fitted(network: Network, tensors: Mapping[str, NDArray[Any]], source: str) -> dict[str, NDArray[np.float32]]:
    """The tensors in network order as float32; WeightsError, which names the first tensor that does not fit the network.
    source: where they are from, for its message."""
    choose = f"Weights (--weights) are {network.weights_choices}."
    tensors, found = _from_torch(network, tensors, source), {}
    for name, shape in tensor_shapes(network).items():
        if name not in tensors:
            raise WeightsError(f"{source} does not fit {network.name}: it has no {name}, expected {shape}.", choose)
        require_single(name, tensors, source)
        if not np.issubdtype(tensors[name].dtype, np.floating):
            problem = f"{source} does not fit {network.name}: {name} is {tensors[name].dtype}, expected a floating type."
            raise WeightsError(problem, choose)
        if tensors[name].shape != shape:
            problem = f"{source} does not fit {network.name}: {name} is {tensors[name].shape}, expected {shape}."
            raise WeightsError(problem, choose)
        with np.errstate(over="ignore"):
            found[name] = np.ascontiguousarray(tensors[name], np.float32)
        if not np.isfinite(found[name]).all():
            raise WeightsError(f"{source} is damaged: {name} has values that are not finite.", choose)
    extra = [name for name in tensors if name not in found and not _is_dense(name, tensors)]
    if extra:
        problem = f"{source} does not fit {network.name}: it has {extra[0]} {tensors[extra[0]].shape} besides."
        raise WeightsError(problem, choose)
    return found


def require_single(name: str, tensors: Mapping[str, NDArray[Any]], source: str) -> None:
    """WeightsError where the layer of this tensor is there twice, so that it is not known which is meant."""
    layer, _, _ = name.rpartition("/")
    if any(each.startswith(f"{layer}~2/") for each in tensors):
        raise WeightsError(
            f"{source} has two layers called {layer}.", "Save the weights of one of the models in it, and give those."
        )


def _is_dense(name: str, tensors: Mapping[str, NDArray[Any]]) -> bool:
    """Whether the tensor is of a dense layer. Those of a head come after all convolutions, and are not needed."""
    layer, _, _ = name.rpartition("/")
    kernel = tensors.get(f"{layer}/kernel", tensors.get(f"{layer}/0"))
    return kernel is not None and kernel.ndim == 2 and sum(each.startswith(f"{layer}/") for each in tensors) <= 2


def _from_torch(network: Network, tensors: Mapping[str, NDArray[Any]], source: str) -> Mapping[str, NDArray[Any]]:
    """The tensors of a state dict of torchvision's VGG by the network's names, with the axes in Keras's order; any others as
    they are. WeightsError for a network that takes other colours than torchvision's do."""
    numbers = {int(match[1]) for match in map(_TORCH.fullmatch, tensors) if match}
    convolutions = sorted(each for each in numbers if tensors.get(f"features.{each}.weight", np.empty(0)).ndim == 4)
    if len(convolutions) != len(network.layers):
        return tensors
    if network.channel_order != "rgb":
        raise WeightsError(
            f"{source} is a state dict of torchvision's: its network takes RGB, {network.name} here BGR with other means.",
            "Make a Keras model with these weights, and give it with --network FILE --preprocessing torch.",
        )
    found = {name: each for name, each in tensors.items() if not name.startswith("classifier.")}
    for layer, number in zip(network.layers, convolutions, strict=True):
        found[f"{layer.name}/kernel"] = found.pop(f"features.{number}.weight").transpose(2, 3, 1, 0)
        if f"features.{number}.bias" in found:
            found[f"{layer.name}/bias"] = found.pop(f"features.{number}.bias")
    return found
