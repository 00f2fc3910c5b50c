"""What is published where, if nobody says: the dataset folder here, in a repository of the token's own user."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import hf_api

import amaxds as library
from amaxds.errors import InvalidDataset, UsageError
from support.commands import amaxds
from support.huggingface_server import HuggingFaceServer
from support.kaggle_server import KaggleServer

Check = Callable[..., None]
NAME = "demo-filter-activations"
KAGGLE = {"KAGGLE_API_ENVIRONMENT": "TEST", "KAGGLE_CONFIG_DIR": "", "KAGGLE_API_TOKEN": "", "NO_PROXY": "localhost"}
LOGIN = KAGGLE | {"KAGGLE_USERNAME": KaggleServer.username, "KAGGLE_KEY": KaggleServer.key}


@pytest.fixture
def home(small: Path, tmp_path: Path) -> Path:
    """A folder with one finished dataset, which is home as well."""
    shutil.copytree(small, tmp_path / NAME)
    return tmp_path


def _publish(home: Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return amaxds("publish", "--allow-partial", *arguments, cwd=home, **LOGIN | {"HOME": str(home)} | environment)


def test_the_dataset_here_goes_to_the_users_own_repository_of_its_name(
    kaggle: KaggleServer, home: Path, assert_error: Check
) -> None:
    ended = _publish(home, NAME, "--to", "kaggle")
    words = (
        "publish 24 images to owner/demo-filter-activations on Kaggle (private unless it is there already; other files there"
    )
    assert_error(ended, 2, f"{words} are deleted), for the first time", "--yes", "--dry-run")
    assert kaggle.requests == []
    ended = _publish(home, "--to", "kaggle", "--yes")
    assert ended.returncode == 0, ended.stderr
    assert kaggle.datasets.keys() == {f"owner/{NAME}"}
    # Now that there is a receipt, nobody is asked, and the repository is the same whatever the folder is called.
    (home / NAME).rename(home / "renamed")
    ended = _publish(home, "--to", "kaggle")
    assert ended.returncode == 0, ended.stderr
    assert f"Kaggle owner/{NAME}: is there" in ended.stdout
    assert len(kaggle.datasets) == 1


def test_a_bundle_is_not_published_in_place_of_its_dataset(kaggle: KaggleServer, home: Path, assert_error: Check) -> None:
    """It has no parquet files: an empty dataset would be sent, and replace a good one."""
    assert amaxds("bundle", NAME, "bundle", cwd=home).returncode == 0
    for hub in ("kaggle", "hf"):
        assert_error(_publish(home, "bundle", "--to", hub, "--yes"), 2, "bundle is a bundle.", "the dataset folder")
    assert_error(amaxds("bundle", "bundle", "again", cwd=home), 2, "bundle is a bundle.")
    assert kaggle.requests == []


def test_a_dataset_that_was_moved_to_where_it_cannot_be_loaded_is_not_sent(
    kaggle: KaggleServer, home: Path, assert_error: Check
) -> None:
    (home / "runs[1]").mkdir()
    (home / NAME).rename(home / "runs[1]" / NAME)
    ended = _publish(home, f"runs[1]/{NAME}", "--to", "kaggle", "--yes")
    assert_error(ended, 2, "could not be loaded", "Move it, or give it another name")
    assert kaggle.requests == []


def test_a_receipt_that_cannot_be_used_is_not_taken_for_none(kaggle: KaggleServer, home: Path, assert_error: Check) -> None:
    """Without it, the dataset would go to another repository."""
    for text in ("{", "[]", '{"repo": "owner/elsewhere"}'):
        (home / NAME / "receipt-kaggle.json").write_text(text)
        assert_error(_publish(home, NAME, "--to", "kaggle", "--yes"), 2, "receipt-kaggle.json is no receipt", "(--repo)")
    assert kaggle.requests == []


def test_a_name_without_owner_is_one_of_the_users_own(home: Path) -> None:
    with HuggingFaceServer() as hub:
        ended = _publish(home, "--to", "hf", "--repo", "filters", "--yes", HF_TOKEN=hub.token)
        assert ended.returncode == 0, ended.stderr
        assert hub.repos.keys() == {"owner/filters"}
        assert hub.requests.count(("GET", "/api/whoami-v2")) == 1, "the hub is asked once whose token it is"


def test_a_program_is_asked_once_after_validation_and_before_anything_is_sent(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def refuse(first: list[str]) -> bool:
        asked.append(first)
        return False

    with HuggingFaceServer() as hub:
        monkeypatch.setenv("HF_TOKEN", hub.token)
        monkeypatch.setattr(hf_api.api, "_whoami_cache", {})
        options = {"allow_partial": True, "public": True, "confirm": refuse}
        with pytest.raises(UsageError, match="nothing was published"):
            library.publish(home / NAME, "hf", **options)
        assert asked == [["24 images to owner/demo-filter-activations on Hugging Face (public; other files there are deleted)"]]
        assert [path for _, path in hub.requests if path != "/api/agent-harnesses"] == ["/api/whoami-v2"]
        library.publish(home / NAME, "hf", dry_run=True, **options)
        (home / NAME / "load.py").touch()
        with pytest.raises(InvalidDataset):
            library.publish(home / NAME, "hf", **options)
        assert len(asked) == 1, "no dry run is asked about, and nothing that is not valid"


def test_a_hub_that_takes_one_recipe_is_said_to_get_no_other(tmp_path: Path) -> None:
    build = ("--network", "demo", "--recipe", "clear", "--recipe", "original", "--layers", "block1_conv1", "--filters", "0-1")
    assert amaxds("build", tmp_path / NAME, *build, "--steps", 1).returncode == 0
    ended = _publish(tmp_path, "--to", "kaggle", "--to", "hf", "--repo", "owner/two-recipes", "--dry-run")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("only the images of clear: Kaggle takes one recipe, original is left out") == 1
    ended = _publish(tmp_path, "--to", "kaggle", "--to", "hf", "--repo", "owner/two-recipes", HF_TOKEN="hf_none")
    assert "publish 2 images to owner/two-recipes on Kaggle" in ended.stderr
    assert "4 images to owner/two-recipes on Hugging Face" in ended.stderr


def test_a_dry_run_needs_no_token_and_says_what_it_cannot_know(home: Path) -> None:
    nobody = {"KAGGLE_USERNAME": "", "KAGGLE_KEY": "", "HF_TOKEN": ""}
    ended = _publish(home, "--to", "kaggle", "--to", "hf", "--dry-run", **nobody)
    assert ended.returncode == 0, ended.stderr
    for hub in ("Kaggle", "Hugging Face"):
        assert f"YOUR-NAME stands for your user name on {hub}, which only the hub can say" in ended.stdout
        assert f"{hub} YOUR-NAME/{NAME}: a new repository" in ended.stdout


@pytest.mark.parametrize(("answer", "published"), [("y", True), ("n", False), ("\x04", False)])
def test_on_a_terminal_the_first_publication_is_asked_about(
    answer: str, published: bool, kaggle: KaggleServer, home: Path
) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(ours, (24, 100))
    process = subprocess.Popen(
        [sys.executable, "-m", "amaxds", "publish", "--allow-partial", "--to", "kaggle"],
        cwd=home,
        env=os.environ | LOGIN | {"HOME": str(home)},
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    said = b""
    while b"[y/N]:" not in said:
        said += os.read(ours, 1000)
    assert b"Publish 24 images to owner/demo-filter-activations on Kaggle (private unless" in said
    assert kaggle.requests == []
    os.write(ours, answer.encode() if answer == "\x04" else f"{answer}\n".encode())
    try:
        while more := os.read(ours, 1000):
            said += more
    except OSError:  # The terminal is closed.
        pass
    os.close(ours)
    assert process.wait(120) == (0 if published else 2)
    assert bool(kaggle.datasets) == published
    assert (b"nothing was published" in said) == (not published)
    assert (said.count(b"100%") >= 2) == published, "there are bars for what is sent and what is fetched back"


def test_which_dataset_is_meant_here(home: Path, assert_error: Check) -> None:
    ended = amaxds("validate", cwd=home)
    assert (ended.returncode, ended.stdout) == (0, f"{NAME}: 24 images, valid\n")
    assert ended.stderr == f"amaxds: PATH is {NAME}\n"
    assert amaxds("validate", cwd=home / NAME).stdout == ".: 24 images, valid\n"
    (home / NAME).rename(home / "b")
    shutil.copytree(home / "b", home / "a")
    assert_error(amaxds("validate", cwd=home), 2, "here are several datasets: a, b", "PATH")
    (home / "a").rename(home / "vgg16-filter-activations")
    assert amaxds("validate", cwd=home).stdout == "vgg16-filter-activations: 24 images, valid\n"
    empty = home / "empty"
    (empty / "begun" / ".amaxds").mkdir(parents=True)
    (empty / "begun" / ".amaxds" / "build.json").touch()
    assert_error(amaxds("validate", cwd=empty), 2, "no finished dataset folder, begun is not finished", "`amaxds build`")


@pytest.mark.parametrize(
    ("command", "made"),
    [
        (("bundle",), {"bundle"}),
        (("report", "--no-neighbours"), {"report"}),
        pytest.param(("audit", "--sample", "1"), set(), marks=pytest.mark.system),
        pytest.param(("classify", "--model", "linear"), {"classification"}, marks=pytest.mark.system),
    ],
)
def test_every_command_that_reads_a_dataset_takes_the_one_here(home: Path, command: tuple[str, ...], made: set[str]) -> None:
    ended = amaxds(*command, cwd=home)
    assert (ended.returncode, ended.stderr.splitlines()[0]) == (0, f"amaxds: PATH is {NAME}"), ended.stderr
    assert made <= {path.name for path in home.iterdir()}
