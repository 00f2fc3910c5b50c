"""The weights that a dataset was built with, found again."""

from __future__ import annotations

import dataclasses
from importlib.metadata import version
from pathlib import Path

from amaxds.compute import backend
from amaxds.compute.machine import available_bytes, cores
from amaxds.compute.networks import has_loops, load_weights
from amaxds.compute.programs import Programs
from amaxds.compute.weights import Weights
from amaxds.dataset.build_info import BuildInfo
from amaxds.errors import NotFoundOnline, UsageError

_COPIES = 4
"""How often the outputs are in memory, with what is computed from them."""


def own_weights(info: BuildInfo, choice: str | None = None) -> Weights:
    """The weights that a dataset was built with; choice: their file, if they came from one.

    The weights of images that were made elsewhere are not known; the pretrained or the chosen ones stand in for them.
    UsageError for other weights than the build's; NotFoundOnline if pretrained ones cannot be had.
    """
    said, network = info.network_entry, info.network
    if info.software.version_of("keras") != version("keras"):  # Another one writes down other things of the same model.
        network = dataclasses.replace(network, architecture=None)
    from_file = network.from_file
    if choice is None and from_file:
        raise UsageError(f"the dataset's network is in a file, {network.model}.", "Give that file as weights (--weights FILE).")
    if said.weights_sha256 is None:
        if from_file:
            return load_weights(network, "pretrained", 0, Path(str(choice)))
        return load_weights(network, choice or "pretrained", 0)
    if choice is None and said.weights not in ("pretrained", "random"):
        raise UsageError(
            f"the dataset was built with a weights file, {said.weights}.", "Give that file as weights (--weights FILE)."
        )
    if from_file:
        kind = "random" if said.weights == "random" else "pretrained"
        weights = load_weights(network, kind, info.seed or 0, Path(str(choice)))
    else:
        weights = load_weights(network, choice or said.weights, info.seed or 0)
    if weights.digest != said.weights_sha256:
        raise UsageError(
            f"{weights.source}: these weights have the digest {weights.digest}, the build's {said.weights_sha256}.",
            "Give the file that the dataset was built with (--weights FILE).",
        )
    return weights


def weights_or_reason(
    info: BuildInfo, choice: str | None, insist: bool, workers: int | None = None
) -> tuple[Weights | None, str | None]:
    """The weights of `own_weights`, or why the network's outputs for the dataset's images cannot be had: there are no weights,
    it does not take images of their size, or they need too much memory. The reason is raised if somebody insists or chose a
    file."""
    try:
        weights = own_weights(info, choice)
        backend.start(workers or cores(), has_loops(info.network))
        _require_features(info, weights)
        return weights, None
    except (NotFoundOnline, UsageError) as error:
        if insist or choice is not None:
            raise
        return None, error.problem


def _require_features(info: BuildInfo, weights: Weights) -> None:
    """UsageError where the outputs of all the network's filters for all images of a recipe cannot be computed or held."""
    network, remedy = info.network, "Leave out what takes them: --no-neighbours of `report`, --model linear of `classify`."
    needed, available = _COPIES * 4 * info.filters * network.filters, available_bytes()
    if available is not None and needed > available:
        problem = f"the outputs of {network.filters} filters for {info.filters} images take {needed / 1e9:.1f} GB"
        raise UsageError(f"{problem}, and {available / 1e9:.1f} GB of memory are left.", remedy)
    programs = Programs(network, weights)
    for side in sorted({recipe.image_side(network) for recipe in info.recipes.values()}):
        try:
            programs.require_side(side, network.usable, least=1)
        except UsageError as error:
            raise UsageError(error.problem, remedy) from error
