"""Features: the outputs of a dataset's own network for its images, used to classify them and to find similar ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from amaxds.builds.executors import local
from amaxds.builds.executors.base import Check
from amaxds.compute import backend
from amaxds.compute.machine import cores
from amaxds.compute.networks import has_loops
from amaxds.compute.programs import Programs
from amaxds.compute.weights import Weights
from amaxds.dataset.build_info import BuildInfo
from amaxds.image import Pixels
from amaxds.spec.plan import default_batch_size

Features = NDArray[np.float32]
"""(n, filters): for n images the mean output after ReLU of every filter of the network, layer by layer."""


def network_features(
    info: BuildInfo,
    weights: Weights,
    images: Sequence[Pixels],
    workers: int | None = None,
    done: Callable[[int], None] = lambda count: None,
) -> Features:
    """Compute the features of images (side, side, 3) uint8, all of one size, after the network's own preprocessing.

    They are computed in blocks of a fixed size, the last one filled up, so that an image's features do not depend on which
    other images there are. They may be rounded differently at another position in a block. `done` is called with the number
    of images in each finished block.
    """
    workers = workers or cores()
    backend.start(workers, has_loops(info.network))
    programs, size = Programs(info.network, weights), default_batch_size(info.network)
    found = np.zeros((len(images), info.network.filters), np.float32)

    def block(first: int, check: Check) -> Features:
        check()
        chosen = list(images[first : first + size])
        return programs.embed(np.stack(chosen + [chosen[0]] * (size - len(chosen))))[: len(chosen)]

    for first, rows in local.run_local(range(0, len(images), size), block, workers):
        found[first : first + len(rows)] = rows
        done(len(rows))
    return found
