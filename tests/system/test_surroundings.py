"""What lies about where the command runs: files beside the user's, closed streams, settings of other libraries."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.commands import amaxds
from support.folders import files_of

pytestmark = pytest.mark.system
ONE = ("--network", "demo", "--layers", "block1_conv1", "--filters", "0", "--steps", "1")
SWEEP = 'networks = ["demo"]\nlayers = "block1_conv1"\nfilters = "0"\nsteps = 1\n'
BESIDE = ("random", "datasets", "h5py", "numpy", "re", "subprocess")


def _spread(folder: Path) -> None:
    for name in BESIDE:
        (folder / f"{name}.py").write_text("print('run')\nraise SystemExit(0)\n")


@pytest.mark.parametrize("search", ["{}", "{}:", pytest.param(":{}", marks=pytest.mark.long)])
def test_files_beside_the_users_are_not_run(search: str, tmp_path: Path) -> None:
    _spread(tmp_path)
    (tmp_path / "sweep.toml").write_text(SWEEP)
    paths = os.environ.get("PYTHONPATH", str(Path(__file__).parents[2] / "builder"))
    variables = os.environ | {"PYTHONPATH": search.format(paths)}
    for words in (["sweep", "sweep.toml", "out"], ["build", "one", *ONE, "--weights", "w.weights.h5"]):
        command = [sys.executable, "-m", "amaxds", *words]
        ended = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
        assert "run\n" not in ended.stdout
        if words[0] == "sweep":
            assert ended.returncode == 0, ended.stderr
    assert amaxds("validate", tmp_path / "out" / "demo-filter-activations").returncode == 0


def test_a_sweep_does_not_call_finished_what_is_not_there(tmp_path: Path) -> None:
    """A module that ends every Python process with success, before the build has begun."""
    (tmp_path / "sitecustomize.py").write_text("import os, sys\nif 'build' in sys.orig_argv:\n    os._exit(0)\n")
    (tmp_path / "sweep.toml").write_text(SWEEP)
    search = os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))
    ended = amaxds("sweep", tmp_path / "sweep.toml", tmp_path / "out", PYTHONPATH=search)
    assert ended.returncode == 3
    assert "0 of 1 datasets are finished and valid" in ended.stdout


def test_closed_streams_change_nothing(tmp_path: Path) -> None:
    for number, closed in enumerate(("", ">&-", "<&- >&- 2>&-")):
        command = f'"$0" -m amaxds build {number}/demo {" ".join(ONE)} {closed}'
        assert subprocess.run(["sh", "-c", command, sys.executable], cwd=tmp_path, check=False).returncode == 0, closed
        assert files_of(tmp_path / str(number) / "demo") == files_of(tmp_path / "0" / "demo")
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        command = f'"$0" -m amaxds validate nowhere {closed}'
        assert subprocess.run(["sh", "-c", command, sys.executable], cwd=tmp_path, check=False).returncode == 2


def test_a_number_that_is_none_for_the_hub_stops_no_build(tmp_path: Path) -> None:
    ended = amaxds("build", tmp_path / "demo", *ONE, HF_HUB_DOWNLOAD_TIMEOUT="abc", HF_DATASETS_IN_MEMORY_MAX_SIZE="all")
    assert ended.returncode == 0, ended.stderr
    assert "HF_HUB_DOWNLOAD_TIMEOUT is 'abc', which is no number, and is not heeded." in ended.stderr


def test_a_number_that_is_none_for_the_hub_is_named_by_the_library() -> None:
    code = "import amaxds\ntry: amaxds.validate\nexcept amaxds.errors.UsageError as error: print(error)"
    variables = os.environ | {"HF_HUB_ETAG_TIMEOUT": "soon"}
    ended = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
    assert ended.stdout == (
        "HF_HUB_ETAG_TIMEOUT is 'soon', which is no number: the libraries of Hugging Face do not load.\n"
        "Give a number, or unset it.\n"
    )


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    command = 'mkdir gone && cd gone && rmdir ../gone && "$0" -m amaxds build out ' + " ".join(ONE)
    ended = subprocess.run(["sh", "-c", command, sys.executable], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr == "amaxds: the current folder is not there any more.\nChange to another one, and try again.\n"


def test_settings_of_fsspec_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    ended = amaxds("validate", tmp_path, FSSPEC_CONFIG_DIR=str(tmp_path), PYTHONHASHSEED="1")  # In a process of its own.
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"amaxds: the settings of fsspec in {tmp_path} cannot be read: JSONDecodeError ")
    assert ended.stderr.endswith("set FSSPEC_CONFIG_DIR to another folder.\n")
