"""Progress: lines where there is no terminal, whatever the environment says."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import time

import pytest

from amaxds.builds.estimate import compilation_cost, unit_cost
from amaxds.builds.progress import BarState, BuildProgress, counting, duration, screen
from amaxds.spec.network import DEMO
from amaxds.spec.plan import make_plan


class _Tee:
    """What programs put in the place of standard error: it only writes, and here its disk is full."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, text)

    def flush(self) -> None: ...


def test_a_log_that_cannot_be_written_or_asked_what_it_is_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", _Tee())
    with counting("features", 5) as done:
        screen().say("nobody hears it")
        done(5)


def test_what_is_no_terminal_gets_plain_lines_even_with_forced_colours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("FORCE_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.setenv(name, "1")
    plan = make_plan(DEMO, ["original"], layers="block1_conv1")
    units = list(plan.units())
    with BuildProgress(DEMO, units, kept=2) as progress:
        for unit in units:
            progress.unit_done(unit)
        progress.stage("ranking")
        progress.say("validating")
    with counting("features", 5) as done:
        done(5)
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert [lines[0], *lines[2:]] == ["2 of 10 images are there already", "ranking", "validating"]
    assert lines[1].startswith("original block1_conv1 filters 0-7: 10/10, ")
    assert "\x1b" not in err
    assert "\r" not in err


def test_the_time_left_goes_by_the_work_that_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    light, *_, heavy = make_plan(DEMO, ["original"], layers="block1_conv1,block5_conv3").units()
    costs = [unit_cost(DEMO, unit) + compilation_cost(DEMO, unit.layer) for unit in (light, heavy)]
    assert costs[1] > 2 * costs[0]
    with BuildProgress(DEMO, [light, heavy]) as progress:
        now += 60
        progress.unit_done(light)
        now += 60
        progress.unit_done(heavy)
    first, last = capsys.readouterr().err.splitlines()
    assert first.endswith(f", {duration(60 * costs[1] / costs[0])} left")
    assert last.endswith(", 0 s left")


def _drawn(columns: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """The last state of a bar on a terminal of that width, as text."""
    master, slave = os.openpty()
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(columns))
    with os.fdopen(slave, "w") as terminal:
        monkeypatch.setattr("sys.stderr", terminal)
        here = screen()
        here.show(BarState("clear block5_conv3", 264, 4224, "5.6 images/s", "12 min left"))
        here.show(BarState("clear block5_conv3", 265, 4224, "5.6 images/s", "11 min left"))
        here.hide()
        monkeypatch.undo()
    found = b""
    with os.fdopen(master, "rb", buffering=0) as written, contextlib.suppress(OSError):  # Linux ends it with an error.
        while part := written.read(4096):
            found += part
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", found.decode()).replace("\r", "\n").splitlines()
    return next(line for line in reversed(lines) if line.strip())


@pytest.mark.parametrize(
    ("columns", "there", "left_out"),
    [
        (100, ("clear block5_conv3", "━", "265/4224", "5.6 images/s", "0:00:", "11 min left"), ()),
        (80, ("clear block5_conv3", "265/4224", "5.6 images/s", "0:00:", "11 min left"), ()),
        (60, ("clear block5_conv3", "265/4224", "0:00:", "11 min left"), ("━", "images/s")),
        (40, ("clear bl", "265/4224", "11 min left"), ("━", "images/s", "0:00:")),
    ],
)
def test_a_narrow_terminal_keeps_the_count_and_the_time_left(
    columns: int, there: tuple[str, ...], left_out: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = _drawn(columns, monkeypatch)
    assert len(line) <= columns
    assert all(each in line for each in there), line
    assert not any(each in line for each in left_out), line
