"""Keras models: those of keras.applications by name, those of a file, and their weights."""

from __future__ import annotations

import contextlib
import functools
import math
import re
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amaxds.compute import backend
from amaxds.compute.machine import cores
from amaxds.compute.pretrained import reachable
from amaxds.compute.weights import random_kernel, read_tensors
from amaxds.errors import NotFoundOnline, WeightsError, in_words
from amaxds.spec.network import GRAPH_WEIGHTS, Fed, Network

Model = Any


def _start() -> None:
    backend.start(cores())


def application(builder: str, canvas: int, pretrained: bool = False) -> Model:
    """A model of keras.applications without its head; NotFoundOnline where its weights cannot be had."""
    _start()
    import keras

    keras.backend.clear_session()  # Else the names of some layers count on from those of earlier models.
    build = functools.partial(getattr(keras.applications, builder), include_top=False, input_shape=(canvas, canvas, 3))
    if not pretrained:
        return build(weights=None)
    before = socket.getdefaulttimeout()
    try:
        if not reachable("https://storage.googleapis.com/tensorflow/keras-applications/"):
            socket.setdefaulttimeout(1.0)
        with contextlib.redirect_stdout(sys.stderr):
            return build(weights="imagenet")
    except Exception as error:  # Keras raises bare Exception for any download that fails.
        raise NotFoundOnline(
            f"{builder}'s ImageNet weights could not be downloaded: {in_words(error)}.",
            f"Put Keras's file into {backend.keras_home() / 'models'}, or choose --weights FILE or --weights random.",
        ) from error
    finally:
        socket.setdefaulttimeout(before)


def fed_as(builder: str) -> Fed:
    """How an application is fed, found by asking its own preprocessing: it is known to take each channel by itself."""
    import keras

    module = sys.modules[getattr(keras.applications, builder).__module__]
    probes = np.zeros((4, 1, 1, 3), np.float64)
    probes[1, ..., 0], probes[2, ..., 1], probes[3, ..., 2] = 255.0, 255.0, 255.0
    black, *others = np.asarray(module.preprocess_input(probes.copy()), np.float64)[:, 0, 0]
    order = [int(np.argmax(np.abs(other - black))) for other in others]
    gain = np.array([(other - black)[place] for place, other in zip(order, others, strict=True)])[order] / 255.0
    known = {"rgb": [0, 1, 2], "bgr": [2, 1, 0]}
    (red, green, blue), scale = (0.0 - black / gain).round(6).tolist(), (1.0 / gain).round(6).tolist()
    return next(name for name, places in known.items() if places == order), (red, green, blue), tuple(scale)


def read_model(path: Path) -> Model:
    """WeightsError for a file that is no Keras model, or one that needs code of its own."""
    _start()
    import keras

    try:
        keras.backend.clear_session()
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Of foreign bytes, readers fail in many ways; each of them means the same here.
        raise WeightsError(
            f"{path} cannot be read as a Keras model: {in_words(error)}.",
            "Give a .keras file, or a .h5 file with the whole model, without layers of its own code.",
        ) from error


def variables_of(model: Model) -> dict[str, Any]:
    """Those that its computation reads, by `<layer>/<variable>`, in its own order. (Keras's longer paths, and the numbers
    of nameless variables, change when a model is read again.)"""
    found: dict[str, Any] = {}
    for each in model.variables:
        if "seed_generator" not in each.path:
            name = re.sub(r"(?<=/)variable_\d+$", "variable", "/".join(each.path.split("/")[-2:]))
            found[name if name not in found else f"{name}~{len(found)}"] = each
    return found


def random_tensors(model: Model, seed: int) -> dict[str, NDArray[np.float32]]:
    """He-normal kernels, a generator for each variable, in the model's order; all else as the model sets it first."""
    tensors = {}
    depthwise = {id(each.kernel) for each in model._flatten_layers() if type(each).__name__ == "DepthwiseConv2D"}
    depthwise |= {id(each.depthwise_kernel) for each in model._flatten_layers() if hasattr(each, "depthwise_kernel")}
    for place, (name, each) in enumerate(variables_of(model).items()):
        shape = tuple(each.shape)
        if name.endswith("kernel") and len(shape) > 1:
            inputs = math.prod(shape[:2] if id(each) in depthwise else shape[:-1])
            tensors[name] = random_kernel(seed, place, shape, inputs)
        else:
            tensors[name] = np.asarray(each, np.float32)
    return tensors


def read_tensors_for(model: Model, path: Path, network: Network) -> dict[str, NDArray[np.float32]]:
    """A file of weights, or of a whole model, that has what this model has."""
    due = {name: tuple(each.shape) for name, each in variables_of(model).items()}
    problem = f"{path} does not fit {network.name}"
    if not path.is_file():
        raise WeightsError(f"no weights file {str(path)!r}.", f"--weights takes {GRAPH_WEIGHTS}.")
    if path.suffix == ".safetensors":
        found: Mapping[str, NDArray[Any]] = read_tensors(path)
    else:
        try:
            if path.suffix == ".keras":
                model = read_model(path)
            else:
                model.load_weights(path)
        except (OSError, ValueError, KeyError, AttributeError, IndexError) as error:
            raise WeightsError(f"{problem}: {in_words(error)}.", f"--weights takes {GRAPH_WEIGHTS}.") from error
        found = {name: np.asarray(each, np.float32) for name, each in variables_of(model).items()}
    for name, shape in due.items():
        if name not in found or found[name].shape != shape:
            has = f"{name} is {found[name].shape}" if name in found else f"it has no {name}"
            raise WeightsError(f"{problem}: {has}, expected {shape}.", f"--weights takes {GRAPH_WEIGHTS}.")
    return {name: np.ascontiguousarray(found[name], np.float32) for name in due}
