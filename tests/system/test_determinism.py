"""The same pixels, bit for bit: in any order of units, with any workers, in any subset, split over processes, resumed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from amaxds.spec.network import DEMO
from support.commands import PROGRAMS, amaxds, start_build
from support.folders import hashes, shards_of

BACKENDS = ("tensorflow", "jax")
RECIPES = ("original", "clear")


@dataclass(frozen=True)
class Work:
    """What is made, and the way in which it is."""

    recipes: tuple[str, ...] = RECIPES
    layers: str | None = "block1_conv2,block2_conv1"
    filters: str | None = None
    steps: int | None = 2
    order: str = "as planned"
    workers: int = 2
    processes: int = 1


def _pixels(backend: str, work: Work) -> dict[tuple[str, str, int], str]:
    """(recipe, layer, filter) -> pixels_sha256, made by processes that run at the same time."""
    running = [
        subprocess.Popen(
            [sys.executable, str(PROGRAMS / "make_part.py"), str(part), json.dumps(asdict(work))],
            env=os.environ | {"KERAS_BACKEND": backend},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for part in range(work.processes)
    ]
    found = {}
    for process in running:
        printed, errors = process.communicate()
        assert process.returncode == 0, errors
        lines = [line.split() for line in printed.splitlines()]
        made = {(recipe, layer, int(filter)): digest for recipe, layer, filter, digest in lines}
        assert len(made) == len(lines)
        assert not made.keys() & found.keys(), "two processes made the same image"
        found |= made
    return found


@pytest.fixture(scope="module", params=BACKENDS)
def small_pixels(request: pytest.FixtureRequest) -> tuple[str, dict[tuple[str, str, int], str]]:
    """A backend, and what it makes on one worker, in order, in one process."""
    pixels = _pixels(request.param, Work(workers=1))
    assert len(pixels) == 2 * (8 + 16)
    assert len(set(pixels.values())) == len(pixels)
    return request.param, pixels


WAYS = {
    "reversed, four workers": Work(order="reversed", workers=4),
    "three processes, shuffled": Work(processes=3, workers=1, order="shuffled"),
}


@pytest.mark.parametrize("way", WAYS)
def test_neither_order_nor_workers_nor_processes_change_a_pixel(
    way: str, small_pixels: tuple[str, dict[tuple[str, str, int], str]]
) -> None:
    backend, pixels = small_pixels
    assert _pixels(backend, WAYS[way]) == pixels


def test_subsets_and_resumed_builds_have_the_same_pixels(
    small_pixels: tuple[str, dict[tuple[str, str, int], str]], tmp_path: Path
) -> None:
    backend, pixels = small_pixels
    chosen = ("--layers", "block1_conv2,block2_conv1", "--filters", "1,5-6", "--steps", "2", "--workers", "1")
    arguments = ("--network", "demo", "--recipe", "original", "--recipe", "clear", *chosen)
    process = start_build(tmp_path / "out", *arguments, KERAS_BACKEND=backend)
    while not shards_of(tmp_path / "out"):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert len(shards_of(tmp_path / "out")) < 4, "the build was over before it was killed"
    again = amaxds("build", tmp_path / "out", *arguments, KERAS_BACKEND=backend)
    assert again.returncode == 0, again.stderr
    found = {
        (recipe, DEMO.layers[layer].name, filter): digest
        for recipe in RECIPES
        for (layer, filter), digest in hashes(tmp_path / "out", recipe).items()
    }
    assert len(found) == 2 * 2 * 3
    assert found == {key: pixels[key] for key in found}


WHOLE_WAYS = {
    "shuffled on one worker": {"order": "shuffled", "workers": 1},
    "reversed on four workers": {"order": "reversed", "workers": 4},
    "two processes": {"processes": 2},
    "four processes, shuffled": {"processes": 4, "order": "shuffled", "workers": 1},
}


@pytest.mark.long
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("recipe", RECIPES)
def test_all_filters_have_the_same_pixels_in_every_way(backend: str, recipe: str) -> None:
    whole = {"recipes": (recipe,), "layers": None, "steps": None}
    pixels = _pixels(backend, Work(**whole))
    assert len(pixels) == DEMO.filters
    for way, changes in WHOLE_WAYS.items():
        began, found = time.monotonic(), _pixels(backend, Work(**whole, **changes))
        differing = sum(found.get(key) != digest for key, digest in pixels.items())
        print(f"{backend} {recipe} {way}: {differing} of {len(pixels)} differ, {time.monotonic() - began:.0f} s", flush=True)
        assert found == pixels
