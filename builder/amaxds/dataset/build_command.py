"""The command that makes a build again, as build.json and the card give it."""

from __future__ import annotations

import shlex

from amaxds.dataset.build_info import BuildRequest
from amaxds.spec.applications import APPLICATIONS
from amaxds.spec.network import LARGEST_CANVAS, LEAST_CANVAS, PREPROCESSING, Network
from amaxds.spec.recipes import RECIPES

DESCRIBE_COMMAND = "amaxds describe FOLDER OUT"


def command_of(request: BuildRequest) -> str:
    """The command, with every option that is not at its default, or whose default may change."""
    if request.is_described:
        return DESCRIBE_COMMAND
    network, layers = request.network, request.scope_entry.layers
    words = ["amaxds", "build", *_network_options(network), "--weights", request.network_entry.weights]
    for recipe in request.recipes:
        words += ["--recipe", recipe]
    words += ["--seed", str(request.seed), "--batch-size", str(request.batch_size)]
    if request.precision != "float32":
        words += ["--precision", str(request.precision)]
    if any(recipe.steps != RECIPES[name].steps for name, recipe in request.recipes.items()):
        words += ["--steps", str(next(iter(request.recipes.values())).steps)]
    if list(layers) != [layer.name for layer in network.usable]:
        words += ["--layers", ",".join(layers)]
    filters = set(layers.values())
    if any(kept != f"0-{network.layer(name).filters - 1}" for name, kept in layers.items()) and len(filters) == 1:
        words += ["--filters", filters.pop()]
    return shlex.join(words)


def _network_options(network: Network) -> list[str]:
    if network.from_file:
        mode = next((name for name, each in PREPROCESSING.items() if each == network.preprocessing), "none")
        options = ["--preprocessing", mode] if mode != "none" else []
        # Any other canvas is the model's own, and cannot be chosen.
        chosen = LEAST_CANVAS <= network.canvas <= LARGEST_CANVAS
        options = [*(["--canvas", str(network.canvas)] if chosen else []), *options]
        return ["--network", str(network.model), *options]
    usual = APPLICATIONS[network.name].canvas if network.name in APPLICATIONS else network.canvas
    return ["--network", network.name, *(["--canvas", str(network.canvas)] if network.canvas != usual else [])]
