"""Publishing with the real clients, against stand-ins for the hubs that keep what they are sent."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import amaxds as library
from amaxds.hubs import huggingface
from support import huggingface_repo
from support.commands import amaxds, run_program
from support.folders import hashes
from support.huggingface_repo import REPO
from support.huggingface_server import HuggingFaceServer

Check = Callable[..., None]
Publish = Callable[..., subprocess.CompletedProcess[str]]


def _data(folder: Path) -> dict[str, bytes]:
    """The files that are to be published."""
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: data for name, data in files.items() if not name.startswith("receipt-")}


def _there(hub: HuggingFaceServer) -> dict[str, bytes]:
    return {name: data for name, data in hub.repos[REPO].commits[-1].files.items() if name != ".gitattributes"}


def test_a_new_repository_is_private_and_holds_the_dataset(hub: HuggingFaceServer, publish: Publish, dataset: Path) -> None:
    ended = publish("--message", "first version")
    assert ended.returncode == 0, ended.stderr
    assert hub.repos[REPO].private
    assert hub.repos[REPO].commits[-1].message == "first version"
    assert _there(hub) == _data(dataset)
    receipt = json.loads((dataset / "receipt-huggingface.json").read_text())
    assert receipt["version"] == hub.repos[REPO].commits[-1].id
    assert receipt["files"].keys() == _data(dataset).keys()
    assert amaxds("validate", dataset).returncode == 0


def test_a_second_publication_that_was_cut_off_is_finished(hub: HuggingFaceServer, publish: Publish, dataset: Path) -> None:
    """What it sent has arrived, and the receipt is still that of the first, which sent other files."""
    assert publish().returncode == 0
    receipt = dataset / "receipt-huggingface.json"
    first = json.loads(receipt.read_text()) | {"version": hub.repos[REPO].commits[0].id}
    receipt.write_text(json.dumps(first | {"files": first["files"] | {"README.md": "0" * 64}}))
    ended = publish()
    assert ended.returncode == 0, ended.stderr
    assert json.loads(receipt.read_text())["version"] == hub.repos[REPO].commits[-1].id


def test_public_is_said_and_changed_only_when_asked(hub: HuggingFaceServer, publish: Publish) -> None:
    assert publish("--public").returncode == 0
    assert not hub.repos[REPO].private
    assert publish().returncode == 0
    assert not hub.repos[REPO].private
    assert publish("--private").returncode == 0
    assert hub.repos[REPO].private


def test_what_was_private_is_not_shown_before_what_replaces_it_is_there(
    hub: HuggingFaceServer, publish: Publish, dataset: Path, assert_error: Check
) -> None:
    assert publish().returncode == 0
    arguments = ("--network", "demo", "--recipe", "original", "--steps", "2", "--layers", "block1_conv1")
    shutil.rmtree(dataset)
    assert amaxds("build", dataset, *arguments).returncode == 0
    hub.fail("POST", "/commit/", 403)
    assert_error(publish("--public"), 3, "answered 403")
    assert hub.repos[REPO].private
    assert publish("--public").returncode == 0
    assert not hub.repos[REPO].private


def test_a_repository_whose_history_was_squashed_is_published_again(
    hub: HuggingFaceServer, publish: Publish, dataset: Path
) -> None:
    assert publish().returncode == 0
    commits = hub.repos[REPO].commits
    commits[:] = [dataclasses.replace(commits[-1], id="5" * 40)]
    ended = publish()
    assert ended.returncode == 0, ended.stderr
    assert json.loads((dataset / "receipt-huggingface.json").read_text())["version"] == "5" * 40


def test_what_is_there_already_is_not_sent_again(hub: HuggingFaceServer, publish: Publish, dataset: Path) -> None:
    assert publish().returncode == 0
    commits = len(hub.repos[REPO].commits)
    ended = publish()
    assert ended.returncode == 0, ended.stderr
    assert "0 to add, 0 to change, 0 to remove" in ended.stdout
    assert len(hub.repos[REPO].commits) == commits
    hub.repos[REPO].commits[-1].files["old.txt"] = b"from before"
    shutil.rmtree(dataset)
    arguments = ("--network", "demo", "--recipe", "original", "--steps", "2", "--layers", "block1_conv1")
    assert amaxds("build", dataset, *arguments).returncode == 0
    hub.requests.clear()
    ended = publish("--message", "two steps")
    assert ended.returncode == 0, ended.stderr
    assert "remove  old.txt" in ended.stdout
    assert _there(hub) == _data(dataset)
    assert hub.repos[REPO].commits[-1].message == "two steps"
    assert len(hub.repos[REPO].commits) == commits + 1


def test_a_dry_run_and_a_partial_build_touch_no_network(hub: HuggingFaceServer, publish: Publish, dataset: Path) -> None:
    ended = publish("--dry-run")
    assert ended.returncode == 0, ended.stderr
    assert "a new repository" in ended.stdout
    assert "add     README.md" in ended.stdout
    ended = amaxds("publish", dataset, "--to", "huggingface", "--repo", REPO, HF_TOKEN=hub.token)
    assert ended.returncode == 2
    assert "is a partial build: it has 24 of 528 filters." in ended.stderr
    named = shutil.copytree(dataset, dataset.with_name("csv"))  # A name that load_dataset has a builder of.
    ended = amaxds("publish", named, "--to", "huggingface", "--repo", REPO, "--dry-run", "--allow-partial")
    assert ended.returncode == 0, ended.stderr
    assert hub.requests == []
    assert publish().returncode == 0
    assert "7 unchanged" in publish("--dry-run").stdout


@pytest.mark.system
def test_the_gallery_becomes_a_static_space_of_the_same_name(
    hub: HuggingFaceServer, publish: Publish, dataset: Path, report: Path, assert_error: Check
) -> None:
    planned = publish("--gallery", "--dry-run")
    assert "Hugging Face Space owner/demo-filter-activations: a new repository" in planned.stdout
    assert hub.requests == []
    ended = publish("--gallery", "--public")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert _there(hub) == _data(dataset)
    space = hub.spaces[REPO]
    assert not space.private
    page = {name: data for name, data in space.commits[-1].files.items() if name != ".gitattributes"}
    card = page.pop("README.md").decode()
    assert "sdk: static\napp_file: index.html\n" in card
    assert f"datasets:\n- {REPO}\n" in card
    preview = f"https://huggingface.co/spaces/{REPO}/resolve/main/gallery/preview.jpg"
    assert f"thumbnail: {preview}\n" in card
    written = {path.relative_to(report).as_posix(): path.read_bytes() for path in report.rglob("*") if path.is_file()}
    written["index.html"] = written["index.html"].replace(b'"gallery/preview.jpg"', f'"{preview}"'.encode())
    assert page == written
    receipt = json.loads((dataset / "receipt-gallery.json").read_text())
    assert (receipt["version"], receipt["url"]) == (space.commits[-1].id, f"{hub.url}/spaces/{REPO}")
    assert amaxds("validate", dataset).returncode == 0
    assert publish("--gallery").returncode == 0
    assert len(space.commits) == 2, "nothing has changed, so nothing was sent"
    hub.damage(r"gallery/app\.js")
    (dataset / "receipt-gallery.json").unlink()
    assert_error(publish("--gallery"), 3, "gallery/app.js arrived damaged")
    assert not (dataset / "receipt-gallery.json").exists()


@pytest.mark.system
def test_a_program_is_asked_about_both_before_another_process_publishes_them(
    hub: HuggingFaceServer, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", hub.token)
    asked: list[list[str]] = []
    said: list[str] = []

    def confirm(first: list[str]) -> bool:
        asked.append(first)
        return True

    library.publish(dataset, "hf", REPO, allow_partial=True, gallery=True, show=said.append, confirm=confirm)
    kinds = ("Hugging Face", "Hugging Face Space")
    then = "(private unless it is there already; other files there are deleted)"
    assert asked == [[f"24 images to {REPO} on {kind} {then}" for kind in kinds]]
    assert hub.repos.keys() == hub.spaces.keys() == {REPO}
    assert sum("published and verified" in line for line in said) == 2


def test_there_is_no_gallery_without_hugging_face(dataset: Path, assert_error: Check) -> None:
    ended = amaxds("publish", dataset, "--to", "kaggle", "--repo", REPO, "--gallery", "--allow-partial")
    assert_error(ended, 2, "Space on Hugging Face", "--to huggingface")


def test_a_finding_stops_publishing(hub: HuggingFaceServer, publish: Publish, dataset: Path) -> None:
    (dataset / "load.py").write_text("print(1)")
    ended = publish()
    assert ended.returncode == 1
    assert "load.py" in ended.stdout
    assert hub.requests == []


def test_load_dataset_gives_what_was_built_to_someone_without_amaxds(
    hub: HuggingFaceServer, publish: Publish, small: Path, tmp_path: Path
) -> None:
    assert publish().returncode == 0
    ended = run_program("load_without_amaxds.py", REPO, HF_TOKEN=hub.token, HF_HOME=str(tmp_path / "else"))
    assert ended.returncode == 0, ended.stderr
    assert {(layer, filter): digest for layer, filter, digest in json.loads(ended.stdout)} == hashes(small)


def test_an_interrupted_upload_goes_on(hub: HuggingFaceServer, publish: Publish, dataset: Path) -> None:
    """One large file is refused; the next run sends that one alone, over a connection that is cut once on the way."""
    refused = hashlib.sha256((dataset / "original" / "train-00000-of-00001.parquet").read_bytes()).hexdigest()
    hub.fail(method="PUT", path=refused, status=403, times=1)
    ended = publish()
    assert ended.returncode == 3
    assert "amaxds: Hugging Face answered 403" in ended.stderr
    assert len(hub.repos[REPO].commits) == 1
    assert not (dataset / "receipt-huggingface.json").exists()
    stored = set(hub.repos[REPO].objects)
    hub.requests.clear()
    hub.fail(method="PUT", path=refused, status=200, times=1, after_bytes=1000)
    ended = publish()
    assert ended.returncode == 0, ended.stderr
    sent = {path.rsplit("/", 1)[-1] for method, path in hub.requests if method == "PUT"}
    assert refused in sent
    assert not sent & stored
    assert _there(hub) == _data(dataset)


def test_a_file_that_arrives_damaged_is_found(
    hub: HuggingFaceServer, publish: Publish, dataset: Path, assert_error: Check
) -> None:
    hub.damage("contact-sheet")
    assert_error(publish(), 3, "contact-sheet-original.png arrived damaged", "no receipt")
    assert not (dataset / "receipt-huggingface.json").exists()


REFUSED = {
    401: ("/api/whoami", "settings/tokens"),
    403: ("/api/repos/create", "may not write"),
    404: ("/commit/", "Check owner/name"),
    429: ("/api/repos/create", "Too many requests"),
    500: ("/commit/", "run the same command again"),
    503: ("/commit/", "run the same command again"),
}


@pytest.mark.parametrize("status", REFUSED)
def test_what_a_hub_refuses_is_said_with_what_to_do(
    status: int, hub: HuggingFaceServer, publish: Publish, dataset: Path, assert_error: Check
) -> None:
    path, words = REFUSED[status]
    hub.fail(method="POST" if status != 401 else "GET", path=path, status=status, times=40)
    assert_error(publish(), 3, f"answered {status}", words)
    assert not (dataset / "receipt-huggingface.json").exists()


def test_names_and_tokens_are_checked_before_anything_is_sent(
    hub: HuggingFaceServer, publish: Publish, assert_error: Check
) -> None:
    assert_error(publish(HF_TOKEN=""), 2, "HF_TOKEN", "https://huggingface.co/settings/tokens")
    for name in ("/nobody", "owner/" + "n" * 97, "owner/../x", "owner/a--b", "owner/x.git"):
        assert_error(publish("--repo", name), 2, name[:20])
    assert_error(publish("--to", "nowhere"), 2, "unknown hub 'nowhere'", "huggingface")
    assert hub.requests == []


def test_nothing_is_sent_to_one_hub_where_another_cannot_be_published_on(
    hub: HuggingFaceServer, publish: Publish, tmp_path: Path, assert_error: Check
) -> None:
    nobody = {"KAGGLE_USERNAME": "", "KAGGLE_KEY": "", "KAGGLE_API_TOKEN": "", "HOME": str(tmp_path)}
    assert_error(publish("--to", "kaggle", **nobody), 2, "no token for Kaggle")
    assert hub.requests == []


def test_a_card_that_the_hub_refuses_is_found_before_anything_is_sent(
    hub: HuggingFaceServer, publish: Publish, assert_error: Check
) -> None:
    hub.card_errors = ["license must be one of a list", "tags must be few"]
    assert_error(publish(), 3, "does not take the card", "license must be one of a list", "Nothing was sent")
    assert hub.repos == {}
    hub.card_errors, hub.card_warnings = [], ["empty or missing yaml metadata"]
    ended = publish()
    assert ended.returncode == 0
    assert ended.stderr.count("\n") == 1
    assert "Hugging Face: Warnings while validating metadata in README.md: - empty or missing yaml" in ended.stderr


def test_the_hub_says_which_files_are_large(
    hub: HuggingFaceServer, publish: Publish, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_repo, "LARGE", [r"\.json$", r"train.*\.parquet$"])
    assert publish().returncode == 0
    assert _there(hub) == _data(dataset)
    large = {hashlib.sha256(data).hexdigest() for name, data in _data(dataset).items() if "json" in name or "train" in name}
    assert hub.repos[REPO].objects.keys() == large
    assert "7 unchanged" in publish().stdout


def test_a_repository_that_others_can_see_though_it_should_be_private_is_said(
    hub: HuggingFaceServer, publish: Publish, dataset: Path, assert_error: Check
) -> None:
    hub.stubborn = True
    assert_error(publish(), 3, f"shows {REPO} as public", "/settings")
    assert not (dataset / "receipt-huggingface.json").exists()


def test_an_organisations_repository_is_published_by_its_member(hub: HuggingFaceServer, publish: Publish) -> None:
    ended = publish("--repo", "organisation/filters")
    assert ended.returncode == 0, ended.stderr
    assert hub.repos.keys() == {"organisation/filters"}


def test_what_was_committed_since_the_comparison_is_not_overwritten(
    hub: HuggingFaceServer, publish: Publish, dataset: Path, assert_error: Check
) -> None:
    assert publish().returncode == 0
    hub.repos[REPO].commits[-1].files["old.txt"] = b"from before"

    def commit_before(arrived: int) -> None:
        if "/commit/" in hub.requests[-1][1]:
            hub.repos[REPO].add("somebody else's", {".gitattributes": b""})

    hub.on_request = commit_before
    assert_error(publish(), 3, "answered 412", "run the same command again")
    hub.on_request = lambda arrived: None
    assert publish().returncode == 0
    assert _there(hub) == _data(dataset)


@pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")  # How the client uses its HTTP library.
def test_many_files_are_committed_in_parts(hub: HuggingFaceServer, dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", hub.token)
    monkeypatch.setattr(huggingface, "_MOST_IN_COMMIT", 3)
    library.publish(dataset, "hf", REPO, allow_partial=True)
    assert _there(hub) == _data(dataset)
    commits = hub.repos[REPO].commits
    assert [len(commit.files) for commit in commits] == [1, 4, 7, 8]
    assert "README.md" not in commits[1].files


def test_a_gated_dataset_is_read_by_those_who_may(
    hub: HuggingFaceServer, publish: Publish, tmp_path: Path, assert_error: Check
) -> None:
    assert publish("--public").returncode == 0
    hub.repos[REPO].gated = True
    assert_error(amaxds("validate", REPO, cwd=tmp_path, HF_TOKEN=""), 3, "answered 403", "ask for access")
    assert amaxds("validate", REPO, cwd=tmp_path, HF_TOKEN=hub.token).returncode == 0
    assert publish().returncode == 0
