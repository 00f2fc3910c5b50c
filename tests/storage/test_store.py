"""What a store promises, and what becomes of a build in one that refuses, fails or is shared."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import boto3
import fsspec
import pytest
import s3fs
from fsspec.implementations.local import LocalFileSystem
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from amaxds.errors import StoreError, UsageError
from amaxds.storage.store import Remote, local_copy
from support.commands import amaxds
from support.folders import files_of
from support.huggingface_server import HuggingFaceServer

Check = Callable[..., None]
Environ = dict[str, Any]
SMALL = ("--network", "demo", "--recipe", "original", "--steps", "3", "--layers", "block1_conv1", "--filters", "0-3")
DENIED = "403 Forbidden", "AccessDenied"


class Store:
    """An S3 server that refuses the requests which `refused` gives a status and a code for."""

    def __init__(self) -> None:
        self._serve = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self.url = f"http://127.0.0.1:{self._server.port}"
        self.refused: Callable[[Environ], tuple[str, str] | None] = lambda request: None
        self.bucket = f"bucket-{uuid.uuid4().hex[:12]}"

    def __enter__(self) -> Store:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, request: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        refusal = self.refused(request)
        if refusal is None:
            return self._serve(request, start)
        request["wsgi.input"].read(int(request.get("CONTENT_LENGTH") or 0))
        start(refusal[0], [("Content-Type", "application/xml")])
        return [f"<Error><Code>{refusal[1]}</Code><Message>No.</Message></Error>".encode()]

    def place(self, name: str) -> Remote:
        return Remote(f"s3://{self.bucket}/{name}")

    def fetched(self, place: Remote, folder: Path) -> dict[str, bytes]:
        """Every file of a dataset there but build.json, by the store's own library."""
        s3fs.S3FileSystem(skip_instance_cache=True).get(f"{place}/", str(folder), recursive=True)
        return files_of(folder)

    def names(self, place: Remote) -> list[str]:
        found = s3fs.S3FileSystem(skip_instance_cache=True).find(str(place))
        return [name.removeprefix(f"{str(place).removeprefix('s3://')}/") for name in found]


@pytest.fixture
def store() -> Iterator[Store]:
    with Store() as store, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", store.url)
        patch.setenv("AWS_ACCESS_KEY_ID", "a")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "b")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        s3fs.S3FileSystem.clear_instance_cache()
        s3fs.S3FileSystem(skip_instance_cache=True).mkdir(store.bucket)
        yield store
        s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("local") / "out"
    assert amaxds("build", folder, *SMALL).returncode == 0
    return folder


def _on_condition(status: str, code: str) -> Callable[[Environ], tuple[str, str] | None]:
    return lambda request: (status, code) if "HTTP_IF_NONE_MATCH" in request else None


@pytest.mark.parametrize("answer", [None, ("501 Not Implemented", "NotImplemented"), ("412 Precondition Failed", "412")])
def test_a_new_file_is_put_only_where_there_is_none(store: Store, answer: tuple[str, str] | None) -> None:
    """Also where the store has no conditional requests, or refuses them in words of its own."""
    if answer is not None:
        store.refused = _on_condition(*answer)
    place = store.place("folder") / "file.json"
    place.write(b"one", new=True)
    with pytest.raises(FileExistsError):
        place.write(b"two", new=True)
    assert place.read(3) == b"one"
    place.write(b"three")
    assert place.read_text() == "three"
    with pytest.raises(ValueError, match="more than 4 bytes"):
        place.read(4)


def test_a_place_may_be_sent_to_another_process(store: Store) -> None:
    place = store.place("folder")
    place.write(b"before")  # With a connection of this process.
    code = "import pickle, sys; place = pickle.load(sys.stdin.buffer); (place / 'one').write(b'made there')"
    subprocess.run([sys.executable, "-c", code], input=pickle.dumps(place), check=True)
    assert (place / "one").read(100) == b"made there"


def test_names_that_lead_elsewhere_are_not_followed(store: Store, tmp_path: Path) -> None:
    client = boto3.client("s3")
    for key in ("data/build.json", "data/a/../../../evil", "other/build.json", "other//absolute"):
        client.put_object(Bucket=store.bucket, Key=key, Body=b"x")
    (tmp_path / "deep").mkdir()
    for name in ("data", "other"):
        with pytest.raises(UsageError, match="has a file named"):
            store.place(name).fetch(tmp_path / "deep" / name)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_only_what_is_in_the_folder_is_fetched_and_deleted(store: Store, tmp_path: Path) -> None:
    for name in ("out/a", "out/.amaxds/b", "out/.amaxds-not/c", "outer/d"):
        store.place(name).write(name.encode())
    with local_copy(store.place("out"), without=".amaxds") as folder:
        assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()) == [
            ".amaxds-not/c",
            "a",
        ]
    (store.place("out") / ".amaxds").remove()
    assert store.names(store.place("out")) == [".amaxds-not/c", "a"]
    assert store.place("outer/d").exists()


class Shelf(LocalFileSystem):
    """A file system with folders, renaming and no objects, under a protocol of its own."""

    protocol = "shelf"

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return super()._strip_protocol(path.removeprefix("shelf://"))

    def put_file(self, lpath: str, rpath: str, **kwargs: Any) -> None:
        super().put_file(lpath, rpath, **kwargs)
        if rpath.endswith(".tmp") and "full" in rpath:
            raise OSError("the shelf is full")


def test_a_store_that_is_no_store_of_objects_renames(tmp_path: Path) -> None:
    fsspec.register_implementation("shelf", Shelf, clobber=True)
    place, source = Remote(f"shelf://{tmp_path}/shelf"), tmp_path / "source"
    (place / "a" / "b").write(b"one", new=True)
    with pytest.raises(FileExistsError):
        (place / "a" / "b").write(b"two", new=True)
    source.write_bytes(b"source")
    (place / "a" / "c").upload(source)
    with pytest.raises(StoreError, match="the shelf is full"):
        (place / "a" / "full").upload(source)
    place.fetch(tmp_path / "copy")
    assert files_of(tmp_path / "copy") == {"a/b": b"one", "a/c": b"source"}
    (place / "a").remove()
    assert place.names() == []


def test_an_upload_that_fails_leaves_no_dataset_and_is_made_up_for(
    store: Store, local: Path, tmp_path: Path, assert_error: Check
) -> None:
    place = store.place("out")
    store.refused = lambda request: (
        DENIED if request["REQUEST_METHOD"] == "PUT" and request["PATH_INFO"].endswith("train-00000-of-00001.parquet") else None
    )
    ended = amaxds("build", place, *SMALL)
    assert ended.returncode == 3
    assert ended.stderr.splitlines()[-2].startswith(f"amaxds: cannot write {place}/original/train-00000-of-00001.parquet")
    left = store.names(place)
    assert "build.json" not in left
    assert ".amaxds/shards/original/block1_conv1-0000.parquet" in left
    found = amaxds("validate", place)
    assert found.returncode == 1
    assert "1 of 1 units finished" in found.stdout
    store.refused = lambda request: None
    again = amaxds("build", place, *SMALL)
    assert again.returncode == 0, again.stderr
    assert "4 of 4 images are there already" in again.stderr
    assert store.fetched(place, tmp_path / "out") == files_of(local)


def test_two_builds_of_the_same_in_a_store_do_no_harm(store: Store, local: Path, tmp_path: Path) -> None:
    place = store.place("out")
    builds = [_begin(place, SMALL) for _ in range(2)]
    errors = [build.communicate(timeout=300)[1] for build in builds]
    assert [build.returncode for build in builds] == [0, 0], errors
    assert store.fetched(place, tmp_path / "out") == files_of(local)


def _begin(place: Remote, arguments: tuple[str, ...]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "amaxds", "build", str(place), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_build_that_another_one_overtakes_ends_as_that_one_did(store: Store, tmp_path: Path) -> None:
    """The first is held up before it puts its second shard, until the second has finished and deleted all shards."""
    place, held, go_on = store.place("out"), threading.Event(), threading.Event()
    two_units = (*SMALL[:-1], "0-3", "--batch-size", "2", "--workers", "1")

    def hold_up(request: Environ) -> None:
        shard = request["REQUEST_METHOD"] == "PUT" and request["PATH_INFO"].endswith("block1_conv1-0002.parquet")
        if shard and not held.is_set():
            held.set()
            go_on.wait(120)

    store.refused = hold_up
    first = _begin(place, two_units)
    assert held.wait(120)
    second = amaxds("build", place, *two_units)
    assert "2 of 4 images are there already" in second.stderr
    made = store.fetched(place, tmp_path / "made")
    go_on.set()
    errors = first.communicate(timeout=300)[1]
    assert (second.returncode, first.returncode) == (0, 0), second.stderr + errors
    assert store.fetched(place, tmp_path / "out") == made
    assert amaxds("validate", place).returncode == 0


@pytest.mark.parametrize("command", ["build", "validate"])
def test_a_store_that_refuses_is_said_in_two_lines(store: Store, command: str, assert_error: Check) -> None:
    store.refused = lambda request: DENIED
    place = store.place("out")
    assert_error(amaxds(command, place, *(SMALL if command == "build" else ())), 3, f"cannot read {place}", "credentials")


def test_a_missing_package_is_named(assert_error: Check) -> None:
    code = "import sys; sys.modules['s3fs'] = None; from amaxds.cli.main import main; main()"
    command = [sys.executable, "-c", code, "validate", "s3://bucket/out"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert_error(ended, 3, "s3://bucket/out", "pip install 'amaxds[s3]'")


def test_the_receipt_of_what_is_published_from_a_store_is_left_there(store: Store, local: Path, tmp_path: Path) -> None:
    place = store.place("out")
    for file in (path for path in local.rglob("*") if path.is_file()):
        (place / file.relative_to(local)).upload(file)
    with HuggingFaceServer() as hub:
        settings = {"HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": hub.token, "HF_HOME": str(tmp_path / "home")}
        command = ("publish", place, "--to", "huggingface", "--repo", "owner/out", "--allow-partial")
        ended = amaxds(*command, **settings)
        assert ended.returncode == 0, ended.stderr
        assert f"receipt {place}/receipt-huggingface.json" in ended.stdout
        assert "receipt-huggingface.json" in store.names(place)
        again = amaxds(*command, "--dry-run", **settings)
    assert "0 to add, 0 to change, 0 to remove" in again.stdout
    assert amaxds("validate", place).returncode == 0


def test_the_command_line_starts_without_the_libraries_of_stores() -> None:
    code = "import sys; from amaxds.cli import main; print('fsspec' in sys.modules, 's3fs' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "False False\n"
