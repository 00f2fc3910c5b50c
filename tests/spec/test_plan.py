"""Networks, scopes, units and splits."""

from __future__ import annotations

from collections import Counter

import pytest

from amaxds.compute.memory import batch_size_within, least_bytes
from amaxds.errors import UsageError
from amaxds.spec.network import DEMO, NETWORKS, VGG16
from amaxds.spec.plan import make_plan
from amaxds.spec.selection import make_scope, write_filters
from amaxds.spec.splits import split_of


def test_networks_are_vgg16_and_its_eighth() -> None:
    assert (VGG16.filters, DEMO.filters) == (4224, 528)
    for wide, narrow in zip(VGG16.layers, DEMO.layers, strict=True):
        assert (narrow.name, narrow.filters * 8) == (wide.name, wide.filters)


def test_receptive_fields_and_strides_are_the_known_ones() -> None:
    table = {layer.name: (layer.receptive_field, layer.stride) for layer in VGG16.layers}
    assert table["block1_conv1"] == (3, 1)
    assert table["block2_conv2"] == (14, 2)
    assert table["block3_conv3"] == (40, 4)
    assert table["block4_conv3"] == (92, 8)
    assert table["block5_conv3"] == (196, 16)


def test_plan_covers_every_filter_once_in_order() -> None:
    for network in NETWORKS.values():
        plan = make_plan(network, ["original"], batch_size=24)
        made = [(unit.layer.index, filter) for unit in plan.units() for filter in unit.wanted]
        assert made == [(layer.index, filter) for layer in network.layers for filter in range(layer.filters)]
        assert plan.complete
        assert plan.images == network.filters


def test_a_subset_keeps_every_filter_in_its_row() -> None:
    full = {unit.name: unit for unit in make_plan(DEMO, ["original"]).units()}
    subset = list(make_plan(DEMO, ["original"], layers="block4_*", filters="3,17-19").units())
    assert [unit.wanted for unit in subset] == [(3,), (17, 18, 19)] * 3
    assert all(unit.rows == full[unit.name].rows for unit in subset)


def test_a_short_last_block_is_filled_up() -> None:
    last = list(make_plan(DEMO, ["original"], layers="block3_conv1", batch_size=20).units())[-1]
    assert last.wanted == tuple(range(20, 32))
    assert last.rows == (*range(20, 32), *[20] * 8)


@pytest.mark.parametrize(
    ("layers", "filters", "words"),
    [
        ("block6_*", None, "'block6_*'"),
        ("block1_conv1,conv2", None, "'conv2'"),
        (None, "0-15", "filter 15 is out of range for block1_conv1"),
        ("block5_conv3", "64", "0 to 63"),
        ("block5_conv3", "5-2", "'5-2'"),
        ("block5_conv3", "1,,2", "'1,,2'"),
        ("block5_conv3", "-1", "'-1'"),
        ("", None, "matches ''"),
        (None, "", "--filters ''"),
    ],
)
def test_bad_patterns_are_named_with_what_there_is(layers, filters, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        make_scope(DEMO, layers, filters)
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    "options", [{"seed": -1}, {"seed": 2**63}, {"batch_size": 0}, {"workers": 0}, {"steps": 0}], ids=lambda value: str(value)
)
def test_options_out_of_range_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="out of range"):
        make_plan(DEMO, ["original"], **options)


@pytest.mark.parametrize("gigabytes", [4, 8, 24, 48, 141])
def test_batches_on_a_gpu_are_the_largest_that_surely_fit(gigabytes: int) -> None:
    """A step takes up to 4.4 times its maps, of which nine tenths are what it needs at the least."""

    def most_bytes(batch_size: int) -> float:
        units = list(make_plan(VGG16, ["clear"], layers="block5_conv3", batch_size=batch_size).units())
        return least_bytes(units, workers=2) / 0.9 * 4.4

    size = batch_size_within(VGG16, gigabytes * 10**9)
    assert most_bytes(size) < gigabytes * 1e9
    assert size == 128 or most_bytes(2 * size) > 0.8 * gigabytes * 1e9


def test_unknown_precision_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown precision 'float16'"):
        make_plan(DEMO, ["original"], precision="float16")


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


def test_filters_are_written_as_they_are_read() -> None:
    for text in ("0", "0-63", "1,3,5-9,60-63"):
        assert write_filters(make_scope(DEMO, "block5_conv3", text)["block5_conv3"]) == text
