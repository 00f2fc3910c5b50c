"""Files that appear in full or not at all: written under a temporary name, flushed to disk, then renamed; and paths as users
give them."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import json
import os
import platform
import re
import reprlib
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from amaxds.errors import AmaxdsError, DiskError, UsageError, WrongData


def given_path(path: Any, name: str = "path") -> str:
    """A path or URL as a user gives it, with the home folder for `~`; UsageError for what is none. All paths of users come
    through here, those of the command line, too."""
    try:
        text = os.fspath(path)
        os.fsencode(text)
    except (TypeError, UnicodeEncodeError):
        text = None
    if not isinstance(text, str) or not text or "\0" in text:
        raise UsageError(f"{name} {reprlib.repr(path)} is no path.", "Give a string or a pathlib.Path.")
    return os.path.expanduser(text)


def write_whole(path: Path, data: bytes, new: bool = False) -> None:
    """Write a file so that, whenever the machine stops, it is there in full or not at all. Missing folders are made.

    new: FileExistsError where it is there already. DiskError where it cannot be written.
    """
    if new and path.exists():
        raise FileExistsError(path)
    temporary = temporary_name(path)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(path)
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            move_whole(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def temporary_name(path: Path) -> Path:
    """A hidden name beside `path` that nobody can guess, with this machine and this process in it."""
    return path.with_name(f".{path.name}.{_machine()}-{os.getpid()}-{secrets.token_hex(6)}.tmp")


def remove_abandoned(path: Path) -> None:
    """Delete what processes of this machine that are no longer running have left under temporary names beside `path`."""
    ours = re.compile(rf"\.{re.escape(path.name)}\.{_machine()}-(\d+)-[0-9a-f]{{12}}\.tmp")
    with contextlib.suppress(OSError):
        for name in os.listdir(path.parent):
            found = ours.fullmatch(name)
            if found and not _is_running(int(found[1])):
                remove(path.with_name(name))


def remove(path: Path) -> None:
    """Delete a file, or a folder with all that is in it, as far as that is possible; what cannot be deleted at first is tried
    once more."""
    for _ in range(2):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                path.unlink()
        if not os.path.lexists(path):
            return


@functools.cache
def _machine() -> str:
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def json_bytes(value: Any) -> bytes:
    """A JSON file's content, indented, with a line break at its end."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file as `write_whole` does."""
    write_whole(path, json_bytes(value))


def read_text(path: Path, most: int = 16_000_000) -> str:
    """A text file that is not trusted: OSError or ValueError where it cannot be read or has more than `most` bytes."""
    return read_bounded(path, most).decode()


def read_bounded(path: Path, most: int) -> bytes:
    """A file that is not trusted: OSError or ValueError where it cannot be read, is a link, or has more than `most` bytes."""
    if not stat.S_ISREG(path.lstat().st_mode):
        raise WrongData("is no regular file")
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise WrongData(f"more than {most} bytes")
    return data


def move_whole(source: Path, target: Path) -> None:
    """Rename a file, replacing the target. When this returns, content and name are on disk. DiskError where that fails."""
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with source.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(source, target)
        _sync_folder(target.parent)


def rename_folder(source: Path, target: Path) -> None:
    """Give a finished folder its name. When this returns, the name is on disk. OSError where that fails."""
    os.rename(source, target)
    _sync_folder(target.parent)


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


_NO_PLACE = {errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EXDEV}
"""What is wrong with a path itself, whatever room and rights there are."""
_MEND = "make room or change the permissions, then run the same command again to go on."


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an error of the operating system, however deeply another library wrapped it, into a DiskError about `path`."""
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and not (isinstance(cause, OSError) and cause.errno):
            cause = cause.__cause__ or cause.__context__
        if cause is None or isinstance(error, AmaxdsError):
            raise
        remedy = "choose another path." if cause.errno in _NO_PLACE else _MEND
        raise DiskError(
            f"cannot write {path}: {os.strerror(cause.errno or 0)}.", f"What is finished is kept: {remedy}"
        ) from error
