"""Weights of a network: read from a file or drawn at random, and their digest.

Files are read without Keras and without pickle: HDF5 with h5py in a process of its own, and safetensors with its own library.
"""

from __future__ import annotations

import functools
import hashlib
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amaxds.compute.machine import run_python
from amaxds.errors import WeightsError
from amaxds.spec.network import Network, tensor_shapes

_SAFETENSORS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1"}
"""NumPy's names of the types of values in safetensors files."""
Tensors = Mapping[str, NDArray[np.float32]]


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
    """The tensors of a `.safetensors` file, or the kernels and biases of a Keras 3 `.weights.h5` or an older Keras `.h5`;
    WeightsError for anything else."""
    try:
        if path.suffix == ".safetensors":
            return _read_safetensors(path)
        if path.suffix == ".h5":
            return _read_hdf5(path)
    except Exception as error:  # Parsers of foreign bytes fail in many ways; each of them means the same here.
        raise WeightsError(
            f"{path} cannot be read as weights: {' '.join(str(error).split())[:200] or type(error).__name__}.",
            "It may be truncated or of another format; fetch it again, or choose others (--weights).",
        ) from error
    raise WeightsError(f"{path} has an unknown ending.", "Weights are read from .safetensors, .weights.h5 and .h5 files.")


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
    with tempfile.TemporaryDirectory(prefix="amaxds-") as folder:
        out = Path(folder) / "weights.safetensors"
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
    found = {}
    for name, shape in tensor_shapes(network).items():
        if name not in tensors:
            raise WeightsError(f"{source} does not fit {network.name}: it has no {name}, expected {shape}.", choose)
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
    extra = [name for name in tensors if name not in found]
    if extra:
        problem = f"{source} does not fit {network.name}: it has {extra[0]} {tensors[extra[0]].shape} besides."
        raise WeightsError(problem, choose)
    return found
