"""Nothing is lost: builds that are killed, stopped, starved of disk and memory, or damaged, and what becomes of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from conftest import SMALL, amaxds, files_of, shards_of, start_build

Check = Callable[..., None]
FULL = ("--network", "demo", "--recipe", "original")


@dataclass(frozen=True)
class Undisturbed:
    """A build that nothing happened to."""

    folder: Path
    seconds: float


@pytest.fixture(scope="module")
def undisturbed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    folder, began = tmp_path_factory.mktemp("undisturbed") / "demo-filter-activations", time.monotonic()
    ended = amaxds("build", folder, *request.param)
    assert ended.returncode == 0, ended.stderr
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
    print(f"killed after {share * undisturbed.seconds:.1f} of {undisturbed.seconds:.1f} s: {state}")
    again = amaxds("build", folder, *arguments)
    assert again.returncode == 0, again.stderr
    assert files_of(folder) == files_of(undisturbed.folder)
    return state


@pytest.mark.parametrize("undisturbed", [SMALL], ids=["small"], indirect=True)
def test_a_build_killed_at_random_moments_goes_on_to_the_same_bytes(undisturbed: Undisturbed, tmp_path: Path) -> None:
    for number, share in enumerate(_moments(6, seed=1)):
        _killed_and_resumed(undisturbed, SMALL, 3, share, tmp_path / str(number) / undisturbed.folder.name)


@pytest.mark.long
@pytest.mark.parametrize("undisturbed", [FULL], ids=["full"], indirect=True)
@pytest.mark.parametrize("share", _moments(20, seed=2), ids="{:.3f}".format)
def test_a_full_build_killed_at_a_random_moment_goes_on_to_the_same_bytes(
    undisturbed: Undisturbed, share: float, tmp_path: Path
) -> None:
    _killed_and_resumed(undisturbed, FULL, 66, share, tmp_path / undisturbed.folder.name)
