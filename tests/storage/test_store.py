"""What a store promises."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem

from amaxds.errors import StoreError, UsageError
from amaxds.storage.store import Remote
from support.folders import files_of
from support.object_store import ObjectStore

Check = Callable[..., None]
Environ = dict[str, Any]
DENIED = "403 Forbidden", "AccessDenied"


def _on_condition(status: str, code: str) -> Callable[[Environ], tuple[str, str] | None]:
    return lambda request: (status, code) if "HTTP_IF_NONE_MATCH" in request else None


@pytest.mark.parametrize("answer", [None, ("501 Not Implemented", "NotImplemented"), ("412 Precondition Failed", "412")])
def test_a_new_file_is_put_only_where_there_is_none(store: ObjectStore, answer: tuple[str, str] | None) -> None:
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


def test_a_place_may_be_sent_to_another_process(store: ObjectStore) -> None:
    place = store.place("folder")
    place.write(b"before")  # With a connection of this process.
    code = "import pickle, sys; place = pickle.load(sys.stdin.buffer); (place / 'one').write(b'made there')"
    subprocess.run([sys.executable, "-c", code], input=pickle.dumps(place), check=True)
    assert (place / "one").read(100) == b"made there"


def test_names_that_lead_elsewhere_are_not_followed(store: ObjectStore, tmp_path: Path) -> None:
    client = boto3.client("s3")
    for key in ("data/build.json", "data/a/../../../evil", "other/build.json", "other//absolute"):
        client.put_object(Bucket=store.bucket, Key=key, Body=b"x")
    (tmp_path / "deep").mkdir()
    for name in ("data", "other"):
        with pytest.raises(UsageError, match="has a file named"):
            store.place(name).fetch(tmp_path / "deep" / name)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_only_what_is_in_the_folder_is_fetched_and_deleted(store: ObjectStore, tmp_path: Path) -> None:
    for name in ("out/a", "out/.amaxds/b", "out/.amaxds-not/c", "outer/d"):
        store.place(name).write(name.encode())
    with store.place("out").local_copy(without=".amaxds") as folder:
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
    (place / "a" / "c").put(source)
    with pytest.raises(StoreError, match="the shelf is full"):
        (place / "a" / "full").put(source)
    place.fetch(tmp_path / "copy")
    assert files_of(tmp_path / "copy") == {"a/b": b"one", "a/c": b"source"}
    (place / "a").remove()
    assert place.names() == []


def test_a_missing_package_is_named(assert_error: Check) -> None:
    code = "import sys; sys.modules['s3fs'] = None; from amaxds.cli.main import main; main()"
    command = [sys.executable, "-c", code, "validate", "s3://bucket/out"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert_error(ended, 3, "s3://bucket/out", "pip install 'amaxds[s3]'")
