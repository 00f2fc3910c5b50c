"""Builds that are killed, at any moment, go on to the same bytes."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from support.commands import SMALL, amaxds, prepare_to_fork, start_build
from support.folders import files_of, shards_of

Check = Callable[..., None]
FULL = ("--network", "demo", "--recipe", "original")


@dataclass(frozen=True)
class Undisturbed:
    """A build that nothing happened to."""

    folder: Path
    seconds: float


@pytest.fixture(scope="module")
def undisturbed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    prepare_to_fork()
    folder, began = tmp_path_factory.mktemp("undisturbed") / "demo-filter-activations", time.monotonic()
    process = start_build(folder, *request.param)
    errors = process.communicate(timeout=3600)[1]
    assert process.returncode == 0, errors
    return Undisturbed(folder, time.monotonic() - began)


def _moments(number: int, seed: int) -> list[float]:
    """Random shares of a run's duration, one in each of as many equal parts of it."""
    return list((np.arange(number) + np.random.default_rng(seed).random(number)) / number)


def _state(folder: Path, units: int) -> str:
    """How far the build in a folder has come, by what it has left there."""
    if (folder / "build.json").exists():
        return "finished"
    if len(shards_of(folder)) < units:
        return f"{len(shards_of(folder))} of {units} units" if (folder / ".amaxds" / "build.json").exists() else "starting"
    packaged = (folder / ".amaxds" / "packaged").exists()
    return "ranking" if not packaged else "moving" if (folder / "README.md").exists() else "packaging"


def _killed_and_resumed(undisturbed: Undisturbed, arguments: tuple[str, ...], units: int, share: float, folder: Path) -> str:
    process = start_build(folder, *arguments)
    time.sleep(share * undisturbed.seconds)
    process.kill()
    process.communicate()
    state = _state(folder, units)
    print(f"killed after {share * undisturbed.seconds:.1f} of {undisturbed.seconds:.1f} s: {state}", flush=True)
    again = start_build(folder, *arguments)
    errors = again.communicate(timeout=3600)[1]
    assert again.returncode == 0, errors
    assert files_of(folder) == files_of(undisturbed.folder)
    return state


@pytest.mark.parametrize("undisturbed", [SMALL], ids=["small"], indirect=True)
def test_a_build_killed_at_random_moments_goes_on_to_the_same_bytes(undisturbed: Undisturbed, tmp_path: Path) -> None:
    states = [
        _killed_and_resumed(undisturbed, SMALL, 3, share, tmp_path / str(number) / undisturbed.folder.name)
        for number, share in enumerate(_moments(3, seed=1))
    ]
    assert any(state not in ("starting", "finished") for state in states), f"no kill fell into the work: {states}"


@pytest.mark.parametrize(
    ("stage", "delay"),
    [
        ("ranking", 0.1),
        ("packaging", 0.08),
        *(pytest.param("packaging", each, marks=pytest.mark.long) for each in (0.03, 0.14)),
    ],
)
def test_a_build_killed_after_its_last_unit_goes_on_to_the_same_bytes(
    stage: str, delay: float, unfinished: Path, tmp_path: Path, small: Path
) -> None:
    folder, state = tmp_path / small.name, "finished"
    while state == "finished":  # The build was faster than the kill: once more, and sooner.
        assert delay > 0.001, f"a kill never fell after {stage} and before the end"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(unfinished, folder)
        process = start_build(folder, *SMALL)
        assert process.stderr is not None
        assert any(line.startswith(stage) for line in process.stderr)
        time.sleep(delay)
        process.kill()
        process.communicate()
        state, delay = _state(folder, 3), delay / 3
    assert state in (("ranking", "packaging", "moving") if stage == "ranking" else ("packaging", "moving"))
    assert amaxds("build", folder, *SMALL).returncode == 0
    assert files_of(folder) == files_of(small)


@pytest.mark.long
@pytest.mark.parametrize("undisturbed", [FULL], ids=["full"], indirect=True)
@pytest.mark.parametrize("share", _moments(20, seed=2), ids="{:.3f}".format)
def test_a_full_build_killed_at_a_random_moment_goes_on_to_the_same_bytes(
    undisturbed: Undisturbed, share: float, tmp_path: Path
) -> None:
    _killed_and_resumed(undisturbed, FULL, 66, share, tmp_path / undisturbed.folder.name)


def test_a_build_killed_at_a_unit_goes_on_to_the_same_bytes(tmp_path: Path, small: Path, assert_error: Check) -> None:
    folder = tmp_path / small.name
    process = start_build(folder, *SMALL, "--workers", "1")
    while not shards_of(folder):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    assert_error(amaxds("build", folder, *SMALL), 2, "another build is running", str(folder))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert 0 < len(shards_of(folder)) < 3, "the build was over before it was killed"
    again = amaxds("build", folder, *SMALL)
    assert again.returncode == 0, again.stderr
    assert "of 24 images are there already" in again.stderr
    assert files_of(folder) == files_of(small)


def test_a_build_killed_while_it_moves_files_into_place_leaves_nothing_foreign(
    unfinished: Path, tmp_path: Path, small: Path
) -> None:
    folder = shutil.copytree(unfinished, tmp_path / small.name)
    process = start_build(folder, *SMALL)
    while process.poll() is None and not (folder / "README.md").exists():
        time.sleep(0.0005)
    process.kill()
    process.communicate()
    assert {path.name for path in folder.iterdir()} <= {path.name for path in small.iterdir()} | {".amaxds"}
    assert amaxds("build", folder, *SMALL).returncode == 0
    assert files_of(folder) == files_of(small)
