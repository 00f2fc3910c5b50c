"""What a plan will cost: a range of times on a machine without other work, and a word where it has some."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import pytest

from amaxds.builds.estimate import Speed, compilation_cost, estimate, measure_speed, unit_cost
from amaxds.builds.progress import duration_range
from amaxds.cli.output import BUSY, print_plan
from amaxds.compute.machine import cores
from amaxds.spec.network import DEMO, VGG16, Network
from amaxds.spec.plan import make_plan

PLAN = make_plan(DEMO, ["original"], layers="block1_conv1")


def test_the_time_goes_by_the_quiet_speed_and_is_a_range() -> None:
    slow, fast, beside_others = (estimate(PLAN, Speed(*each)) for each in ((1e8, 1.0), (1e11, 1.0), (1e11, 0.2)))
    assert slow.operations == fast.operations == sum(unit.operations for unit in PLAN.units())
    cost = sum(unit_cost(DEMO, unit) for unit in PLAN.units()) + compilation_cost(DEMO, DEMO.layers[0])
    assert slow.seconds - fast.seconds == pytest.approx(cost * (1e-8 - 1e-11))
    assert beside_others == fast
    least, most = slow.range
    assert least < slow.seconds < most


def test_a_machine_with_other_work_is_as_fast_as_without_and_said_to_be_busy(capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.ExitStack() as others:
        for _ in range(3 * cores()):
            other = others.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            others.callback(other.kill)
        busy = measure_speed()
        print_plan(PLAN, None)
    assert 0 < busy.share < BUSY
    assert busy.quiet > 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("busy    other programs leave ")


@pytest.mark.parametrize(
    ("least", "most", "words"),
    [(40.0, 90.0, "40 to 90 s"), (63.0, 125.0, "1.1 to 2.1 min"), (7000, 18 * 86400, "0.1 to 18 days"), (0, 1, "0 to 1 s")],
)
def test_a_range_is_said_in_one_unit(least: float, most: float, words: str) -> None:
    assert duration_range(least, most) == words


@pytest.mark.parametrize("network", [DEMO, VGG16], ids=lambda network: network.name)
def test_a_layer_near_the_image_takes_more_than_its_few_convolutions(network: Network) -> None:
    """As measured: a step of the first layer takes 3.4 to 4.1 ms where one of block4_conv2 takes 170 to 190 (vgg16), and 1.0 to
    1.1 where one of block5_conv3 takes 5.1 to 6.5 (demo), though it has some 7600 and 180 times fewer operations."""
    first, *_ = make_plan(network, ["original"], layers="block1_conv1").units()
    deep, *_ = make_plan(network, ["original"], layers="block5_conv3" if network is DEMO else "block4_conv2").units()
    assert len(first.rows) == len(deep.rows)
    ratio = unit_cost(network, deep) / unit_cost(network, first)
    least, most = (5.1 / 1.1, 6.5 / 1.0) if network is DEMO else (170 / 4.1, 190 / 3.4)
    assert least < ratio < most
