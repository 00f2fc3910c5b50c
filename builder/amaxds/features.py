"""Features: what a dataset's own network makes of its images, as classification and likeness need it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amaxds import backend, engine
from amaxds.convolution import has_loops
from amaxds.errors import NotFoundOnline, UsageError
from amaxds.image import Pixels
from amaxds.plan import default_batch_size
from amaxds.program import Programs
from amaxds.provenance import Claims
from amaxds.weights import Weights, load_weights

Features = NDArray[np.float32]
"""(n, filters): the mean output after ReLU of every filter of the network, layers in network order."""


def own_weights(claims: Claims, choice: str | None = None) -> Weights:
    """The weights that a dataset was built with; `choice` names their file, where it was one.

    Of images that were made elsewhere the weights are not known: theirs are the pretrained ones, or the chosen ones.
    UsageError for other weights than the build's; NotFoundOnline where pretrained ones cannot be had.
    """
    said = claims.stored["network"]
    if said["weights_sha256"] is None:
        return load_weights(claims.network, choice or "pretrained", 0, Path(choice or ""))
    from_file = claims.network.from_file
    if choice is None and (from_file or said["weights"] not in ("pretrained", "random")):
        raise UsageError(f"the dataset was built with a weights file, {said['weights']}.", "Give it with --weights FILE.")
    if from_file:
        kind = "random" if said["weights"] == "random" else "pretrained"
        weights = load_weights(claims.network, kind, claims.stored["seed"], Path(str(choice)))
    else:
        weights = load_weights(claims.network, choice or said["weights"], claims.stored["seed"])
    if weights.digest != said["weights_sha256"]:
        raise UsageError(
            f"{weights.source}: these weights have the digest {weights.digest}, the build's {said['weights_sha256']}.",
            "Give the file that the dataset was built with: --weights FILE.",
        )
    return weights


def weights_or_reason(claims: Claims, choice: str | None, insist: bool) -> tuple[Weights | None, str | None]:
    """`own_weights`, or why they cannot be had; where somebody insists, or chose a file, that is raised."""
    try:
        return own_weights(claims, choice), None
    except (NotFoundOnline, UsageError) as error:
        if insist or choice is not None:
            raise
        return None, error.problem


def network_features(
    claims: Claims,
    weights: Weights,
    images: Sequence[Pixels],
    workers: int | None = None,
    done: Callable[[int], None] = lambda count: None,
) -> Features:
    """The features of images (side, side, 3) uint8 of one size, fed with the network's own preprocessing.

    Computed in blocks of a fixed size, the last one filled up, so that an image's features do not depend on the others; in
    another place of a block they may be rounded differently.
    `done` is called with the number of images of each block that is finished.
    """
    workers = workers or engine.cores()
    backend.start(workers, has_loops(claims.network))
    programs, size = Programs(claims.network, weights), default_batch_size(claims.network)
    found = np.zeros((len(images), claims.network.filters), np.float32)

    def block(first: int, check: engine.Check) -> Features:
        check()
        chosen = list(images[first : first + size])
        return programs.embed(np.stack(chosen + [chosen[0]] * (size - len(chosen))))[: len(chosen)]

    for first, rows in engine.run_local(range(0, len(images), size), block, workers):
        found[first : first + len(rows)] = rows
        done(len(rows))
    return found
