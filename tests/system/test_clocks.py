"""Clocks and times of files change nothing."""

from __future__ import annotations

import json
import os
import shutil
import time
from datetime import datetime
from pathlib import Path

import pytest

from support.commands import SMALL, amaxds, run_program
from support.folders import files_of, shards_of

YEARS = 3 * 365 * 86400


@pytest.mark.parametrize("jump", [-YEARS, YEARS], ids=["back", "forward"])
def test_a_clock_that_is_set_during_a_build_changes_nothing(jump: int, tmp_path: Path, small: Path) -> None:
    folder = tmp_path / small.name
    began = time.time()
    ended = run_program("set_clock.py", 3, jump, "build", folder, *SMALL)
    assert ended.returncode == 0, ended.stderr
    assert files_of(folder) == files_of(small)
    times = json.loads((folder / "build.json").read_text())["times"]
    assert 0 < times["seconds_of_last_run"] < 300
    assert times["started"] <= times["finished"]
    # The jump fell inside the build: it began by the clock as it is, and ended by the one that was set.
    started, finished = (datetime.fromisoformat(times[name]).timestamp() for name in ("started", "finished"))
    assert abs(finished - jump - time.time()) < 600
    assert abs(started - (began if jump > 0 else finished)) < 600


def test_shards_of_the_past_and_the_future_are_kept(unfinished: Path, tmp_path: Path, small: Path) -> None:
    folder = shutil.copytree(unfinished, tmp_path / small.name)
    for shard, moment in zip(shards_of(folder), (0, time.time() - YEARS, time.time() + 10 * YEARS), strict=True):
        os.utime(shard, (moment, moment))
    again = amaxds("build", folder, *SMALL)
    assert again.returncode == 0, again.stderr
    assert "24 of 24 images are there already" in again.stderr
    assert files_of(folder) == files_of(small)
