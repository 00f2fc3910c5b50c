"""Keras models and their weights: those of keras.applications, and those in files."""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import json
import math
import random
import re
import socket
import sys
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from amaxds.compute import backend
from amaxds.compute.hdf5_worker import require_inside
from amaxds.compute.keras_trace import Model, located_layers
from amaxds.compute.machine import cores
from amaxds.compute.pretrained import reachable
from amaxds.compute.weights import random_kernel, read_tensors, require_single
from amaxds.errors import NotFoundOnline, WeightsError, in_words
from amaxds.spec.network import KERAS_WEIGHTS_CHOICES, Network, Preprocessing
from amaxds.storage.values import digest_of

_WITHOUT_EFFECT = re.compile(
    r"name|trainable|build_config|build_input_shape|compile_config|shared_object_id|\w+_(regularizer|constraint|initializer)"
)
"""The keys of what Keras writes down of a model that changes nothing in what it computes with its weights."""
_OTHER_FLOATS = ("float16", "bfloat16", "float64", "half", "double", "mixed_float16", "mixed_bfloat16")


def _start() -> None:
    backend.start(cores())


def application(builder: str, canvas: int, pretrained: bool = False) -> Model:
    """A model of keras.applications without its classification head, for images (canvas, canvas, 3), with its ImageNet weights
    or newly initialised ones; NotFoundOnline where the ImageNet weights cannot be downloaded."""
    _start()
    import keras

    keras.backend.clear_session()  # Otherwise Keras numbers some layers on from earlier models.
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
            f"Put Keras's file into {backend.keras_home() / 'models'}, or choose others (--weights FILE or --weights random).",
        ) from error
    finally:
        socket.setdefaulttimeout(before)


def preprocessing_of(builder: str) -> Preprocessing:
    """The preprocessing of a model of keras.applications, from what its `preprocess_input` makes of a black, a red, a green and
    a blue pixel: it is linear in each channel."""
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
    """The model of a .keras or .h5 file; WeightsError for a file that is no Keras model, or one that needs code of its own."""
    _start()
    import keras

    try:
        keras.backend.clear_session()
        _require_inside(path)
        model = keras.models.load_model(path, compile=False, safe_mode=True)
        _require_order(model, path)
        return _plain(model)
    except WeightsError:
        raise
    except Exception as error:  # Readers of foreign bytes fail in many ways; each of them means the same here.
        raise WeightsError(
            f"{path} cannot be read as a Keras model: {in_words(error)}.",
            "Give a .keras file, or a .h5 file with the whole model, without layers of its own code.",
        ) from error


def _require_inside(path: Path) -> None:
    """ValueError where the weights in a .h5 or .keras file lead to other files."""
    with contextlib.ExitStack() as opened:
        file: Any = path
        if path.suffix != ".h5":
            file = io.BytesIO(opened.enter_context(zipfile.ZipFile(path)).read("model.weights.h5"))
        require_inside(opened.enter_context(h5py.File(file, "r")))


def _plain(model: Model) -> Model:
    """The model with the same weights, computing in float32 throughout: images of one that computes in fewer bits would show
    its rounding, and no gradient could be told from none. And without LoRA, whose products files have in the kernels already.
    The model itself where it is so."""
    import keras

    stored = model.to_json()
    due = json.dumps(_plain_config(json.loads(stored)))
    if json.loads(due) == json.loads(stored):
        return model
    found = keras.models.model_from_json(due)
    kept = [each for each in model.variables if not each.name.startswith("lora_kernel_")]
    for each, other in zip(found.variables, kept, strict=True):
        each.assign(np.asarray(other, np.float32) if "float" in str(other.dtype) else other)
    return found


def _plain_config(config: Any) -> Any:
    """Keras's configuration of a model with float32 in place of other floating types and of mixed ones, without LoRA."""
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy" and config.get("config", {}).get("name") in _OTHER_FLOATS:
            return config | {"config": {"name": "float32"}}
        plain = {key: None if key == "lora_rank" else _plain_config(each) for key, each in config.items()}
        return plain | {"dtype": "float32"} if plain.get("dtype") in _OTHER_FLOATS else plain
    return [_plain_config(each) for each in config] if isinstance(config, list) else config


def _require_order(model: Model, path: Path) -> None:
    """WeightsError where an older .h5 file lists its weights in another order than the model's layers, in which Keras gives
    them to the layers, whatever their names."""
    if path.suffix != ".h5":
        return
    with h5py.File(path, "r") as file:
        root = file.get("model_weights", file)
        names = [str(each.decode() if isinstance(each, bytes) else each) for each in root.attrs["layer_names"]]
        listed = [name for name in names if len(root[name].attrs["weight_names"])]
    due = [layer.name for layer in model.layers if layer.weights]
    for name, wanted in itertools.zip_longest(listed, due):
        if name != wanted and name in due:
            raise WeightsError(
                f"{path} has the weights of its layers in another order than the layers: {name} where {wanted} is due.",
                "Save the model again, as .keras.",
            )


def variables_of(model: Model) -> dict[str, Any]:
    """The variables that the model computes with, by `<layer>/<variable>`, in the model's order. Where several have one name,
    those of the models that they are in come before it: `left.conv1/kernel`.

    Keras's own, longer paths are not used: they, and its numbers of nameless variables, change when a model is read again.
    """
    paths: dict[int, tuple[str, ...]] = {}
    for layer, path in located_layers(model):
        paths |= {id(each): path for each in (*layer._trainable_variables, *layer._non_trainable_variables)}
    variables = [each for each in model.variables if "seed_generator" not in each.path]
    names = [re.sub(r"(?<=/)variable_\d+$", "variable", "/".join(each.path.split("/")[-2:])) for each in variables]
    times = Counter(names)
    found: dict[str, Any] = {}
    for short, each in zip(names, variables, strict=True):
        name = short if times[short] == 1 else ".".join((*paths.get(id(each), ()), short))
        found[name if name not in found else f"{name}~{len(found)}"] = each
    return found


def architecture_of(model: Model) -> str:
    """SHA-256, in hexadecimal, of everything that the model computes with but its weights: kinds and settings of layers, and
    how they are connected. It is the same whatever layers are called, which are trained, and how the model was compiled."""
    return digest_of(_nameless(json.loads(model.to_json()), {}))


def _nameless(said: Any, places: Mapping[str, int]) -> Any:
    """Keras's description of a model, or a part of it, with places among the model's layers for their names."""
    if isinstance(said, list):
        return [_nameless(each, places) for each in said]
    if not isinstance(said, dict):
        return said
    if isinstance(said.get("layers"), list):  # The settings of a model.
        places = {each["config"]["name"]: place for place, each in enumerate(said["layers"]) if "name" in each["config"]}
    found = {key: _nameless(each, places) for key, each in said.items() if not _WITHOUT_EFFECT.fullmatch(key)}
    for key in ("input_layers", "output_layers", "keras_history"):
        if key in found:
            found[key] = _places(found[key], places)
    return found


def _places(named: Any, places: Mapping[str, int]) -> Any:
    if isinstance(named, list):
        return [_places(each, places) for each in named]
    return places.get(named, named) if isinstance(named, str) else named


def initialised(model: Model, seed: int) -> Model:
    """A model like this one, untrained: its variables are as its layers begin with them, drawn from the seed where they draw
    them. What `Normalization` layers know of images stays, as it is preprocessing."""
    import keras

    before = random.getstate()
    random.seed(seed)  # Keras draws the seeds of initialisers from Python's generator.
    try:
        found = keras.models.model_from_json(model.to_json())
    finally:
        random.setstate(before)
    for (layer, _), (known, _) in zip(located_layers(found), located_layers(model), strict=True):
        if isinstance(layer, keras.layers.Normalization):
            for each, other in zip(layer.variables, known.variables, strict=True):
                each.assign(other)
    return found


def random_tensors(model: Model, seed: int) -> dict[str, NDArray[np.float32]]:
    """He-normal kernels, each variable drawn from a generator of its own; all other variables as the model has them."""
    tensors = {}
    layers = [layer for layer, _ in located_layers(model)]
    depthwise = {id(each.kernel) for each in layers if type(each).__name__ == "DepthwiseConv2D"}
    depthwise |= {id(each.depthwise_kernel) for each in layers if hasattr(each, "depthwise_kernel")}
    for place, (name, each) in enumerate(variables_of(model).items()):
        shape = tuple(each.shape)
        if name.endswith("kernel") and len(shape) > 1:
            inputs = math.prod(shape[:2] if id(each) in depthwise else shape[:-1])
            tensors[name] = random_kernel(seed, place, shape, inputs)
        else:
            tensors[name] = np.asarray(each, np.float32)
    return tensors


def read_tensors_for(model: Model, path: Path, network: Network) -> dict[str, NDArray[np.float32]]:
    """The tensors for this model's variables from a file of weights or of a whole model, found by the names of layers; others
    in the file are not needed. WeightsError where one is missing, is there twice or has another shape, and for a file that
    cannot be read."""
    choose = f"Weights (--weights) are {KERAS_WEIGHTS_CHOICES}."
    if not path.is_file():
        raise WeightsError(f"no weights file {str(path)!r}.", choose)
    stored, found = read_tensors(path), {}
    layers: dict[str, list[str]] = {}
    for name in (due := variables_of(model)):
        layers.setdefault(name.rpartition("/")[0], []).append(name)
    for layer, names in layers.items():
        in_file = {each for each in stored if each.rpartition("/")[0] == layer}
        # In HDF5 files variables have no names; they are numbered, those of convolutions called so.
        numbered = [(f"{layer}/{place}", f"{layer}/{('kernel', 'bias')[min(place, 1)]}") for place in range(len(names))]
        for name, others in zip(names, numbered, strict=True):
            shape = tuple(due[name].shape)
            place = next((each for each in (name, *others) if each in stored), None)
            if place is None or stored[place].shape != shape or len(in_file) != len(names):
                has = f"{name} is {stored[place].shape}" if place else f"it has no {name}"
                if place and stored[place].shape == shape:
                    has = f"layer {layer} has {len(in_file)} variables, not {len(names)}; {name}"
                raise WeightsError(f"{path} does not fit {network.name}: {has}, expected {shape}.", choose)
            if "float" in str(due[name].dtype) and not np.issubdtype(stored[place].dtype, np.floating):
                raise WeightsError(f"{path} does not fit {network.name}: {name} is {stored[place].dtype}.", choose)
            require_single(name, stored, str(path))
            found[name] = np.asarray(stored[place], np.float32, order="C")
    return {name: found[name] for name in due}
