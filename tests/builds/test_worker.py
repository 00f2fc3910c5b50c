"""The worker of a build: when it ranks a layer, and what it keeps in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from amaxds.builds.shards import layer_key
from amaxds.builds.worker import BuildJob, Worker, process_entries
from amaxds.compute.networks import load_weights
from amaxds.dataset.build_info import BuildRequest
from amaxds.spec.network import DEMO
from amaxds.spec.plan import Plan, Unit, make_plan
from amaxds.storage.files import json_bytes
from amaxds.storage.location import LocalPath

pytestmark = pytest.mark.usefixtures("_backend")


@pytest.fixture
def plan() -> Plan:
    """Two layers, of two units each."""
    return make_plan(DEMO, ["original"], layers="block1_conv1,block1_conv2", steps=1, batch_size=4)


def _worker(folder: Path, plan: Plan, missing: list[Unit]) -> Worker:
    weights = load_weights(DEMO, "pretrained", 0)
    identity = BuildRequest.of_plan(plan, weights.source, weights.digest).on(process_entries(DEMO, 2))
    (folder / ".amaxds").mkdir(exist_ok=True)
    (folder / ".amaxds" / "build.json").write_bytes(json_bytes(identity.as_json()))
    return Worker(BuildJob(plan, weights, LocalPath(folder), identity), missing, 2)


def test_a_layer_is_ranked_with_its_last_unit_and_its_programs_are_let_go_of(tmp_path: Path, plan: Plan) -> None:
    units = list(plan.units())
    worker = _worker(tmp_path, plan, units)
    ranked = [worker.make(units[place], lambda: None) for place in (0, 2, 1, 3)]
    assert ranked[:2] == [None, None]
    for unit, ranks in zip((units[0], units[2]), ranked[2:], strict=True):
        assert ranks == worker.rank(layer_key(unit), lambda: None)
        assert sorted(ranks) == list(range(8))
    kept = {key.layer.name for key in worker._programs._programs if key.layer}
    assert not kept


def test_a_layer_that_others_made_a_part_of_is_left_to_be_ranked(tmp_path: Path, plan: Plan) -> None:
    units = list(plan.units())
    _worker(tmp_path, plan, units).make(units[0], lambda: None)
    worker = _worker(tmp_path, plan, units)  # As on another machine, with the same list of what is missing.
    assert worker.make(units[1], lambda: None) is None
    assert len(worker.rank(layer_key(units[0]), lambda: None)) == 8
