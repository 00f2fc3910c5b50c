"""Networks by name or file, and their weights: the one place that knows which kind of network is which."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from amaxds.compute import keras_models
from amaxds.compute.keras_models import application, fed_as, read_model, read_tensors_for, variables_of
from amaxds.compute.keras_trace import _described
from amaxds.compute.pretrained import _pretrained
from amaxds.compute.weights import Weights, _fitted, random_tensors, read_tensors
from amaxds.errors import UsageError, WeightsError
from amaxds.spec.applications import APPLICATIONS
from amaxds.spec.network import (
    GRAPH_WEIGHTS,
    NETWORKS,
    PREPROCESSING,
    Network,
    get_network,
)

DEFAULT_CANVAS = 224


def find_network(choice: str, canvas: int | None = None, preprocessing: str | None = None) -> Network:
    """The network that `--network` names: a known one, one of keras.applications, or a Keras model file.

    canvas: side in pixels of the image that is optimised, where the network has more than one. preprocessing: how a file's
    model is fed, one of PREPROCESSING. UsageError for anything else.
    """
    if choice in NETWORKS:
        if canvas is not None or preprocessing is not None:
            raise UsageError(
                f"{choice} has a canvas of {NETWORKS[choice].canvas} and a preprocessing of its own.",
                "Leave out --canvas and --preprocessing, or choose another --network.",
            )
        return get_network(choice)
    if canvas is not None and not 32 <= canvas <= 4096:
        raise UsageError(f"--canvas {canvas} is out of range.", "Give a number from 32 to 4096.")
    if choice in APPLICATIONS:
        if preprocessing is not None:
            raise UsageError(f"{choice} has a preprocessing of its own.", "Leave out --preprocessing.")
        known = APPLICATIONS[choice]
        return describe_application(choice, known.builder, canvas or known.canvas)
    path = Path(os.path.expanduser(choice))
    if not path.is_file():
        raise UsageError(
            f"unknown network {choice!r}.", "Give vgg16, demo, a name that `amaxds networks` lists, or a Keras model file."
        )
    if preprocessing is not None and preprocessing not in PREPROCESSING:
        raise UsageError(f"unknown preprocessing {preprocessing!r}.", f"Choose from {', '.join(PREPROCESSING)}.")
    if not re.fullmatch(r"[A-Za-z0-9][\w-]*", path.stem, re.ASCII) or path.stem in {*NETWORKS, *APPLICATIONS}:
        raise UsageError(
            f"the network would be called {path.stem!r}, after its file.",
            "Give the file another name, of letters, digits, - and _, that no known network has.",
        )
    model = read_model(path)
    own = model.input_shape[1] if isinstance(model.input_shape, tuple) and len(model.input_shape) == 4 else None
    return _described(model, path.stem, path.name, canvas or own or DEFAULT_CANVAS, PREPROCESSING[preprocessing or "none"])


def describe_application(name: str, builder: str, canvas: int) -> Network:
    """The network that a model of keras.applications is on that canvas."""
    return _described(application(builder, canvas), name, f"keras.applications.{builder}", canvas, fed_as(builder))


def load_graph_weights(network: Network, choice: str, seed: int, file: Path | None = None) -> Weights:
    """What `--weights` names for a network that `find_network` described; `file` is its model file, where it is from one."""
    source = choice
    if not network.from_file:
        builder = str(network.model).rpartition(".")[2]
        model, fed = application(builder, network.canvas, pretrained=choice == "pretrained"), fed_as(builder)
    elif file is None or choice not in ("pretrained", "random"):
        raise UsageError(f"the weights of {network.name} are in {network.model}.", "Choose those, or random.")
    else:
        model, fed = read_model(file), network.fed
        source = str(network.model) if choice == "pretrained" else choice
    if _described(model, network.name, str(network.model), network.canvas, fed) != network:
        raise WeightsError(f"{file or network.model} is another network than {network.name}.", "Give the one it was made from.")
    if choice == "random":
        tensors = keras_models.random_tensors(model, seed)
    elif choice == "pretrained":
        tensors = {name: np.asarray(each, np.float32) for name, each in variables_of(model).items()}
    else:
        source, tensors = Path(choice).name, read_tensors_for(model, Path(os.path.expanduser(choice)), network)
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise WeightsError(
                f"{source} is damaged: {name} has values that are not finite.", f"--weights takes {GRAPH_WEIGHTS}."
            )
    return Weights(source, tensors, model.to_json())


def load_weights(network: Network, choice: str, seed: int, file: Path | None = None) -> Weights:
    """What `--weights` names: `pretrained`, `random` (from the build's seed), or a file; `file` is the network's own, where
    it is from a model file.

    WeightsError for a file that is missing, unreadable or of another network; NotFoundOnline where a pretrained file is
    neither on this machine nor to be downloaded.
    """
    if network.model is not None:
        from amaxds.compute.networks import load_graph_weights

        return load_graph_weights(network, choice, seed, file)
    if choice == "random":
        return Weights("random", random_tensors(network, seed))
    if choice == "pretrained":
        return Weights("pretrained", _fitted(network, _pretrained(network), "the pretrained weights"))
    path = Path(os.path.expanduser(choice))
    if not os.path.isfile(path):
        raise WeightsError(f"no weights file {choice!r}.", f"--weights takes {network.weights_choices}.")
    name = os.fsencode(path.name).decode("utf-8", "replace")
    return Weights(name, _fitted(network, read_tensors(path), str(path)))
