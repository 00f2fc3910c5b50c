"""Archives: a folder or a zip that somebody else made, whose files are read without trusting it.

Nothing is unpacked, so nothing can be written anywhere. No read takes more memory than it is allowed. Links, pipes, and zip
entries that are encrypted or could be taken for something else are reported as problems and never opened.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from amaxds.errors import UsageError, WrongData
from amaxds.storage.zip_layout import layout_problem, packed_bytes

_MOST_IN_ONE_READ = 16_000_000
"""Bytes. A zip says itself how long its list of entries is, and the list is read in one piece."""


_DEEPEST = 8
"""How many folders may be inside each other; a bundle has two."""
_LFS = b"version https://git-lfs.github.com/spec/"
_PLACES = ("build.json", "README.md", "metadata.csv", "*/*.parquet", "*/*/*.png")


def require_contents(folder: Path, name: str) -> None:
    """UsageError for a folder that has stand-ins in the place of its files: links to the blobs of the Hub's cache, or pointers
    of Git's large file storage. name: what the message calls the folder."""
    for path in itertools.chain.from_iterable(itertools.islice(folder.glob(place), 100) for place in _PLACES):
        if path.is_symlink() and "blobs" in Path(os.readlink(path)).parts:
            raise UsageError(
                f"{name} is a snapshot in the cache of the Hugging Face Hub: its files are links.",
                "Give the dataset's name on the Hub, owner/name, or a copy: cp -rL SNAPSHOT FOLDER.",
            )
        if not path.is_symlink() and path.is_file() and _begins_with(path, _LFS):
            raise UsageError(
                f"{name} was cloned without its large files: {path.relative_to(folder)} is a pointer of Git LFS.",
                "Fetch them there: git lfs pull.",
            )


def _begins_with(path: Path, start: bytes) -> bool:
    """Whether the file does; not if it cannot be read, which is found where it is needed."""
    try:
        with path.open("rb") as file:
            return file.read(len(start)) == start
    except OSError:
        return False


class Archive(Protocol):
    """The files of a folder or a zip."""

    files: dict[str, int]
    """Path inside the archive, with slashes -> size in bytes, of every file that may be read."""
    problems: list[tuple[str, str]]
    """Path of an entry that may not be read, and what is wrong with it."""

    def read(self, name: str, most: int) -> bytes:
        """A file's content; ValueError or OSError where it cannot be read or has more than `most` bytes."""


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """The archive at a path, open while the context is; ValueError or OSError for a file that is no readable zip."""
    if os.path.isdir(path):
        yield FolderArchive(path)
        return
    with _BoundedFile(path) as file, _read_zip(file) as archive:
        found = ZipArchive(archive, file)
        if problem := layout_problem(file, archive):
            found.problems.append(("zip", problem))
        yield found


def _read_zip(file: io.FileIO) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except Exception as error:  # zipfile raises errors of many kinds where the bytes are no zip.
        raise WrongData(f"is no readable zip: {error}") from error


class FolderArchive:
    """A folder. Links are not followed."""

    def __init__(self, root: Path) -> None:
        self._root, self.files, self.problems = root, dict[str, int](), list[tuple[str, str]]()
        folders = []
        for folder, inside, names in os.walk(root):
            if len(Path(folder).relative_to(root).parts) >= _DEEPEST:
                self.problems += [
                    ((Path(folder, name)).relative_to(root).as_posix(), "is nested too deeply") for name in inside
                ]
                inside.clear()
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
            raise WrongData(f"has {self.files[name]} bytes, more than {most}")
        with (self._root / name).open("rb") as file:
            return file.read(min(most, self.files[name] + 1))


class ZipArchive:
    """A zip. If all its files are in one folder, as in a zip made of a folder, their paths are relative to that folder."""

    def __init__(self, archive: zipfile.ZipFile, file: BinaryIO) -> None:
        self._zip, self._file = archive, file
        self.problems: list[tuple[str, str]] = []
        times, folders = Counter(entry.filename for entry in self._zip.infolist()), []
        self._entries: dict[str, zipfile.ZipInfo] = {}
        for entry in self._zip.infolist():
            # zipfile cuts `filename` at a NUL and replaces separators; `orig_filename` is what the zip really says.
            if problem := _problem(entry, times[entry.filename]):
                self.problems.append((entry.orig_filename, problem))
            elif entry.is_dir():
                folders.append(entry.filename.rstrip("/"))
            else:
                self._entries[entry.filename] = entry
        self.problems += _empty(folders, self._entries)
        tops = {name.partition("/")[0] for name in self._entries}
        if len(tops) == 1 and tops.isdisjoint(self._entries) and _is_folder_name(*tops):
            self._entries = {name.partition("/")[2]: entry for name, entry in self._entries.items()}
        self.files = {name: entry.file_size for name, entry in self._entries.items()}

    def read(self, name: str, most: int) -> bytes:
        if self.files[name] > most:
            raise WrongData(f"says it has {self.files[name]} bytes, more than {most}")
        entry = self._entries[name]
        try:
            data = packed_bytes(self._file, entry)
            if entry.compress_type == zipfile.ZIP_DEFLATED:
                unpacking = zlib.decompressobj(-zlib.MAX_WBITS)
                data = unpacking.decompress(data, most + 1)
                if unpacking.unused_data:
                    raise WrongData("there are bytes behind its end")
        except Exception as error:  # zlib, struct and zipfile raise errors of many kinds.
            raise WrongData(f"cannot be unpacked: {error}") from error
        if len(data) != entry.file_size or zlib.crc32(data) != entry.CRC:
            raise WrongData(f"says it has {entry.file_size} bytes, but unpacks to others")
        return data


class _BoundedFile(io.FileIO):
    """A file that refuses to read more than 16 MB in one piece."""

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(_MOST_IN_ONE_READ + 1 if size is None or size < 0 else min(size, _MOST_IN_ONE_READ + 1))
        if len(data) > _MOST_IN_ONE_READ:
            raise zipfile.BadZipFile(f"more than {_MOST_IN_ONE_READ} bytes in one piece")
        return data


def _is_folder_name(name: str) -> bool:
    """Whether it is a name that somebody gives the folder of a dataset."""
    return name.isprintable() and name == name.strip() and not name.startswith(".")


def _problem(entry: zipfile.ZipInfo, times: int) -> str | None:
    """Why an entry may not be read, or None. times: how many entries of the zip have its name."""
    name, mode = entry.orig_filename, entry.external_attr >> 16
    parts = name.removesuffix("/").split("/")
    if any(each in ("", ".", "..") for each in parts) or any(each in name for each in ("\0", "\\", ":")):
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
    """A problem for each folder that has no file beneath it."""
    used = {str(parent) for name in files for parent in PurePosixPath(name).parents}
    return [(folder, "is an empty folder") for folder in folders if folder not in used]
