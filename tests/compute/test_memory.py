"""Too little memory is told beforehand, and no build is refused that would fit."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from amaxds.compute.memory import batch_size_within, least_bytes
from amaxds.spec.network import VGG16
from amaxds.spec.plan import make_plan
from support.commands import run_program

Check = Callable[..., None]


def _limit_memory(megabytes: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_DATA, (megabytes << 20, megabytes << 20))


@pytest.mark.parametrize("library", [pytest.param("tensorflow", marks=pytest.mark.system), "jax"])
def test_too_little_memory_is_told_beforehand_and_names_the_batch_size(
    library: str, tmp_path: Path, assert_error: Check
) -> None:
    command = [sys.executable, "-m", "amaxds", "build", str(tmp_path / "out"), "--network", "vgg16", "--weights", "random"]
    command += ["--recipe", "original", "--steps", "1", "--layers", "block3_conv1", "--filters", "0", "--batch-size", "256"]
    environment = os.environ | {"KERAS_BACKEND": library}
    ended = subprocess.run(
        command, env=environment, capture_output=True, text=True, preexec_fn=_limit_memory(3000), check=False, timeout=300
    )
    assert_error(
        ended, 3, "out of memory: a batch size of 256", "GB or more, and", "one worker (--workers 1) to go on", "in a new OUT"
    )


@pytest.mark.system
@pytest.mark.parametrize("library", ["tensorflow", "jax"])
def test_memory_that_the_library_cannot_have_is_said_in_the_same_words(library: str) -> None:
    ended = run_program("too_much_memory.py", timeout=120, KERAS_BACKEND=library)
    assert ended.stdout.startswith("out of memory: a batch size of 256 on 2 workers needs more than there is.\n"), ended.stderr


@pytest.mark.system
def test_no_build_is_refused_that_would_fit() -> None:
    """By XLA's own account of what its programs take."""
    ended = run_program("memory_of_a_step.py", KERAS_BACKEND="jax")
    assert ended.returncode == 0, ended.stderr
    ratios = [float(line) for line in ended.stdout.splitlines()]
    assert len(ratios) == 6
    assert min(ratios) >= 1
    assert max(ratios) * 0.9 < 5, "batches on a GPU are sized for five times the maps, nine tenths of which are the least"


@pytest.mark.parametrize("gigabytes", [4, 8, 24, 48, 141])
def test_batches_on_a_gpu_are_of_64_images_or_as_many_as_surely_fit(gigabytes: int) -> None:
    """A step takes up to 4.8 times its maps, of which nine tenths are what it needs at the least."""

    def most_bytes(batch_size: int) -> float:
        units = list(make_plan(VGG16, ["clear"], layers="block5_conv3", batch_size=batch_size).units())
        return least_bytes(units, workers=2) / 0.9 * 4.8

    size = batch_size_within(VGG16, gigabytes * 10**9)
    first_alone = replace(VGG16, layers=VGG16.layers[:1])  # No outputs of earlier layers are needed.
    assert size <= batch_size_within(first_alone, gigabytes * 10**9) <= 64
    assert most_bytes(size) < gigabytes * 1e9
    assert size == 64 or most_bytes(2 * size) > 0.8 * gigabytes * 1e9
