"""Locations: where a file or folder is, at a path of this machine or at a URL in a store, and what can be done there."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, Self

import filelock

from amaxds.errors import UsageError
from amaxds.storage.files import disk_errors, given_path, move_whole, read_bounded, remove, write_whole
from amaxds.storage.store import OBJECT_STORES, Remote

_URL = re.compile(r"([A-Za-z][\w+.-]*)://(.*)", re.ASCII | re.DOTALL)
PROTOCOLS = OBJECT_STORES - {"memory"} | {"hdfs", "sftp", "ssh"}
"""Those of stores. fsspec knows others that lead elsewhere, such as `reference`, which reads whatever a file names."""
_LOCK = "lock"
_WILD = set("*?[]")
"""Characters that fsspec would take for a pattern of names."""


class Location(Protocol):
    """A file or folder that is, or will be, somewhere: `LocalPath` on this machine, `Remote` in a store.

    It is only a name: making one touches nothing, and it may be sent to another process. Where writing fails, `LocalPath`
    raises DiskError and `Remote` raises StoreError; `Remote` raises it where reading fails, too.
    """

    @property
    def name(self) -> str:
        """Its own name, without the folders above it."""

    def __truediv__(self, inside: str | Path) -> Self:
        """A file or folder inside this folder."""

    def absolute(self) -> Self:
        """The same location, by a name that means the same in every working directory."""

    def kind(self) -> str | None:
        """`directory`, `file` for anything else, or None where nothing is there."""

    def exists(self) -> bool:
        """Whether something is there. A link that leads nowhere does not count."""

    def names(self) -> list[str]:
        """The names of the files and folders directly in this folder, sorted."""

    def read(self, most: int) -> bytes:
        """The content of a file that is not trusted. OSError where it cannot be read, ValueError where it has more than
        `most` bytes."""

    def read_text(self, encoding: str = "utf-8") -> str:
        """The content of a text file that is trusted."""

    def write(self, data: bytes, new: bool = False) -> None:
        """Write a file, so that it is there in full or not at all. new: FileExistsError where it is there already."""

    def put(self, file: Path) -> None:
        """Put a finished file of this machine here, in full or not at all. On this machine it is moved."""

    def remove(self) -> None:
        """Delete the folder with all that is in it, if it is there."""

    def local_copy(self, without: str | None = None) -> AbstractContextManager[Path]:
        """A path at which the file or folder can be read while the context is open.

        On this machine it is the path itself. From a store all is fetched, but for the folder named `without`; NothingThere
        where there is nothing to fetch.
        """

    def lock(self) -> AbstractContextManager[None]:
        """Keep other processes from locking this folder while the context is open. It is made where it is missing, and is gone
        again afterwards if nothing was put there.

        TimeoutError where another process has it locked. The operating system unlocks it however the process ends. In a store
        nothing is locked.
        """


@dataclass(frozen=True)
class LocalPath:
    """A location on this machine."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def name(self) -> str:
        with disk_errors(self.path):
            return self.path.resolve().name

    def __truediv__(self, inside: str | Path) -> LocalPath:
        return LocalPath(self.path / inside)

    def absolute(self) -> LocalPath:
        return LocalPath(self.path.absolute())

    def kind(self) -> str | None:
        with disk_errors(self.path):
            if self.path.is_dir():
                return "directory"
            return "file" if self.path.exists() or self.path.is_symlink() else None

    def exists(self) -> bool:
        with disk_errors(self.path):
            return self.path.exists()

    def names(self) -> list[str]:
        with disk_errors(self.path):
            return sorted(each.name for each in self.path.iterdir())

    def read(self, most: int) -> bytes:
        return read_bounded(self.path, most)

    def read_text(self, encoding: str = "utf-8") -> str:
        return self.path.read_text(encoding)

    def write(self, data: bytes, new: bool = False) -> None:
        write_whole(self.path, data, new)

    def put(self, file: Path) -> None:
        move_whole(file, self.path)

    def remove(self) -> None:
        remove(self.path)
        if os.path.lexists(self.path):
            with disk_errors(self.path), contextlib.suppress(FileNotFoundError):
                shutil.rmtree(self.path)

    def local_copy(self, without: str | None = None) -> AbstractContextManager[Path]:
        return contextlib.nullcontext(self.path)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        with disk_errors(self.path):
            missing = [each for each in (self.path, *self.path.parents) if not each.exists()]
            held = self._acquire()
        with held:
            try:
                yield
            finally:
                with contextlib.suppress(OSError):
                    if missing and os.listdir(self.path) == [_LOCK]:
                        (self.path / _LOCK).unlink()
                        for each in missing:
                            each.rmdir()

    def _acquire(self, tries: int = 100) -> AbstractContextManager[Any]:
        """The lock, taken. Its owner may delete the folder after it was made here and before the lock in it is opened."""
        while True:
            tries -= 1
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                return filelock.FileLock(self.path / _LOCK, timeout=0).acquire()
            except (FileNotFoundError, FileExistsError):
                if not tries or self.path.is_symlink():
                    raise


def parse_location(text: str) -> Location:
    """The location that a path or a URL means. A path may begin with `~` for a home folder; `file:///path` is this machine.

    UsageError for a URL that names no file or folder.
    """
    url = _URL.fullmatch(text)
    if url is None and (lost := re.match(r"([A-Za-z][\w+.-]*):/", text, re.ASCII)) and lost[1] in PROTOCOLS | {"file", "local"}:
        raise UsageError(f"{text!r} is a URL that has lost a slash.", f"Write {lost[1]}://, as text: a pathlib.Path loses it.")
    if url is None:
        return LocalPath(Path(given_path(text)))
    protocol, rest = url[1], url[2].rstrip("/")
    if protocol in ("file", "local"):
        if not url[2].startswith("/"):
            raise UsageError(f"{text} is no path of this machine.", "Give a path, or file:/// and a path from the root.")
        return LocalPath(Path(given_path(url[2])))
    if protocol not in PROTOCOLS:
        raise UsageError(
            f"{text} is of an unknown protocol, {protocol!r}.", f"Give a path, or a URL of {', '.join(sorted(PROTOCOLS))}."
        )
    chained = "::" in rest or "://" in rest
    parts = rest.split("/") if protocol in OBJECT_STORES else [rest.rpartition("/")[2]]
    if chained or not text.isprintable() or not {"", ".", ".."}.isdisjoint(parts) or not _WILD.isdisjoint(rest):
        raise UsageError(f"{text!r} names no folder and no file.", "Give a URL such as s3://bucket/name, without * ? [ ] ::.")
    return Remote(f"{protocol}://{rest}")


def require_loadable(out: Location, remedy: str = "Choose another OUT.", by_name: bool = True) -> None:
    """UsageError for a folder in which `load_dataset` would not find a dataset, or would find others beside it: it takes some
    paths for URLs, for patterns of names, or for home folders. Also for a name that cannot stand on the dataset's card.
    remedy: what to do then. by_name: whether the name alone, as it stands on the card, has to lead there, too."""
    path = str(out)
    if isinstance(out, LocalPath):
        with disk_errors(out.path):
            path = str(out.path.resolve())
    if not out.name.isprintable():
        raise UsageError(f"the name of {str(out)!r} has characters that cannot be printed.", remedy)
    if out.name != out.name.strip():
        raise UsageError(f"the name of {str(out)!r} begins or ends with a blank.", remedy)
    if by_name and _is_builder(out.name):
        problem = f"a dataset called {out.name!r} could not be loaded by its name: load_dataset has a builder of that name."
        raise UsageError(problem, remedy)
    found = next((part for part in ("::", *sorted(_WILD)) if part in path), None)
    found = found or next((start for start in ("~", "file:", "local:") if out.name.startswith(start)), None)
    if found:
        raise UsageError(
            f"a dataset at {path} could not be loaded: load_dataset takes {found!r} there for something else.", remedy
        )


def _is_builder(name: str) -> bool:
    """Whether `load_dataset` has a builder of that name, which it then takes in place of a folder of the working directory."""
    library = find_spec("datasets")  # Without importing it.
    places = [] if library is None else library.submodule_search_locations or []
    return any(os.path.isfile(os.path.join(each, "packaged_modules", name, f"{name}.py")) for each in places)


def local_path(path: str | os.PathLike[str], name: str = "path") -> Path:
    """The path of this machine that a user gives; UsageError for the URL of a store."""
    place = parse_location(given_path(path, name))
    if not isinstance(place, LocalPath):
        raise UsageError(f"{name} {place} is in a store.", "Give a path of this machine.")
    return place.path
