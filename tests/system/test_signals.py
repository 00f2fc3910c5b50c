"""Builds that are stopped by SIGINT, SIGTERM or SIGHUP say how to go on, in any phase."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from support.commands import SMALL, amaxds, start_build
from support.folders import files_of


def _stop(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str]:
    process.send_signal(number)
    errors = process.communicate(timeout=120)[1]
    return process.returncode, errors


PHASES = {
    "loading": ".amaxds/lock",
    "units": "original block1_conv1 filters 0-7",
    "ranking": "ranking",
    "packaging": "packaging",
    "validating": "validating",
}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
@pytest.mark.parametrize("phase", PHASES)
def test_a_build_stopped_in_any_phase_says_how_to_go_on(
    phase: str, number: signal.Signals, code: int, unfinished: Path, tmp_path: Path, small: Path
) -> None:
    folder = tmp_path / small.name
    if phase not in ("loading", "units"):
        shutil.copytree(unfinished, folder)
    process = start_build(folder, *SMALL)
    if phase == "loading":
        while not (folder / PHASES[phase]).exists():
            assert process.poll() is None
    else:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith(PHASES[phase]):
                break
    ended, errors = _stop(process, number)
    assert ended == code, errors
    name = "interrupted" if number == signal.SIGINT else "terminated"
    last = [f"amaxds: {name}.", "What is finished is kept: run the same command again to go on."]
    assert errors.splitlines()[-2:] == last
    assert "Traceback" not in errors
    if phase == "validating":
        assert amaxds("build", folder, *SMALL).returncode == 0
        assert files_of(folder) == files_of(small)


def test_a_build_stopped_at_random_moments_ends_without_a_traceback(tmp_path: Path, small: Path) -> None:
    """From its own first instruction on: before the command has begun, nothing is said, as there is nothing to go on with."""
    folder, ends = tmp_path / small.name, []
    for moment in np.random.default_rng(3).random(5) * np.linspace(0.1, 4.0, 5):
        process = start_build(folder, *SMALL, forked=False)
        time.sleep(0.03 + moment)
        ended, errors = _stop(process, signal.SIGINT)
        if "KeyboardInterrupt" in errors:  # Python itself was still starting: it has not come to what is ours.
            assert not re.search(r'File ".*amaxds/(?!__init__)', errors), errors
            continue
        ends.append(ended)
        assert ended in (130, -signal.SIGINT, 0), errors
        assert "Traceback" not in errors
        assert (ended == 130) == errors.endswith("run the same command again to go on.\n"), errors
    print(ends)
    assert 130 in ends
    assert amaxds("build", folder, *SMALL).returncode == 0
    assert files_of(folder) == files_of(small)
