"""Files that appear whole or not at all: temporary file, fsync, rename; in a store as `store` has it."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from amaxds.errors import DiskError
from amaxds.storage.store import Location, Remote


def write_whole(path: Location, data: bytes, new: bool = False) -> None:
    """Write a file so that, whenever the machine stops, it is there in full or not at all.

    new: FileExistsError where it is there already.
    """
    if isinstance(path, Remote):
        path.write(data, new)
        return
    if new and path.exists():
        raise FileExistsError(path)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            move_whole(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def read_text(path: Path, most: int = 16_000_000) -> str:
    """A text file that is not trusted: OSError or ValueError where it cannot be read or has more than that many bytes."""
    return read_bounded(path, most).decode()


def read_bounded(path: Location, most: int) -> bytes:
    """A file that is not trusted: OSError or ValueError where it cannot be read or has more than that many bytes."""
    if isinstance(path, Remote):
        return path.read(most)
    if not stat.S_ISREG(path.lstat().st_mode):
        raise ValueError("is no regular file")
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"more than {most} bytes")
    return data


def write_json(path: Location, value: Any, new: bool = False) -> None:
    write_whole(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode(), new)


def move_whole(source: Path, target: Location) -> None:
    """Rename a file, replacing the target, both names on disk before this returns; or put it into a store."""
    if isinstance(target, Remote):
        target.upload(source)
        return
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with source.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(source, target)
        _sync_folder(target.parent)


def rename_folder(source: Path, target: Path) -> None:
    """Give a finished folder its name; the name is on disk before this returns."""
    os.rename(source, target)
    _sync_folder(target.parent)


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn what the operating system refuses, however deeply another library wrapped it, into a DiskError about path."""
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and not (isinstance(cause, OSError) and cause.errno):
            cause = cause.__cause__ or cause.__context__
        if cause is None or isinstance(error, DiskError):
            raise
        raise DiskError(
            f"cannot write {path}: {os.strerror(cause.errno or 0)}.",
            "What is finished is kept: make room or change the permissions, then run the same command again to go on.",
        ) from error
