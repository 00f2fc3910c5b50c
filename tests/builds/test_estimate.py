"""What a plan will cost: a range of times on a machine without other work, and a word where it has some."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import pytest

from amaxds.builds.estimate import Speed, estimate, measure_speed
from amaxds.builds.progress import duration_range
from amaxds.cli.output import BUSY, print_plan
from amaxds.compute.machine import cores
from amaxds.spec.network import DEMO
from amaxds.spec.plan import make_plan

PLAN = make_plan(DEMO, ["original"], layers="block1_conv1")


def test_the_time_goes_by_the_quiet_speed_and_is_a_range() -> None:
    slow, fast, beside_others = (estimate(PLAN, Speed(*each)) for each in ((1e8, 1.0), (1e11, 1.0), (1e11, 0.2)))
    assert slow.operations == fast.operations == sum(unit.operations for unit in PLAN.units())
    assert slow.seconds - fast.seconds == pytest.approx(slow.operations / 0.22 * (1e-8 - 1e-11))
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
