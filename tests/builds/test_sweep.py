"""Sweeps: one file, many datasets, gone on with as a whole."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from amaxds.builds.estimate import Speed, estimate
from amaxds.builds.sweep import describe_sweep, read_sweep
from amaxds.errors import UsageError
from amaxds.storage.location import LocalPath
from support.commands import amaxds
from support.folders import files_of

Check = Callable[..., None]
SWEEP = """
networks = ["demo"]
seeds = [0, 3]
recipes = ["original"]
steps = 3
layers = "block1_conv1"
filters = "0-3"
"""


def _file(folder: Path, text: str) -> Path:
    file = folder / "two.toml"
    file.write_text(text)
    return file


def test_a_sweep_is_networks_times_seeds_with_all_recipes(tmp_path: Path) -> None:
    networks = 'networks = ["vgg16", { name = "demo", layers = "block2_*", filters = "1" }]\n'
    builds = read_sweep(
        _file(tmp_path, networks + 'weights = "random"\nseeds = [0, 3]\nfilters = "0-7"'), LocalPath(Path("out"))
    )
    assert [build.folder.name for build in builds] == [
        *("vgg16-filter-activations-seed-0", "vgg16-filter-activations-seed-3"),
        *("demo-filter-activations-seed-0", "demo-filter-activations-seed-3"),
    ]
    assert [build.plan.seed for build in builds] == [0, 3, 0, 3]
    assert [build.plan.images for build in builds] == [13 * 8, 13 * 8, 2, 2]
    assert [recipe.name for recipe in builds[0].plan.recipes] == ["clear"]
    alone = read_sweep(_file(tmp_path, 'networks = ["demo"]'), LocalPath(Path("out")))
    assert [build.folder for build in alone] == [LocalPath(Path("out/demo-filter-activations"))]


def test_files_of_networks_and_weights_are_found_beside_the_sweep(tmp_path: Path) -> None:
    (tmp_path / "own.safetensors").touch()
    for line in (
        'networks = ["demo"]\nweights = "own.safetensors"',
        'networks = [{ name = "demo", weights = "own.safetensors" }]',
    ):
        (build,) = read_sweep(_file(tmp_path, line), LocalPath(Path("out")))
        assert build.arguments[build.arguments.index("--weights") + 1] == str(tmp_path / "own.safetensors")
    for name in ("demo", "random"):
        (tmp_path / name).touch()
    (build,) = read_sweep(_file(tmp_path, 'networks = ["demo"]\nweights = "random"'), LocalPath(Path("out")))
    assert [build.arguments[build.arguments.index(f"--{each}") + 1] for each in ("network", "weights")] == ["demo", "random"]


def test_a_sweep_has_a_folder_of_its_own_whatever_that_is_called(tmp_path: Path, assert_error: Callable[..., None]) -> None:
    file = _file(tmp_path, 'networks = ["demo"]\nlayers = "block1_conv1"\nfilters = "0"\nsteps = 1').rename(tmp_path / "bare")
    assert_error(amaxds("sweep", file, cwd=tmp_path), 2, "bare would be file and OUT at once", "Give OUT")
    ended = amaxds("sweep", "bare", "--", "-out", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "-out" / "demo-filter-activations" / "build.json").exists()
    (tmp_path / "elsewhere").mkdir()
    assert amaxds("sweep", file, "--plan", cwd=tmp_path / "elsewhere").stdout.startswith(
        "bare/demo-filter-activations: 1 images"
    )


def test_the_cost_of_a_sweep_is_that_of_its_builds(tmp_path: Path) -> None:
    builds = read_sweep(
        _file(tmp_path, 'networks = ["vgg16", "demo"]\nweights = "random"\nrecipes = ["original"]'), LocalPath(tmp_path)
    )
    costs = [estimate(build.plan, Speed(1e11, 1.0)) for build in builds]
    lines = dict(line.split(maxsplit=1) for line in describe_sweep(builds, 200.0, 0.01) if "filter-activations" not in line)
    operations = sum(cost.operations for cost in costs)
    assert lines["images"] == f"{4224 + 528} in 2 datasets"
    assert lines["units"] == str(sum(cost.units for cost in costs))
    assert lines["work"].startswith(f"{operations:.3g} ")
    assert f"hours  {operations / 200e12 / 3600:.3g} " in lines["GPU"]
    assert lines["machines"].startswith(f"{-(-operations // (200e12 * 36)):.0f} ")


def test_a_sweep_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    file = tmp_path / "marked.toml"
    file.write_text('networks = ["demo"]', "utf-8-sig")
    assert [build.folder.name for build in read_sweep(file, LocalPath(tmp_path))] == ["demo-filter-activations"]


ERRORS = {
    "networks": ("seeds = [1]", "networks"),
    "no network": ("networks = []", "networks"),
    "unknown key": ('networks = ["demo"]\nseed = 1', "seed is 1"),
    "wrong type": ('networks = ["demo"]\nsteps = "3"', "steps is"),
    "unknown network": ('networks = ["demo", "vgg17"]', "vgg17"),
    "twice": ('networks = ["demo", "demo"]', "twice"),
    "no TOML": ("networks", "is no TOML"),
    "a layer that is not there": ('networks = ["demo"]\nlayers = "block9_*"', "block9_*"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_what_cannot_be_begun_is_refused_before_anything_runs(case: str, tmp_path: Path) -> None:
    text, words = ERRORS[case]
    with pytest.raises(UsageError) as caught:
        read_sweep(_file(tmp_path, text), LocalPath(tmp_path / "out"))
    assert words in caught.value.problem
    assert not (tmp_path / "out").exists()


@pytest.mark.system
def test_a_stopped_sweep_goes_on_to_the_bytes_of_single_builds(tmp_path: Path) -> None:
    file, out = _file(tmp_path, SWEEP), tmp_path / "out"
    command = [sys.executable, "-m", "amaxds", "sweep", str(file), str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while not list(out.rglob("*.parquet")) and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert "terminated" in errors
    ended = amaxds("sweep", file, out)
    assert ended.returncode == 0, ended.stderr
    assert "2 of 2 datasets are finished and valid" in ended.stdout
    single = tmp_path / "demo-filter-activations-seed-3"
    arguments = ("--network", "demo", "--recipe", "original", "--seed", 3, "--steps", 3)
    assert amaxds("build", single, *arguments, "--layers", "block1_conv1", "--filters", "0-3").returncode == 0
    assert files_of(out / single.name) == files_of(single)


def test_a_dataset_that_fails_does_not_keep_the_others(tmp_path: Path) -> None:
    file, out = _file(tmp_path, SWEEP), tmp_path / "out"
    (out / "demo-filter-activations-seed-0").mkdir(parents=True)
    (out / "demo-filter-activations-seed-0" / "mine.txt").write_text("kept")
    ended = amaxds("sweep", file, out)
    assert ended.returncode == 2
    assert "1 of 2 datasets are finished and valid" in ended.stdout
    assert "seed-0 failed with exit code 2" in ended.stderr
    assert amaxds("validate", out / "demo-filter-activations-seed-3").returncode == 0
