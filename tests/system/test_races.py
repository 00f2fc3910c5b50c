"""Of builds that race for a folder, one runs."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from support.commands import PROGRAMS, amaxds, start_build
from support.folders import files_of

TINY = ("--network", "demo", "--recipe", "original", "--steps", "1", "--layers", "block1_conv1", "--filters", "2")


def test_of_builds_that_race_for_a_folder_one_runs(tmp_path: Path) -> None:
    """The second begins at a random moment of the first, or about its end, where the folder that both lock goes away."""
    alone = tmp_path / "alone" / "demo-filter-activations"
    began = time.monotonic()
    assert amaxds("build", alone, *TINY).returncode == 0
    seconds, ends = time.monotonic() - began, []
    rng = np.random.default_rng(5)
    for number, moment in enumerate([rng.random(), rng.uniform(0.9, 1.1)]):
        folder = tmp_path / str(number) / alone.name
        racers = [start_build(folder, *TINY)]
        time.sleep(moment * seconds)
        racers.append(start_build(folder, *TINY))
        errors = [racer.communicate(timeout=300)[1] for racer in racers]
        codes = [racer.returncode for racer in racers]
        ends.append(codes)
        assert 0 in codes, errors
        # The second may come when all is over, and only validates.
        for code, text in zip(codes, errors, strict=True):
            assert code == 0 or (code == 2 and "another build is running" in text), text
        assert sum("filters 2-2: 1/1" in text for text in errors) == 1, errors
        assert files_of(folder) == files_of(alone)
    print(ends)


def test_the_lock_can_be_asked_for_while_its_folder_goes_away(tmp_path: Path) -> None:
    command = [sys.executable, str(PROGRAMS / "lock_and_delete.py"), str(tmp_path / "out")]
    racers = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for racer in racers:
        printed, errors = racer.communicate(timeout=60)
        assert racer.returncode == 0, errors
        taken, _ = map(int, printed.split())
        assert taken > 10
