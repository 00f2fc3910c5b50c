"""A plan's units cover every filter of its scope once."""

from __future__ import annotations

import dataclasses

import pytest

from amaxds.errors import UsageError
from amaxds.spec.applications import APPLICATIONS
from amaxds.spec.network import DEMO, NETWORKS
from amaxds.spec.plan import make_plan
from amaxds.spec.recipes import CLEAR


def test_plan_covers_every_filter_once_in_order() -> None:
    for network in NETWORKS.values():
        plan = make_plan(network, ["original"], batch_size=24)
        made = [(unit.layer.index, filter) for unit in plan.units() for filter in unit.wanted]
        assert made == [(layer.index, filter) for layer in network.layers for filter in range(layer.filters)]
        assert plan.complete
        assert plan.images == network.filters


def test_what_was_decided_cannot_be_changed() -> None:
    plan = make_plan(DEMO, ["clear"])
    for decided in (plan, next(plan.units()), DEMO, DEMO.layers[0], CLEAR, APPLICATIONS["vgg19"]):
        for field in dataclasses.fields(decided):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(decided, field.name, getattr(decided, field.name))


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
    "options",
    [{"seed": -1}, {"seed": 2**63}, {"batch_size": 0}, {"batch_size": 4097}, {"workers": 0}, {"workers": 4097}, {"steps": 0}],
    ids=lambda value: str(value),
)
def test_options_out_of_range_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="out of range"):
        make_plan(DEMO, ["original"], **options)


@pytest.mark.parametrize("options", [{"seed": 2**63 - 1}, {"batch_size": 4096}, {"workers": 4096}, {"batch_size": 1}], ids=str)
def test_the_least_and_the_most_are_allowed(options: dict[str, int]) -> None:
    plan = make_plan(DEMO, ["original"], **options)
    assert (plan.seed, plan.batch_size) == (options.get("seed", 0), options.get("batch_size", 8))


def test_unknown_precision_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown precision 'float16'"):
        make_plan(DEMO, ["original"], precision="float16")
