"""Every layer has a tenth of its filters for validation and a tenth for test, always the same."""

from __future__ import annotations

from collections import Counter

import pytest

from amaxds.spec.network import DEMO, VGG16
from amaxds.spec.splits import split_of


@pytest.mark.parametrize("layer", [*VGG16.layers, *DEMO.layers], ids=lambda layer: f"{layer.name} {layer.filters}")
def test_splits_are_a_tenth_and_a_tenth_of_every_layer(layer) -> None:
    splits = split_of(layer)
    assert sorted(splits) == list(range(layer.filters))
    counts = Counter(splits.values())
    assert counts["test"] == counts["validation"] == round(layer.filters / 10)


def test_splits_do_not_move() -> None:
    """They are part of what is published: a change here would mix training and test data of earlier users."""
    for name, filters in {"block1_conv1": {1}, "block3_conv1": {15, 16, 24}}.items():
        assert {filter for filter, split in split_of(DEMO.layer(name)).items() if split == "test"} == filters
