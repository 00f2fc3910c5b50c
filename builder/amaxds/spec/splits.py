"""The splits of a dataset, decided by layer and filter alone."""

from __future__ import annotations

import hashlib

from amaxds.spec.network import Layer

SPLITS = ("train", "validation", "test")


def split_of(layer: Layer) -> dict[int, str]:
    """The split of every filter of a layer: a tenth (rounded) to test, a tenth to validation, the rest to train.

    Which ones depends on the names of layer and filter alone, so it is the same for every recipe, seed and subset.
    """
    order = sorted(range(layer.filters), key=lambda n: hashlib.sha256(f"{layer.name}/{n}".encode()).digest())
    tenth = round(layer.filters / 10)
    splits = ["test"] * tenth + ["validation"] * tenth + ["train"] * (layer.filters - 2 * tenth)
    return dict(zip(order, splits, strict=True))
