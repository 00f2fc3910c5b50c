"""Datasets on a hub are checked by their names, as anyone else would fetch them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from amaxds.dataset.build_reader import require_build_info
from amaxds.dataset.bundle import bundle
from support.commands import amaxds
from support.huggingface_repo import Repo
from support.huggingface_server import HuggingFaceServer
from support.kaggle_server import Dataset, KaggleServer, Version

REPO = "owner/demo-filter-activations"
Check = Callable[..., None]
Validate = Callable[..., subprocess.CompletedProcess[str]]


def _files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _damaged(files: dict[str, bytes]) -> dict[str, bytes]:
    return files | {"build.json": files["build.json"].replace(b'"seed": 0', b'"seed": 1')}


@pytest.fixture
def hub(small: Path) -> Iterator[HuggingFaceServer]:
    """The hub with two versions of the small dataset, the second of them with another seed in build.json."""
    with HuggingFaceServer() as server:
        server.repos[REPO] = Repo(False, [])
        for files in (_files(small), _damaged(_files(small))):
            server.repos[REPO].add("a version", {".gitattributes": b"*.parquet filter=lfs\n"} | files)
        yield server


@pytest.fixture
def validate(hub: HuggingFaceServer, tmp_path: Path) -> Validate:
    """Validate without any token."""
    settings = {"TMPDIR": str(tmp_path), "HF_TOKEN": ""}
    return lambda *arguments, command="validate": amaxds(command, *arguments, cwd=tmp_path, **settings)


def test_a_repository_is_validated_by_its_name_and_version_without_a_token(
    hub: HuggingFaceServer, validate: Validate, tmp_path: Path
) -> None:
    first = f"{REPO}@{hub.repos[REPO].commits[0].id}"
    ended = validate(first)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == f"{first}: 24 images, valid\n"
    ended = validate(REPO)
    assert ended.returncode == 1
    assert "seed is 0, build.json says 1" in ended.stdout
    assert f"{REPO}: 24 images," in ended.stdout
    assert list(tmp_path.iterdir()) == []


def test_two_versions_of_a_repository_are_compared(hub: HuggingFaceServer, validate: Validate) -> None:
    ended = validate(f"{REPO}@{hub.repos[REPO].commits[0].id}", REPO, command="diff")
    assert (ended.returncode, ended.stderr) == (1, "")
    assert ended.stdout == "build.json seed: 0 -> 1\n0 added, 0 removed, 0 changed, 24 the same\n"


def test_a_path_that_is_there_comes_before_a_repository(validate: Validate, tmp_path: Path) -> None:
    (tmp_path / REPO).mkdir(parents=True)
    ended = validate(REPO)
    assert ended.returncode == 1
    assert "build.json: is missing" in ended.stdout


def test_what_is_not_there_is_said_so(hub: HuggingFaceServer, validate: Validate, assert_error: Check) -> None:
    assert_error(validate("owner/nothing"), 3, "no dataset owner/nothing", "no such path here")
    assert_error(validate(f"{REPO}@v9"), 3, "no dataset revision 'v9' of owner/demo-filter-activations")
    assert_error(validate("gitlab:owner/name"), 2, "unknown hub 'gitlab'", "huggingface and kaggle")
    assert_error(validate("nothing"), 2, "nothing is no folder and no file", "owner/name")
    assert_error(validate("owner/na--me"), 2, "'owner/na--me' is no name for Hugging Face")
    hub.repos[REPO].private = True
    assert_error(validate(REPO), 3, f"no dataset {REPO} that you may read", "HF_TOKEN")
    hub.server.shutdown()
    hub.server.server_close()
    assert_error(validate(REPO), 3, f"Hugging Face could not be reached for {REPO}", "Check the connection")


def test_a_repository_that_can_be_no_dataset_is_not_fetched(
    hub: HuggingFaceServer, validate: Validate, tmp_path: Path, assert_error: Check
) -> None:
    hub.repos[REPO].add("many", {f"{number}.txt": b"x" for number in range(1001)})
    assert_error(validate(REPO), 3, "has 1001 files")
    hub.repos[REPO].add("climbs out", {"../../evil.txt": b"x"})
    assert_error(validate(REPO), 3, "has a file named '../../evil.txt'")
    assert not [path for method, path in hub.requests if "/resolve/" in path]


def test_a_dataset_on_kaggle_is_validated_as_the_zip_that_kaggle_gives(
    small: Path, tmp_path: Path, assert_error: Check
) -> None:
    bundle(small, require_build_info(small), tmp_path / "bundle")
    files = {name: data for name, data in _files(tmp_path / "bundle").items() if name != "dataset-metadata.json"}
    login = {"KAGGLE_USERNAME": KaggleServer.username, "KAGGLE_KEY": KaggleServer.key, "KAGGLE_API_TOKEN": ""}
    settings = {"HOME": str(tmp_path), "KAGGLE_API_ENVIRONMENT": "TEST", "KAGGLE_CONFIG_DIR": "", "NO_PROXY": "localhost"}
    with KaggleServer() as server:
        server.datasets[REPO] = Dataset("title", "CC-BY-4.0", False, [Version("", files), Version("", _damaged(files))])
        ended = amaxds("validate", f"kaggle:{REPO}@1", **settings | login)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert ended.stdout == f"kaggle:{REPO}@1: 24 images, valid\n"
        ended = amaxds("validate", f"kaggle:{REPO}", **settings | login)
        assert ended.returncode == 1
        assert "seed is 0, build.json says 1" in ended.stdout
        assert_error(amaxds("validate", "kaggle:owner/nothing", **settings | login), 3, "no dataset owner/nothing")
        assert_error(amaxds("validate", f"kaggle:{REPO}@first", **settings | login), 2, "'first' is no version")
        assert_error(amaxds("validate", f"kaggle:{REPO}", **settings), 2, "no token for Kaggle")
