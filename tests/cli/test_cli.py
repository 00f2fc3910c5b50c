"""The command as a person meets it: help, plans, and errors that say what to do."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.commands import SMALL, amaxds

OPTIONS = {
    "build": "--address --batch-size --canvas --engine --filters --layers --network --plan --precision --preprocessing "
    "--recipe --seed --steps --weights --workers",
    "sweep": "--address --engine --hours --plan --tflops --workers",
    "validate": "--json",
    "audit": "--json --sample --seed --weights --workers",
    "diff": "--json",
    "report": "--neighbours --no-neighbours --sheets --weights --workers",
    "classify": "--json --model --seed --weights --workers",
    "bundle": "--recipe --repo",
    "describe": "--network",
    "publish": "--allow-partial --dry-run --gallery --message --private --public --repo --to --yes",
    "networks": "--canvas",
    "metadata": "",
}
"""What users have been told that there is."""


def test_help_names_every_command() -> None:
    text = amaxds("-h", COLUMNS="80").stdout
    assert re.findall(r"^╭─ (\w+) ─", text, re.MULTILINE) == ["Options", "Make", "Look", "Check", "Share"]
    commands = re.findall(r"^│ (\w+) +[A-Z].*[.?] +│$", text, re.MULTILINE)  # Each is summed up in one line.
    assert sorted(commands) == sorted(OPTIONS)


@pytest.mark.parametrize("command", OPTIONS)
def test_help_names_every_option(command: str) -> None:
    found = set(re.findall(r"--[a-z][a-z-]+", amaxds(command, "--help").stdout))
    assert found == {"--help", *OPTIONS[command].split()}


def test_version() -> None:
    assert re.fullmatch(r"amaxds \d+\.\d+\.\d+\n", amaxds("--version").stdout)


def test_plan_prints_costs_and_runs_nothing(tmp_path: Path) -> None:
    ended = amaxds("build", tmp_path / "out", "--network", "vgg16", "--layers", "block5_*", "--plan")
    assert ended.returncode == 0
    assert re.search(r"^images  1536$", ended.stdout, re.MULTILINE)
    assert re.search(r"^units   384 of up to 4 images$", ended.stdout, re.MULTILINE)
    assert {line.split()[0] for line in ended.stdout.splitlines()} - {"busy"} == {"images", "units", "work", "disk", "time"}
    assert not (tmp_path / "out").exists()


BAD_INPUT = {
    "model file": (("--network", "mine.keras"), 2, ("there is no model file 'mine.keras'", "path")),
    "network": (("--network", "vgg61"), 2, ("'vgg61'", "vgg16, demo")),
    "recipe": (("--network", "demo", "--recipe", "blurry"), 2, ("'blurry'", "clear and original")),
    "layer": (("--network", "demo", "--layers", "conv*"), 2, ("'conv*'", "block1_conv1")),
    "filter": (("--network", "demo", "--layers", "block1_conv1", "--filters", "8"), 2, ("filter 8", "0 to 7")),
    "weights": (("--network", "demo", "--weights", "here.h5"), 2, ("'here.h5'", "random")),
    "seed": (("--network", "demo", "--seed", "-3"), 2, ("seed -3",)),
    "no layer": (("--network", "demo", "--layers", ""), 2, ("matches ''", "block1_conv1")),
    "engine": (("--engine", "slurm"), 2, ("'slurm'", "local, ray")),
    "address without Ray": (("--address", "auto"), 2, ("'auto'", "--engine ray")),
    "address of no cluster": (("--engine", "ray", "--address", "ray://here:10001"), 2, ("'ray://here:10001'", "ip:port")),
    "weights in no home": (("--network", "demo", "--weights", "~nobody-of-that-name/w.h5"), 2, ("~nobody-of-that-name",)),
    "weights with a long name": (("--network", "demo", "--weights", "w" * 300 + ".h5"), 2, ("no weights file",)),
    "weights that are not text": (("--network", "demo", "--weights", "w\udcff.h5"), 2, ("no weights file",)),
}


@pytest.mark.parametrize("case", ["weights", "engine", "address without Ray", "address of no cluster"])
def test_a_plan_refuses_what_the_build_would_refuse(case: str, assert_error: Callable[..., None]) -> None:
    arguments, code, words = BAD_INPUT[case]
    assert_error(amaxds("build", *arguments, "--plan"), code, *words)


def test_a_plan_is_refused_for_a_folder_that_the_build_could_not_write(
    tmp_path: Path, assert_error: Callable[..., None]
) -> None:
    (tmp_path / "notes.txt").touch()
    assert_error(amaxds("build", tmp_path, "--network", "demo", "--plan"), 2, "holds no build (it has 'notes.txt')")


def test_a_plan_is_refused_for_a_folder_that_holds_another_build(small: Path, assert_error: Callable[..., None]) -> None:
    same = ("build", small, *SMALL, "--plan")
    assert amaxds(*same).returncode == 0
    assert_error(amaxds(*same, "--seed", 1), 2, "holds a build with seed 0, not 1 (--seed)")


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_gets_two_lines_and_its_exit_code(case: str, tmp_path: Path, assert_error: Callable[..., None]) -> None:
    arguments, code, words = BAD_INPUT[case]
    ended = amaxds("build", tmp_path / "out", *arguments)
    assert_error(ended, code, *words)
    assert not (tmp_path / "out").exists()


def test_wrong_usage_is_exit_code_2(tmp_path: Path) -> None:
    """In an empty folder: `validate` takes a dataset that lies where it is run."""
    for arguments in (("build", "--colour"), ("build", "--seed", "many"), ("validate",), ("paint",)):
        ended = amaxds(*arguments, cwd=tmp_path)
        assert ended.returncode == 2
        assert "Traceback" not in ended.stderr


def test_validating_what_is_no_folder(tmp_path: Path, assert_error: Callable[..., None]) -> None:
    assert_error(amaxds("validate", tmp_path / "nowhere"), 2, "nowhere is no folder and no file")
    assert_error(amaxds("validate", "n" * 300), 2, "is no folder and no file")
    (tmp_path / "empty").mkdir()
    ended = amaxds("validate", tmp_path / "empty")
    assert ended.returncode == 1
    assert ended.stdout.startswith("build     build.json: is missing")


def test_pretrained_vgg16_without_network_is_exit_code_3(tmp_path: Path, assert_error: Callable[..., None]) -> None:
    ended = amaxds("build", tmp_path / "out", https_proxy="http://127.0.0.1:9")
    assert_error(ended, 3, "notop.h5", "--weights random", "--network demo")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["validate", "audit"])
def test_output_that_cannot_be_written_is_an_error(command: str, tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-u", "-m", "amaxds", command, str(tmp_path)]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 3
    assert ended.stderr.splitlines()[0] == "amaxds: standard output cannot be written."


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_output_that_nobody_reads_any_more_changes_no_exit_code_of_errors(closed: str, small: Path, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | {closed: writing}
    codes = {}
    one = ("--network", "demo", "--layers", "block1_conv1", "--filters", "0", "--steps", "1")
    for words in (("validate", small), ("networks",), ("validate", tmp_path / "nowhere"), ("build", tmp_path / "out", *one)):
        ended = subprocess.run([sys.executable, "-m", "amaxds", *map(str, words)], text=True, check=False, **streams)
        codes[words[:2]] = ended.returncode
        if closed == "stdout" and ended.returncode == 3:
            assert ended.stderr.splitlines()[-2] == "amaxds: standard output cannot be written."
    os.close(writing)
    assert list(codes.values()) == ([3, 3, 2, 3] if closed == "stdout" else [0, 0, 2, 0])
    assert (tmp_path / "out" / "build.json").exists()


def test_names_with_line_breaks_stay_on_one_line(tmp_path: Path, assert_error: Callable[..., None]) -> None:
    assert_error(amaxds("validate", tmp_path / "two\nlines"), 2, "two\\nlines is no folder and no file")


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    ended = amaxds("--debug", "build", tmp_path / "out", "--network", "vgg61")
    assert ended.returncode == 2
    assert "Traceback" in ended.stderr


def test_importing_the_package_loads_no_tensorflow() -> None:
    code = "import sys, amaxds, amaxds.cli.main; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"tensorflow", "keras", "datasets", "jax", "kaggle"} & set(loaded)


def test_the_command_line_starts_without_the_libraries_of_stores() -> None:
    code = "import sys; from amaxds.cli import main; print('fsspec' in sys.modules, 's3fs' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "False False\n"
