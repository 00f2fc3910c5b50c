"""Networks by name or file, their weights, and which forward pass computes them."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from amaxds.compute import keras_models
from amaxds.compute.forward import ForwardPass
from amaxds.compute.keras_convolutions import describe_model
from amaxds.compute.keras_graph import KerasForward
from amaxds.compute.keras_models import (
    application,
    architecture_of,
    preprocessing_of,
    read_model,
    read_tensors_for,
    variables_of,
)
from amaxds.compute.keras_trace import Model
from amaxds.compute.pretrained import read_pretrained
from amaxds.compute.vgg import VggForward
from amaxds.compute.weights import Weights, fitted, random_tensors, read_tensors
from amaxds.errors import UsageError, WeightsError, nearest
from amaxds.spec.applications import APPLICATIONS
from amaxds.spec.network import (
    KERAS_WEIGHTS_CHOICES,
    LARGEST_CANVAS,
    LEAST_CANVAS,
    NETWORKS,
    PREPROCESSING,
    Network,
    Preprocessing,
    get_network,
)
from amaxds.storage.location import local_path

DEFAULT_CANVAS = 224
"""For a model file that does not say for which size its model is."""


def forward_pass(network: Network) -> type[ForwardPass]:
    """The class that computes the network."""
    return KerasForward if network.has_keras_model else VggForward


def has_loops(network: Network) -> bool:
    """Whether the network's programs contain loops on a CPU, for `backend.start`."""
    return forward_pass(network).has_loops(network)


def find_network(choice: str, canvas: int | None = None, preprocessing: str | None = None) -> Network:
    """The network that `--network` names: one of NETWORKS, one of keras.applications, or a Keras model file.

    canvas: side in pixels of the image that is optimised, for a network that leaves it open. preprocessing: that of a file's
    model, one of PREPROCESSING. UsageError where the choice, or one of these for it, is not possible.
    """
    if choice in NETWORKS:
        if canvas is not None or preprocessing is not None:
            raise UsageError(
                f"{choice} has a canvas of {NETWORKS[choice].canvas} and a preprocessing of its own.",
                "Leave out canvas and preprocessing (--canvas, --preprocessing), or choose another network (--network).",
            )
        return get_network(choice)
    if canvas is not None and not LEAST_CANVAS <= canvas <= LARGEST_CANVAS:
        raise UsageError(f"canvas {canvas} is out of range.", f"Give a number from {LEAST_CANVAS} to {LARGEST_CANVAS}.")
    if choice in APPLICATIONS:
        if preprocessing is not None:
            raise UsageError(f"{choice} has a preprocessing of its own.", "Leave out the preprocessing (--preprocessing).")
        known = APPLICATIONS[choice]
        return describe_application(choice, known.builder, canvas or known.canvas)
    path = local_path(choice, "network")
    if not path.is_file():
        if path.suffix in (".keras", ".h5") or os.sep in choice:
            raise UsageError(f"there is no model file {choice!r}.", "Check its path, and from which folder it is given.")
        raise UsageError(
            f"unknown network {choice!r}.",
            f"{nearest(choice, [*NETWORKS, *APPLICATIONS])}"
            "Give vgg16, demo, a name that `amaxds networks` lists, or a Keras model file.",
        )
    if preprocessing is not None and preprocessing not in PREPROCESSING:
        raise UsageError(f"unknown preprocessing {preprocessing!r}.", f"Choose from {', '.join(PREPROCESSING)}.")
    if not re.fullmatch(r"[A-Za-z0-9][\w-]*", path.stem, re.ASCII) or path.stem in {*NETWORKS, *APPLICATIONS}:
        raise UsageError(
            f"the network would be called {path.stem!r}, after its file.",
            "Give the file another name, of letters, digits, - and _, that no known network has.",
        )
    model = read_model(path)
    side = canvas or _side_of(model, path.name) or DEFAULT_CANVAS
    return _described(model, path.stem, path.name, side, PREPROCESSING[preprocessing or "none"])


def _side_of(model: Model, name: str) -> int | None:
    """The side of the images that the model is for, where it says one; UsageError where they are not square."""
    shape: Any = getattr(model, "input_shape", None)  # A sequential model without an input has none.
    # Models for anything but images, channels last, are refused later, by what they take.
    of_images = isinstance(shape, tuple) and len(shape) == 4 and shape[3] in (3, None)
    sides = [each for each in shape[1:3] if each] if of_images else []
    if len(set(sides)) > 1:
        raise UsageError(
            f"{name} is for images of {sides[0]}x{sides[1]} pixels, and images here are square.",
            "Choose the side of a square (--canvas), if it takes others.",
        )
    return sides[0] if sides else None


def describe_application(name: str, builder: str, canvas: int) -> Network:
    """The network called `name`: the model `builder` of keras.applications on that canvas."""
    model = application(builder, canvas)
    return _described(model, name, f"keras.applications.{builder}", canvas, preprocessing_of(builder))


def _described(model: Model, name: str, origin: str, canvas: int, preprocessing: Preprocessing) -> Network:
    network = describe_model(model, name, origin, canvas, preprocessing)
    return dataclasses.replace(network, architecture=architecture_of(model))


def _load_keras_weights(network: Network, choice: str, seed: int, file: Path | None) -> Weights:
    """`load_weights` for a network with a Keras model, which is made or read again for it."""
    source = choice
    if file is not None and choice not in ("pretrained", "random") and _same_file(local_path(choice, "file of weights"), file):
        choice = "pretrained"  # As build.json and the card write it.
    if not network.from_file:
        builder = str(network.model).rpartition(".")[2]
        model = application(builder, network.canvas, pretrained=choice == "pretrained")
        preprocessing = preprocessing_of(builder)
    elif file is None or choice not in ("pretrained", "random"):
        raise UsageError(
            f"{network.name} is a model with weights of its own, and others were chosen for it.",
            "Choose none, or random; or load the others into it, save it, and choose that file as the network.",
        )
    else:
        model, preprocessing = read_model(file), network.preprocessing
        model = keras_models.initialised(model, seed) if choice == "random" else model
        source = str(network.model) if choice == "pretrained" else choice
    found = _described(model, network.name, str(network.model), network.canvas, preprocessing)
    if found != (network if network.architecture else dataclasses.replace(network, architecture=found.architecture)):
        raise WeightsError(f"{file or network.model} is another network than {network.name}.", "Give the one it was made from.")
    if choice == "random":
        tensors = keras_models.random_tensors(model, seed)
    elif choice == "pretrained":
        tensors = {name: np.asarray(each, np.float32) for name, each in variables_of(model).items()}
    else:
        source, tensors = Path(choice).name, read_tensors_for(model, local_path(choice, "file of weights"), network)
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise WeightsError(
                f"{source} is damaged: {name} has values that are not finite.",
                f"Weights (--weights) are {KERAS_WEIGHTS_CHOICES}.",
            )
    return Weights(source, tensors, model.to_json())


def _same_file(one: Path, other: Path) -> bool:
    return one.is_file() and other.is_file() and one.samefile(other)


def load_weights(network: Network, choice: str, seed: int, file: Path | None = None) -> Weights:
    """The weights that `--weights` names: `pretrained`, `random` (drawn from the build's seed), or a file, which counts as
    `pretrained` where it holds the pretrained tensors of vgg16 or demo. `file` is the network's model file, for a network that
    is from one.

    WeightsError for a file that is missing, unreadable or of another network; NotFoundOnline where a pretrained file is not on
    this machine and cannot be downloaded.
    """
    if network.has_keras_model:
        return _load_keras_weights(network, choice, seed, None if file is None else local_path(file, "network"))
    if choice == "random":
        return Weights("random", random_tensors(network, seed))
    if choice == "pretrained":
        return Weights("pretrained", fitted(network, read_pretrained(network), "the pretrained weights"))
    path = local_path(choice, "file of weights")
    if not os.path.isfile(path):
        raise WeightsError(f"no weights file {choice!r}.", f"Weights (--weights) are {network.weights_choices}.")
    name = os.fsencode(path.name).decode("utf-8", "replace")
    weights = Weights(name, fitted(network, read_tensors(path), str(path)))
    if weights.digest == network.pretrained_sha256:
        return Weights("pretrained", weights.tensors, file=name)
    return weights
