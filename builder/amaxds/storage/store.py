"""Stores: files and folders that are named by a URL, such as `s3://bucket/name`, and reached with fsspec.

A file appears in a store in full or not at all. A store of objects takes each file in one request; in any other, the file is
written under a temporary name and renamed. Nothing is ever locked or appended to, so several machines may write into one
folder as long as each writes its own files.
"""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaxds.errors import AmaxdsError, DiskError, NothingThere, StoreError, UsageError, WrongData, in_words
from amaxds.storage.scratch import temporary_folder

OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "oci", "hf", "memory"}
"""Protocols of stores of objects: they take a file whole in one request, and need no folders to be made first."""
_MOST_FILES, _MOST_BYTES = 200_000, 200e9
"""More than any dataset has."""
_DELETED_AT_ONCE = 16


@dataclass(frozen=True)
class Remote:
    """A location in a store; `location.Location` says what its methods do.

    All of them raise StoreError where the store refuses or cannot be reached.
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

    def absolute(self) -> Remote:
        return self

    def kind(self) -> str | None:
        with self._reaching("read") as (store, path):
            try:
                return str(store.info(path)["type"])
            except FileNotFoundError:
                return None

    def exists(self) -> bool:
        return self.kind() is not None

    def names(self) -> list[str]:
        with self._reaching("read") as (store, path):
            found = {name.rstrip("/") for name in store.ls(path, detail=False)}
            return sorted(name.rpartition("/")[2] for name in found - {path})

    def read(self, most: int) -> bytes:
        with self._reaching("read") as (store, path):
            if (store.info(path)["size"] or 0) <= most:
                return bytes(store.cat_file(path))
        raise WrongData(f"more than {most} bytes")

    def read_text(self, encoding: str = "utf-8") -> str:
        return self.read(16_000_000).decode(encoding)

    def write(self, data: bytes, new: bool = False) -> None:
        with self._writing() as (store, path):
            if new and _takes_objects(store):
                try:
                    store.pipe_file(path, data, mode="create")
                    return
                except OSError as error:  # Some stores cannot write only where nothing is, or say so in their own words.
                    if error.errno not in (errno.ENOSYS, errno.EINVAL):
                        raise
            if new and store.exists(path):
                raise FileExistsError(self.url)
            _put(store, path, lambda target: store.pipe_file(target, data))

    def put(self, file: Path) -> None:
        with self._writing() as (store, path):
            _put(store, path, lambda target: store.put_file(str(file), target))

    def fetch(self, target: Path, without: str | None = None) -> None:
        """Fetch the file, or all that is in the folder except the folder in it named `without`, to a path where nothing is yet.

        FileNotFoundError where there is nothing to fetch. The store is not trusted: UsageError for names that would lead out
        of the target, and for more files or bytes than any dataset has.
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
        with self._writing() as (store, root):
            with ThreadPoolExecutor(_DELETED_AT_ONCE) as pool:
                list(pool.map(store.rm_file, self._files(store, root)))
            if not _takes_objects(store) and store.exists(root):
                store.rm(root, recursive=True)

    def _files(self, store: Any, root: str) -> dict[str, dict[str, Any]]:
        """All files beneath this folder by the store's own names, with what it says of each (`size`, `type`).

        The empty files that some stores keep in the place of folders are left out.
        """
        found = store.find(root, detail=True)
        return {name: each for name, each in found.items() if each["type"] == "file" and not name.endswith("/")}

    def _inside(self, root: str, name: str) -> str:
        """The store's name of a file, relative to this folder; UsageError where it would lead out of it."""
        inside = name.removeprefix(f"{root}/")
        if not name.startswith(f"{root}/") or any(part in ("", ".", "..") or "\0" in part for part in inside.split("/")):
            raise UsageError(f"{self} has a file named {inside!r}.", "It is no dataset of this tool.")
        return inside

    @contextlib.contextmanager
    def local_copy(self, without: str | None = None) -> Iterator[Path]:
        with temporary_folder() as folder:
            try:
                self.fetch(folder / self.name, without)
            except FileNotFoundError as error:
                raise NothingThere(f"nothing is at {self} ({in_words(error)}).", "Check the URL.") from error
            yield folder / self.name

    def lock(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[tuple[Any, str]]:
        """As `_reaching`, to write: what is not found then is the bucket."""
        try:
            with self._reaching("write") as reached:
                yield reached
        except FileNotFoundError as error:
            raise UsageError(
                f"cannot write {self}: {in_words(error)}.", "Make the bucket first, or choose another OUT."
            ) from error

    @contextlib.contextmanager
    def _reaching(self, verb: str) -> Iterator[tuple[Any, str]]:
        """The store as fsspec has it, and this location's name in it. What it raises becomes a StoreError or DiskError.

        verb: what is being done, for the message. FileNotFoundError and FileExistsError are left as they are.
        """
        import fsspec  # type: ignore[import-untyped]  # the library has no types

        try:
            store, path = fsspec.url_to_fs(self.url)
            store.invalidate_cache()  # fsspec remembers what it saw, but others write there too.
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
    return not OBJECT_STORES.isdisjoint(protocols)


def _put(store: Any, path: str, put: Callable[[str], None]) -> None:
    """Have `put` write the file of the name it is given, in such a way that it appears at `path` in full or not at all."""
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
