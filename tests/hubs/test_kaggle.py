"""Publishing on Kaggle with its real client, against a stand-in that keeps what it is sent."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path

import pytest
from PIL import Image

from amaxds.spec.network import DEMO
from amaxds.storage.files import temporary_name
from support.commands import amaxds
from support.folders import hashes
from support.kaggle_repo import NAME, REPO, publish_on_kaggle
from support.kaggle_server import STATES, TAGS, Dataset, KaggleServer, turn

Check = Callable[..., None]
Publish = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def publish(kaggle: KaggleServer, dataset: Path, tmp_path: Path) -> Publish:
    """Publish the dataset to the stand-in, and see that the key is in nothing that is said or kept."""

    def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        ended = publish_on_kaggle(dataset, tmp_path, *arguments, **environment)
        kept = [path.read_text() for path in dataset.glob("*.json")]
        assert all(kaggle.key not in text for text in (ended.stdout, ended.stderr, *kept))
        return ended

    return run


def _uploads(kaggle: KaggleServer) -> int:
    return sum(method == "PUT" for method, _ in kaggle.requests)


def test_a_new_dataset_is_private_and_has_the_images_in_folders(kaggle: KaggleServer, publish: Publish, dataset: Path) -> None:
    ended = publish()
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    found = kaggle.datasets[REPO]
    assert (found.private, found.licence, len(found.versions)) == (True, "CC-BY-4.0", 1)
    files = found.versions[0].files
    table = {line["file_name"]: line for line in csv.DictReader(io.StringIO(files["metadata.csv"].decode()))}
    assert files.keys() == {"metadata.csv", "croissant.json", "build.json", *table}
    names = [layer.name for layer in DEMO.layers]
    published = {(names.index(line["layer"]), int(line["filter"])): line["pixels_sha256"] for line in table.values()}
    assert published == hashes(dataset)
    receipt = json.loads((dataset / "receipt-kaggle.json").read_text())
    assert (receipt["version"], receipt["files"].keys()) == ("1", files.keys())


def test_a_changed_dataset_is_one_new_version_and_an_unchanged_one_none(
    kaggle: KaggleServer, publish: Publish, dataset: Path
) -> None:
    assert publish("--public").returncode == 0
    assert not kaggle.datasets[REPO].private
    uploads = _uploads(kaggle)
    ended = publish()
    assert ended.returncode == 0, ended.stderr
    assert "27 unchanged" in ended.stdout
    assert (_uploads(kaggle), len(kaggle.datasets[REPO].versions)) == (uploads, 1)
    assert publish("--private").returncode == 0
    assert kaggle.datasets[REPO].private
    shutil.rmtree(dataset)
    arguments = ("--network", "demo", "--recipe", "original", "--steps", "2", "--layers", "block1_conv1")
    assert amaxds("build", dataset, *arguments).returncode == 0
    ended = publish("--message", "two steps")
    assert ended.returncode == 0, ended.stderr
    assert "remove  filterActivations/block1_conv2/filter-0.png" in ended.stdout
    assert [version.notes for version in kaggle.datasets[REPO].versions] == ["", "two steps"]
    assert len(kaggle.datasets[REPO].versions[-1].files) == 8 + 3


def test_a_dry_run_touches_no_network(kaggle: KaggleServer, publish: Publish) -> None:
    ended = publish("--dry-run")
    assert ended.returncode == 0, ended.stderr
    assert "27 to add" in ended.stdout
    assert kaggle.requests == []


def test_an_upload_that_stops_half_way_is_resumed(kaggle: KaggleServer, publish: Publish, dataset: Path) -> None:
    kaggle.fail("/upload/", status=503, keep=1000)
    ended = publish()
    assert ended.returncode == 0, ended.stderr
    assert len(kaggle.datasets[REPO].versions[0].files) == 27
    assert (dataset / "receipt-kaggle.json").exists()


def test_a_download_that_breaks_goes_on(kaggle: KaggleServer, publish: Publish) -> None:
    kaggle.fail("/storage/", keep=1000)
    ended = publish()
    assert ended.returncode == 0, ended.stderr
    assert sum(path.startswith("/storage/") for _, path in kaggle.requests) == 2


def test_a_file_that_kaggle_does_not_take_is_an_error_and_the_next_run_goes_on(
    kaggle: KaggleServer, publish: Publish, dataset: Path, assert_error: Check
) -> None:
    kaggle.fail("/upload/", status=500)
    assert_error(publish(), 3, "did not take the file", "run the same command again")
    assert kaggle.datasets == {}
    assert not (dataset / "receipt-kaggle.json").exists()
    assert publish().returncode == 0


def test_a_receipt_whose_writer_was_killed_is_no_finding_and_gone_after_the_next_publication(
    kaggle: KaggleServer, publish: Publish, dataset: Path
) -> None:
    with subprocess.Popen(["true"]) as ended:
        pass
    begun = temporary_name(dataset / "receipt-kaggle.json")
    begun = begun.with_name(begun.name.replace(f"-{os.getpid()}-", f"-{ended.pid}-"))
    begun.write_text("{")
    assert amaxds("validate", dataset).returncode == 0
    assert publish().returncode == 0
    assert not begun.exists()


def test_a_file_that_arrives_damaged_is_found(
    kaggle: KaggleServer, publish: Publish, dataset: Path, assert_error: Check
) -> None:
    kaggle.damage("block1_conv2/filter-3")
    assert_error(publish(), 3, "filterActivations/block1_conv2/filter-3.png arrived damaged", "no receipt")
    assert not (dataset / "receipt-kaggle.json").exists()


REFUSED = {
    401: ("GetDatasetStatus", "https://www.kaggle.com/settings"),
    403: ("CreateDataset", "may not write"),
    404: ("CreateDataset", "Check owner/name"),
    429: ("GetDatasetStatus", "Too many requests"),
    500: ("GetDatasetStatus", "run the same command again"),
    503: ("GetDatasetStatus", "run the same command again"),
}


@pytest.mark.parametrize("status", REFUSED)
def test_what_kaggle_refuses_is_said_with_what_to_do(
    status: int, kaggle: KaggleServer, publish: Publish, dataset: Path, assert_error: Check
) -> None:
    """Any failure to ask for a dataset, taken by the client as there being none, is an error here and creates nothing."""
    call, words = REFUSED[status]
    kaggle.fail(call, status=status, times=100)
    assert_error(publish(), 3, f"answered {status}", words)
    assert kaggle.datasets == {}
    assert not (dataset / "receipt-kaggle.json").exists()


def test_names_logins_and_titles_that_do_not_fit(kaggle: KaggleServer, publish: Publish, assert_error: Check) -> None:
    assert_error(publish("--repo", "owner/five5"), 2, "6 to 50 characters", "'five5' has 5")
    assert_error(publish("--repo", "owner/" + "n" * 51), 2, "6 to 50 characters")
    nobody = {"KAGGLE_USERNAME": "", "KAGGLE_KEY": ""}
    assert_error(publish(**nobody), 2, "KAGGLE_USERNAME", "kaggle.json", "https://www.kaggle.com/settings")
    assert kaggle.requests == []
    assert_error(publish(KAGGLE_KEY="wrong"), 3, "answered 401")
    for name in ("Demo-Filters", "demo_filters", "demo.filters", "demo--filters"):
        assert_error(publish("--repo", f"owner/{name}"), 2, "lower-case letters", "such as --repo demo-filters")
    kaggle.datasets["owner/mine"] = Dataset("Another name", "CC-BY-4.0", True)
    assert_error(publish("--repo", "owner/another-name"), 3, "already in use", "--repo")


def test_a_version_that_is_not_there_yet_is_waited_for(kaggle: KaggleServer, publish: Publish, dataset: Path) -> None:
    """It goes through all states, and is not handed out at once when it is ready."""
    kaggle.states, kaggle.withheld = list(STATES), 2
    assert publish().returncode == 0
    # As if the process had been killed while its version was unpacked: nothing can be had of it yet.
    (dataset / "receipt-kaggle.json").unlink()
    kaggle.datasets[REPO].states = ["BLOBS_DECOMPRESSED", "REPROCESSING"]
    ended = publish()
    assert ended.returncode == 0, ended.stderr
    assert "27 unchanged" in ended.stdout
    assert len(kaggle.datasets[REPO].versions) == 1


@pytest.mark.parametrize(("end", "words"), [("FAILED", "could not unpack"), ("DELETED", "was deleted on Kaggle")])
def test_a_version_that_comes_to_nothing_is_an_error(
    end: str, words: str, kaggle: KaggleServer, publish: Publish, dataset: Path, assert_error: Check
) -> None:
    assert publish().returncode == 0
    (dataset / "receipt-kaggle.json").unlink()
    kaggle.datasets[REPO].end = end
    assert_error(publish(), 3, words)
    assert len(kaggle.datasets[REPO].versions) == (2 if end == "FAILED" else 1)


def test_kaggle_says_how_long_to_wait(kaggle: KaggleServer, publish: Publish, assert_error: Check) -> None:
    kaggle.fail("GetDatasetStatus", status=429, headers={"Retry-After": "1"})
    kaggle.fail("CreateDataset$", status=429, headers={"Retry-After": formatdate(time.time() + 2, usegmt=True)})
    assert publish().returncode == 0
    assert kaggle.calls("CreateDataset") == 2
    assert len(kaggle.datasets[REPO].versions) == 1
    kaggle.fail("GetDatasetStatus", status=429, headers={"Retry-After": "3600"})
    assert_error(publish(), 3, "answered 429", "Too many requests")


def test_what_may_have_arrived_is_not_sent_twice(
    kaggle: KaggleServer, publish: Publish, dataset: Path, assert_error: Check
) -> None:
    kaggle.fail("CreateDataset$", after=True)
    assert_error(publish(), 3, "could not be reached", "run the same command again")
    ended = publish()
    assert ended.returncode == 0, ended.stderr
    assert (kaggle.calls("CreateDataset"), len(kaggle.datasets[REPO].versions)) == (1, 1)
    (dataset / "receipt-kaggle.json").unlink()
    kaggle.datasets[REPO].versions[0].files["old.txt"] = b"from before"
    kaggle.fail("CreateDatasetVersion$", after=True)
    assert_error(publish(), 3, "could not be reached")
    assert publish().returncode == 0
    assert (kaggle.calls("CreateDatasetVersion"), len(kaggle.datasets[REPO].versions)) == (1, 2)


def test_a_dataset_that_others_can_see_though_it_should_be_private_is_said(
    kaggle: KaggleServer, publish: Publish, dataset: Path, assert_error: Check
) -> None:
    kaggle.stubborn = True
    assert_error(publish(), 3, f"shows {REPO} as public", "/settings")
    assert not (dataset / "receipt-kaggle.json").exists()
    kaggle.stubborn = False
    assert publish("--private").returncode == 0
    assert kaggle.datasets[REPO].private
    kaggle.unsaid = {"isPrivate"}
    (dataset / "receipt-kaggle.json").unlink()
    assert publish().returncode == 0
    assert kaggle.datasets[REPO].private


def test_the_page_has_picture_tags_licence_and_every_column_and_keeps_its_visibility(
    kaggle: KaggleServer, publish: Publish, dataset: Path, assert_error: Check
) -> None:
    kaggle.tags = TAGS - {"deep learning"}
    ended = publish("--public")
    assert ended.returncode == 0
    assert ended.stderr == f"Kaggle does not know the tags deep learning: the page of {REPO} is without them\n"
    found = kaggle.datasets[REPO]
    cover = Image.open(io.BytesIO(found.cover))
    assert (cover.format, cover.size, cover.mode) == ("PNG", (560, 280), "RGB")
    tiles = {cover.crop((x, y, x + 140, y + 140)).tobytes() for x in range(0, 560, 140) for y in (0, 140)}
    assert len(tiles) == 8
    header = found.versions[0].files["metadata.csv"].decode().split("\n")[0].split(",")
    assert found.columns["metadata.csv"].keys() == set(header)
    assert all(found.columns["metadata.csv"].values())
    assert found.settings["keywords"] == ["image", "computer vision", "neural networks", "deep learning"]
    (table,) = (file for file in found.settings["data"] if file["name"] == "metadata.csv")
    assert [column["name"] for column in table["columns"]] == header
    assert {column["type"] for column in table["columns"]} == {"string", "integer", "numeric"}
    assert "isPrivate" not in found.settings, "which is how the client says that it is not"
    found.licence = "unknown"
    by_hand = {"collaborators": [{"username": "friend", "role": "WRITER"}], "expectedUpdateFrequency": "never"}
    found.settings |= by_hand
    (dataset / "receipt-kaggle.json").unlink()
    assert publish().returncode == 0
    assert {name: found.settings[name] for name in by_hand} == by_hand
    assert (found.licence, found.private, len(found.versions)) == ("CC-BY-4.0", False, 1)
    kaggle.complaints = ["The description is too long."]
    (dataset / "receipt-kaggle.json").unlink()
    assert_error(publish(), 3, "did not take its description: The description is too long", "settings")


def test_an_organisations_dataset_is_published_by_its_member(kaggle: KaggleServer, publish: Publish) -> None:
    ended = publish("--repo", f"organisation/{NAME}")
    assert ended.returncode == 0, ended.stderr
    assert kaggle.datasets.keys() == {f"organisation/{NAME}"}


SURROUNDINGS = {
    "a secure proxy, and certificates that are not there": (
        {"REQUESTS_CA_BUNDLE": "/nowhere/ca.pem", "ALL_PROXY": "https://127.0.0.1:9"},
        "",
    ),
    "a proxy of an unknown kind": ({"ALL_PROXY": "ftp://user:word@127.0.0.1:9"}, "unsupported scheme ftp"),
    "a socks proxy": ({"ALL_PROXY": "socks5://127.0.0.1:9"}, ""),
    "a proxy that is not there": ({"HTTP_PROXY": "http://user:word@127.0.0.1:9"}, ""),
}


@pytest.mark.parametrize("case", SURROUNDINGS)
def test_settings_with_which_kaggle_cannot_be_reached_are_two_lines(
    case: str, kaggle: KaggleServer, publish: Publish, dataset: Path, assert_error: Check
) -> None:
    settings, words = SURROUNDINGS[case]
    ended = publish(**{"NO_PROXY": "", "no_proxy": ""} | settings)
    assert_error(ended, 3, "could not be reached", words)
    assert "word" not in ended.stderr
    assert kaggle.requests == []
    assert not (dataset / "receipt-kaggle.json").exists()


def test_without_network_nothing_changes(dataset: Path, tmp_path: Path, assert_error: Check) -> None:
    with turn():
        ended = publish_on_kaggle(dataset, tmp_path)
    assert_error(ended, 3, "could not be reached", "run the same command again")
    assert not (dataset / "receipt-kaggle.json").exists()
