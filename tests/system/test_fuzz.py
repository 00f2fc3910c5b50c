"""Nothing that comes from outside ends in anything but acceptance or a refusal in words.

A bounded number of inputs; `python benchmarks/fuzz.py` tries many more, and watches for crashes and hangs besides.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.commands import SMALL, amaxds
from support.fuzzing import Target, targets

NAMES = (
    *(
        "build.json",
        "values of build.json",
        "values of parquet",
        "README.md",
        "croissant.json",
        "parquet",
        "shard",
        "PNG",
        "metadata.csv",
        "zip",
    ),
    *(".safetensors", ".h5", ".weights.h5", "--layers", "--filters"),
)
FAST = ("build.json", "shard", "PNG", "--filters")
TRIES = dict.fromkeys(NAMES, 100) | dict.fromkeys(FAST, 1000) | {".h5": 15, ".weights.h5": 15}
"""Inputs for each; those of HDF5 are read in a process each."""


@pytest.fixture(scope="module")
def every_target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Target]]:
    folder = tmp_path_factory.mktemp("fuzz")
    few = ("--layers", "block1_conv1", "--filters", "2-3")
    ended = amaxds("build", folder / "dataset", *SMALL, *few)
    assert ended.returncode == 0, ended.stderr
    scratch = folder / "scratch"
    scratch.mkdir()
    return targets(folder / "dataset", scratch)


def test_every_target_is_tried(every_target: dict[str, Target]) -> None:
    assert set(every_target) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_undamaged_input_is_accepted(every_target: dict[str, Target], name: str) -> None:
    first, *others = every_target[name].seeds
    assert every_target[name].run(first)
    for other in others:
        every_target[name].run(other)


@pytest.mark.parametrize("name", NAMES)
def test_damaged_input_is_accepted_or_refused_in_words(every_target: dict[str, Target], name: str) -> None:
    target = every_target[name]

    @settings(max_examples=TRIES[name], deadline=None, database=None, derandomize=True)
    @given(st.integers(0, 2**64))
    def try_one(seed: int) -> None:
        target.run(target.damage(random.Random(seed), target.seeds))

    try_one()
