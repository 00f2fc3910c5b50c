"""Stores: folders and files that a URL names, `s3://bucket/name` or any other that fsspec reaches.

A file appears there whole or not at all: a store of objects takes each in one request that it carries out or not; elsewhere
a file is written under another name and renamed. Nothing is locked and nothing appended, so several machines may write the
files of one folder, each its own.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import tempfile
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaxds.errors import AmaxdsError, DiskError, StoreError, UsageError, in_words

_URL = re.compile(r"([A-Za-z][\w+.-]*)://(.*)", re.ASCII | re.DOTALL)
_OBJECTS = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "oci", "hf", "memory"}
"""Protocols of stores that take an object whole, and have no folders to be made first."""
_WILD = set("*?[]")
"""fsspec would take these for patterns."""
_MOST_FILES, _MOST_BYTES = 20_000, 50e9
_AT_ONCE = 16


@dataclass(frozen=True)
class Remote:
    """A folder or file in a store, as far as it is used like a Path. It is only its name: it may be sent to other processes.

    All methods raise StoreError where the store refuses or cannot be reached.
    """

    url: str
    """Without a slash at its end."""

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, inside: str | Path) -> Remote:
        return Remote(f"{self.url}/{inside}")

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]

    def kind(self) -> str | None:
        """file, directory, or None where nothing is there."""
        with self._reaching("read") as (store, path):
            try:
                return str(store.info(path)["type"])
            except FileNotFoundError:
                return None

    def exists(self) -> bool:
        return self.kind() is not None

    def names(self) -> list[str]:
        """Of the files and folders in this folder."""
        with self._reaching("read") as (store, path):
            found = {name.rstrip("/") for name in store.ls(path, detail=False)}
            return sorted(name.rpartition("/")[2] for name in found - {path})

    def read(self, most: int) -> bytes:
        """FileNotFoundError, or ValueError where there are more than that many bytes."""
        with self._reaching("read") as (store, path):
            if (store.info(path)["size"] or 0) <= most:
                return bytes(store.cat_file(path))
        raise ValueError(f"more than {most} bytes")

    def read_text(self, encoding: str = "utf-8") -> str:
        return self.read(16_000_000).decode(encoding)

    def write(self, data: bytes, new: bool = False) -> None:
        """Put the file there whole. new: FileExistsError where it is there already."""
        with self._writing() as (store, path):
            if new and _takes_objects(store):
                try:
                    store.pipe_file(path, data, mode="create")
                    return
                except OSError as error:  # Some stores cannot put a file only where there is none, or refuse it in other words.
                    if error.errno not in (errno.ENOSYS, errno.EINVAL):
                        raise
            if new and store.exists(path):
                raise FileExistsError(self.url)
            _put(store, path, lambda target: store.pipe_file(target, data))

    def upload(self, file: Path) -> None:
        """Put a file of this machine there whole."""
        with self._writing() as (store, path):
            _put(store, path, lambda target: store.put_file(str(file), target))

    def fetch(self, target: Path, without: str | None = None) -> None:
        """Fetch the file, or all that is in the folder but one of its folders, to that path, where nothing is yet.

        The store is not trusted: UsageError for names that lead elsewhere, and for more than any dataset has.
        """
        with self._reaching("read") as (store, root):
            found = {root: store.info(root)}
            local = {root: target}
            if found[root]["type"] != "file":
                target.mkdir()
                found = self._files(store, root)
                if without is not None:
                    found = {name: each for name, each in found.items() if not name.startswith(f"{root}/{without}/")}
                local = {name: target / self._inside(root, name) for name in found}
            size = sum(each["size"] or 0 for each in found.values())
            if len(found) > _MOST_FILES or size > _MOST_BYTES:
                raise UsageError(
                    f"{self} has {len(found)} files of {size / 1e9:.1f} GB in all, more than any dataset of this tool.",
                    "Check the URL.",
                )
            for path in local.values():
                path.parent.mkdir(parents=True, exist_ok=True)  # Not every store does.
            store.get(list(local), list(map(str, local.values())))

    def remove(self) -> None:
        """Delete the folder, whether it is there or not."""
        with self._writing() as (store, root):
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                list(pool.map(store.rm_file, self._files(store, root)))
            if not _takes_objects(store) and store.exists(root):
                store.rm(root, recursive=True)

    def _files(self, store: Any, root: str) -> dict[str, dict[str, Any]]:
        """What the store calls the files of this folder, and what it says of each. Some keep an empty file for a folder."""
        found = store.find(root, detail=True)
        return {name: each for name, each in found.items() if each["type"] == "file" and not name.endswith("/")}

    def _inside(self, root: str, name: str) -> str:
        inside = name.removeprefix(f"{root}/")
        if not name.startswith(f"{root}/") or any(part in ("", ".", "..") or "\0" in part for part in inside.split("/")):
            raise UsageError(f"{self} has a file named {inside!r}.", "It is no dataset of this tool.")
        return inside

    @contextlib.contextmanager
    def _writing(self) -> Iterator[tuple[Any, str]]:
        try:
            with self._reaching("write") as reached:
                yield reached
        except FileNotFoundError as error:
            raise UsageError(
                f"cannot write {self}: {in_words(error)}.", "Make the bucket first, or choose another OUT."
            ) from error

    @contextlib.contextmanager
    def _reaching(self, verb: str) -> Iterator[tuple[Any, str]]:
        """The store and this file's name in it. Its errors are those of a dozen libraries."""
        import fsspec  # type: ignore[import-untyped]  # the library has no types

        try:
            store, path = fsspec.url_to_fs(self.url)
            store.invalidate_cache()  # What it saw before is no longer so: others write there too.
            yield store, path
        except (AmaxdsError, FileNotFoundError, FileExistsError, MemoryError):
            raise
        except ImportError as error:
            protocol = self.url.partition(":")[0]
            remedy = "Install it: pip install 'amaxds[s3]'" if protocol in ("s3", "s3a") else "Install what it needs."
            raise StoreError(f"{self} cannot be reached: a package is missing ({in_words(error)}).", remedy) from error
        except Exception as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskError(f"no room for {self}: {os.strerror(error.errno)}.", "Make room in TMPDIR.") from error
            raise StoreError(
                f"cannot {verb} {self}: {in_words(error)}.",
                "Check URL, network and credentials, and run the same command again: what is finished is kept.",
            ) from error


def _takes_objects(store: Any) -> bool:
    protocols = (store.protocol,) if isinstance(store.protocol, str) else store.protocol
    return not _OBJECTS.isdisjoint(protocols)


def _put(store: Any, path: str, put: Callable[[str], None]) -> None:
    """Have a file put whole, by a function of its name."""
    if _takes_objects(store):
        put(path)
        return
    folder, _, name = path.rpartition("/")
    temporary = f"{folder}/.{name}.{uuid.uuid4().hex}.tmp"
    store.makedirs(folder, exist_ok=True)
    try:
        put(temporary)
        store.mv(temporary, path)
    except BaseException:
        with contextlib.suppress(Exception):
            store.rm_file(temporary)
        raise


Location = Path | Remote
"""Where a folder or file is."""


def parse_location(text: str) -> Location:
    """The path or URL that is meant; `file://` is a path. UsageError for a URL that names no folder or file."""
    url = _URL.fullmatch(text)
    if url is None:
        return Path(text)
    protocol, rest = url[1], url[2].rstrip("/")
    if protocol in ("file", "local"):
        return Path(url[2])
    import fsspec

    if protocol not in fsspec.available_protocols():
        raise UsageError(f"{text} is of an unknown protocol, {protocol!r}.", "Give a path, or a URL such as s3://bucket/name.")
    if not text.isprintable() or rest.rpartition("/")[2] in ("", ".", "..") or not _WILD.isdisjoint(rest):
        raise UsageError(f"{text!r} names no folder and no file.", "Give a URL such as s3://bucket/name, without * ? [ ].")
    return Remote(f"{protocol}://{rest}")


@contextlib.contextmanager
def local_copy(place: Location, without: str | None = None) -> Iterator[Path]:
    """A path as it is; what a URL names is fetched for as long as it is used, but for one of its folders.

    UsageError where nothing is there.
    """
    if isinstance(place, Path):
        yield place
        return
    with tempfile.TemporaryDirectory(prefix="amaxds-") as folder:
        try:
            place.fetch(Path(folder) / place.name, without)
        except FileNotFoundError as error:
            raise UsageError(f"nothing is at {place} ({in_words(error)}).", "Check the URL.") from error
        yield Path(folder) / place.name
