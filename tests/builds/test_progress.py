"""Progress: lines where there is no terminal, whatever the environment says."""

from __future__ import annotations

import pytest

from amaxds.builds.progress import BuildProgress, counting
from amaxds.spec.network import DEMO
from amaxds.spec.plan import make_plan


def test_what_is_no_terminal_gets_plain_lines_even_with_forced_colours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("FORCE_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.setenv(name, "1")
    plan = make_plan(DEMO, ["original"], layers="block1_conv1")
    units = list(plan.units())
    with BuildProgress(units, kept=2) as progress:
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
