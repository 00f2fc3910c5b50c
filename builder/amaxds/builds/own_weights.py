"""The weights that a dataset was built with, found again."""

from __future__ import annotations

from pathlib import Path

from amaxds.compute import backend
from amaxds.compute.machine import cores
from amaxds.compute.networks import has_loops, load_weights
from amaxds.compute.programs import Programs
from amaxds.compute.weights import Weights
from amaxds.dataset.build_info import BuildInfo
from amaxds.errors import NotFoundOnline, UsageError


def own_weights(info: BuildInfo, choice: str | None = None) -> Weights:
    """The weights that a dataset was built with; choice: their file, if they came from one.

    The weights of images that were made elsewhere are not known; the pretrained or the chosen ones stand in for them.
    UsageError for other weights than the build's; NotFoundOnline if pretrained ones cannot be had.
    """
    said, from_file = info.network_entry, info.network.from_file
    if choice is None and from_file:
        raise UsageError(
            f"the dataset's network is in a file, {info.network.model}.", "Give that file as weights (--weights FILE)."
        )
    if said.weights_sha256 is None:
        if from_file:
            return load_weights(info.network, "pretrained", 0, Path(str(choice)))
        return load_weights(info.network, choice or "pretrained", 0)
    if choice is None and said.weights not in ("pretrained", "random"):
        raise UsageError(
            f"the dataset was built with a weights file, {said.weights}.", "Give that file as weights (--weights FILE)."
        )
    if from_file:
        kind = "random" if said.weights == "random" else "pretrained"
        weights = load_weights(info.network, kind, info.seed or 0, Path(str(choice)))
    else:
        weights = load_weights(info.network, choice or said.weights, info.seed or 0)
    if weights.digest != said.weights_sha256:
        raise UsageError(
            f"{weights.source}: these weights have the digest {weights.digest}, the build's {said.weights_sha256}.",
            "Give the file that the dataset was built with (--weights FILE).",
        )
    return weights


def weights_or_reason(info: BuildInfo, choice: str | None, insist: bool) -> tuple[Weights | None, str | None]:
    """The weights of `own_weights`, or why they cannot be had, or tell nothing of images of this size. The reason is raised if
    somebody insists or chose a file."""
    try:
        weights = own_weights(info, choice)
        backend.start(cores(), has_loops(info.network))
        sides = {recipe.image_side(info.network) for recipe in info.recipes.values()} - {info.network.canvas}
        for side in sorted(sides):
            Programs(info.network, weights).require_side(side, info.network.usable)
        return weights, None
    except (NotFoundOnline, UsageError) as error:
        if insist or choice is not None:
            raise
        return None, error.problem
