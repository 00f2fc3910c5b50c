"""Keras models in files, and what they are as networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from amaxds.compute.networks import find_network, load_weights
from amaxds.compute.weights import Weights
from amaxds.spec.network import Network


def saved(path: Path, outputs: Any, inputs: Any) -> tuple[keras.Model, Path]:
    """The model between these symbolic tensors, and its file."""
    model = keras.Model(inputs, outputs)
    model.save(path)
    return model, path


def loaded(path: Path, weights: str = "pretrained") -> tuple[Network, Weights]:
    """The network of a model file, and its weights."""
    network = find_network(str(path))
    return network, load_weights(network, weights, 0, path)
