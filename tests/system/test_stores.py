"""Datasets in stores: built, gone on with, checked and read by URL, against a real S3 server on this machine."""

from __future__ import annotations

import json
import shutil
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from support.commands import amaxds, start_build
from support.folders import files_of
from support.shared import made_once

Check = Callable[..., None]
SMALL = ("--network", "demo", "--recipe", "original", "--steps", "3", "--layers", "block1_conv1", "--filters", "0-3")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def _s3(server: str) -> Iterator[None]:
    settings = {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        yield


@pytest.fixture
def bucket(_s3: None) -> str:
    import s3fs

    name = f"bucket-{uuid.uuid4().hex[:12]}"
    s3fs.S3FileSystem(skip_instance_cache=True).mkdir(name)
    return name


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small build under another name. Not to be changed."""

    def make(folder: Path) -> None:
        assert amaxds("build", folder / "out", *SMALL).returncode == 0

    return made_once(tmp_path_factory, "out", make) / "out"


def _fetched(url: str, folder: Path) -> Path:
    """What is in the store, by the store's own library."""
    import s3fs

    s3fs.S3FileSystem(skip_instance_cache=True).get(url, str(folder), recursive=True)
    return folder


def _sent(folder: Path, url: str) -> None:
    import s3fs

    s3fs.S3FileSystem(skip_instance_cache=True).put(str(folder), url, recursive=True)


def test_a_build_in_a_store_is_that_on_this_machine(bucket: str, local: Path, tmp_path: Path) -> None:
    url = f"s3://{bucket}/data/out"
    ended = amaxds("build", url, *SMALL)
    assert ended.returncode == 0, ended.stderr
    there = _fetched(url, tmp_path / "out")
    assert files_of(there) == files_of(local)
    assert not (there / ".amaxds").exists()
    one, other = (json.loads((folder / "build.json").read_text()) for folder in (there, local))
    assert one | {"times": None} == other | {"times": None}
    again = amaxds("build", url, *SMALL)
    assert again.returncode == 0
    assert "ranking" not in again.stderr
    audited = amaxds("audit", url, "--sample", 2)
    assert audited.returncode == 0, audited.stdout + audited.stderr
    assert "2 the same bits" in audited.stdout
    dry = ("publish", url, "--to", "huggingface", "--repo", "a/b", "--dry-run", "--allow-partial")
    assert amaxds(*dry, HF_TOKEN="hf_none").returncode == 0
    assert amaxds("diff", url, local).returncode == 0


def test_a_killed_build_in_a_store_goes_on_to_the_same_bytes(bucket: str, tmp_path: Path) -> None:
    arguments = (*SMALL[:-4], "--layers", "block1_conv1,block2_conv1", "--filters", "0-7", "--batch-size", "4")
    url, local = f"s3://{bucket}/out", tmp_path / "local" / "out"
    assert amaxds("build", local, *arguments).returncode == 0
    import s3fs

    with start_build(url, *arguments) as process:
        until = time.monotonic() + 60
        while time.monotonic() < until and process.poll() is None:
            if s3fs.S3FileSystem(skip_instance_cache=True).glob(f"{bucket}/out/.amaxds/shards/*/*.parquet"):
                break
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    unfinished = amaxds("validate", url)
    assert unfinished.returncode == 1
    assert "units finished" in unfinished.stdout
    shard = s3fs.S3FileSystem(skip_instance_cache=True).glob(f"{bucket}/out/.amaxds/shards/*/*.parquet")[0]
    s3fs.S3FileSystem(skip_instance_cache=True).pipe_file(shard, b"damaged")
    ended = amaxds("build", url, *arguments)
    assert ended.returncode == 0, ended.stderr
    assert "It is made again" in ended.stderr
    assert files_of(_fetched(url, tmp_path / "out")) == files_of(local)


def test_another_build_in_a_store_is_refused(bucket: str, local: Path, assert_error: Check) -> None:
    url = f"s3://{bucket}/out"
    _sent(local, url)
    assert_error(amaxds("build", url, *SMALL, "--seed", "9"), 2, url, "seed 0, not 9")
    _sent(local / "README.md", f"s3://{bucket}/other/mine.txt")
    assert_error(amaxds("build", f"s3://{bucket}/other", *SMALL), 2, "mine.txt")


def test_a_damaged_dataset_in_a_store_is_found(bucket: str, local: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(local, tmp_path / "copy")
    (copy / "README.md").write_text("changed")
    _sent(copy, f"s3://{bucket}/out")
    ended = amaxds("validate", f"s3://{bucket}/out")
    assert ended.returncode == 1
    assert "card" in ended.stdout


ERRORS = {
    "nothing there": ("validate", "s3://{bucket}/nothing", 2, "nothing is at s3://{bucket}/nothing"),
    "no bucket": ("build", "s3://no-such-bucket-at-all/out", 2, "no-such-bucket-at-all"),
    "no dataset": ("validate", "s3://{bucket}", 2, "s3://{bucket}"),
    "unknown protocol": ("build", "s4://bucket/out", 2, "unknown protocol, 's4'"),
    "a pattern": ("validate", "s3://{bucket}/*", 2, "names no folder"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_what_a_store_does_not_have_is_said_in_two_lines(case: str, bucket: str, assert_error: Check) -> None:
    command, url, code, words = ERRORS[case]
    assert_error(
        amaxds(command, url.format(bucket=bucket), *(SMALL if command == "build" else ())), code, words.format(bucket=bucket)
    )


def test_a_store_that_does_not_answer_is_given_up(assert_error: Check) -> None:
    settings = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    assert_error(amaxds("validate", "s3://bucket/out", timeout=60, **settings), 3, "s3://bucket/out")


def test_a_file_url_is_a_path(local: Path) -> None:
    assert amaxds("validate", f"file://{local}").returncode == 0


def test_a_sweep_goes_to_a_store(bucket: str, tmp_path: Path) -> None:
    file = tmp_path / "one.toml"
    file.write_text('networks = ["demo"]\nrecipes = ["original"]\nsteps = 3\nlayers = "block1_conv1"\nfilters = "0-3"\n')
    ended = amaxds("sweep", file, f"s3://{bucket}/many")
    assert ended.returncode == 0, ended.stderr
    assert amaxds("validate", f"s3://{bucket}/many/demo-filter-activations").returncode == 0
