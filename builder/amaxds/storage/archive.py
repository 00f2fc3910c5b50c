"""Trees: the files of a bundle in a folder or a zip, read without trusting it.

Nothing is unpacked, so nothing can be written elsewhere; every read is bounded; links, pipes, encrypted and ambiguous
entries are named as problems and never opened.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Protocol

_MOST_IN_ONE_READ = 16_000_000
"""Bytes. Bounds the list of entries that a zip makes its reader hold, and everything read from it."""


class Archive(Protocol):
    """A read-only tree of files."""

    files: dict[str, int]
    """Name, with slashes -> size in bytes, of every file that may be read."""
    problems: list[tuple[str, str]]
    """Entry, and what is wrong with it."""

    def read(self, name: str, most: int) -> bytes:
        """A file's content; ValueError or OSError where it cannot be read or has more than that many bytes."""


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """The tree of a folder or a zip file; ValueError or OSError for a file that is no readable zip."""
    if os.path.isdir(path):
        yield FolderArchive(path)
        return
    with _BoundedFile(path) as file, _read_zip(file) as archive:
        yield ZipArchive(archive)


def _read_zip(file: io.FileIO) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except Exception as error:  # Its reader fails in many ways on bytes that are no zip's.
        raise ValueError(f"is no readable zip: {error}") from error


class FolderArchive:
    """A folder. Links are not followed."""

    def __init__(self, root: Path) -> None:
        self._root, self.files, self.problems = root, dict[str, int](), list[tuple[str, str]]()
        folders = []
        for folder, inside, names in os.walk(root):
            for name in (*inside, *names):
                path = Path(folder, name)
                at, found = path.relative_to(root).as_posix(), path.lstat()
                if stat.S_ISREG(found.st_mode):
                    self.files[at] = found.st_size
                elif stat.S_ISDIR(found.st_mode):
                    folders.append(at)
                else:
                    self.problems.append((at, "is a link" if path.is_symlink() else "is no regular file"))
        self.problems += _empty(folders, self.files)

    def read(self, name: str, most: int) -> bytes:
        if self.files[name] > most:
            raise ValueError(f"has {self.files[name]} bytes, more than {most}")
        with (self._root / name).open("rb") as file:
            return file.read(most)


class ZipArchive:
    """A zip file. Where all its entries are in one folder, as a zip of a folder has them, names are relative to that."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._zip = archive
        self.problems: list[tuple[str, str]] = []
        times, folders = Counter(entry.filename for entry in self._zip.infolist()), []
        self._entries: dict[str, zipfile.ZipInfo] = {}
        for entry in self._zip.infolist():
            # The library cuts names at NUL and changes other systems' separators: what was written decides.
            if problem := _problem(entry, times[entry.filename]):
                self.problems.append((entry.orig_filename, problem))
            elif entry.is_dir():
                folders.append(entry.filename.rstrip("/"))
            else:
                self._entries[entry.filename] = entry
        self.problems += _empty(folders, self._entries)
        tops = {name.partition("/")[0] for name in self._entries}
        if len(tops) == 1 and tops.isdisjoint(self._entries):
            self._entries = {name.partition("/")[2]: entry for name, entry in self._entries.items()}
        self.files = {name: entry.file_size for name, entry in self._entries.items()}

    def read(self, name: str, most: int) -> bytes:
        if self.files[name] > most:
            raise ValueError(f"says it has {self.files[name]} bytes, more than {most}")
        try:
            with self._zip.open(self._entries[name]) as file:
                data = file.read(most + 1)
        except Exception as error:  # zlib, struct and zipfile fail in many ways on bytes that are no zip's.
            raise ValueError(f"cannot be unpacked: {error}") from error
        if len(data) != self.files[name]:
            raise ValueError(f"says it has {self.files[name]} bytes, but unpacks to others")
        return data


class _BoundedFile(io.FileIO):
    """A file of which nobody reads much at once: a zip's list of entries is read in one piece, of a size that the zip says."""

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(_MOST_IN_ONE_READ + 1 if size is None or size < 0 else min(size, _MOST_IN_ONE_READ + 1))
        if len(data) > _MOST_IN_ONE_READ:
            raise zipfile.BadZipFile(f"more than {_MOST_IN_ONE_READ} bytes in one piece")
        return data


def _problem(entry: zipfile.ZipInfo, times: int) -> str | None:
    name, mode = entry.orig_filename, entry.external_attr >> 16
    parts = PurePosixPath(name).parts
    if not name or name.startswith("/") or ".." in parts or any(each in name for each in ("\0", "\\", "//", "./", ":")):
        return "is no name of a file inside the zip"
    if times > 1:
        return "is there twice"
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or no regular file"
    if entry.flag_bits & 0x1:
        return "is encrypted"
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"is compressed by method {entry.compress_type}"
    return None


def _empty(folders: Iterable[str], files: Iterable[str]) -> list[tuple[str, str]]:
    """The folders without any file beneath them."""
    used = {str(parent) for name in files for parent in PurePosixPath(name).parents}
    return [(folder, "is an empty folder") for folder in folders if folder not in used]
