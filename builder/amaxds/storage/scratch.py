"""Scratch folders: for files that are needed while something is going on. None is left for long, not even by a process that was
killed: whoever needs one next deletes those that nobody is using any more."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from amaxds.errors import DiskError
from amaxds.storage.files import disk_errors

_PATIENCE = 2.0
"""Seconds after which a folder that another process has is in use: a sweep has each for as long as it takes to delete it."""
KEPT = "kept"
"""The folder inside a scratch folder whose files are still there when work that was killed is begun again."""


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder of a name that nobody can guess, in the temporary folder, deleted at the end. DiskError where none can be
    made."""
    with disk_errors(Path(tempfile.tempdir or os.environ.get("TMPDIR") or "/tmp")):
        folder = Path(tempfile.gettempdir()) / f"{_prefix()}{secrets.token_hex(8)}"
    with contextlib.ExitStack() as held:
        with disk_errors(folder):
            _sweep(folder)
            held.enter_context(_locked(folder, _PATIENCE))
        held.callback(shutil.rmtree, folder, ignore_errors=True)
        yield folder


@contextlib.contextmanager
def scratch_folder(key: str) -> Iterator[Path]:
    """A folder in the temporary folder for one piece of work, deleted at the end.

    key: says exactly which work it is, and what it is done with. Where a process with the same key was killed, what it has left
    in KEPT is still there, at the same path. TimeoutError where another process is at the same work; DiskError where the folder
    cannot be made.
    """
    folder = Path(tempfile.gettempdir()) / f"{_prefix()}{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    with contextlib.ExitStack() as held:
        with disk_errors(folder):
            _sweep(folder)
        try:
            held.enter_context(_locked(folder, _PATIENCE))
        except BlockingIOError:
            raise TimeoutError(str(folder)) from None
        except OSError:
            with disk_errors(folder):
                raise
        held.callback(shutil.rmtree, folder, ignore_errors=True)
        with disk_errors(folder):
            for each in folder.iterdir():
                if each.name != KEPT:
                    shutil.rmtree(each) if each.is_dir() else each.unlink()
            (folder / KEPT).mkdir(exist_ok=True)
        yield folder


def _sweep(kept: Path) -> None:
    """Delete the scratch folders beside this one that no process is using."""
    for left in kept.parent.glob(f"{_prefix()}*"):
        # Not what a user has called so.
        if left != kept and re.fullmatch("[0-9a-f]{16}", left.name.removeprefix(_prefix())):
            with contextlib.suppress(OSError, DiskError), _locked(left):
                shutil.rmtree(left)


def _prefix() -> str:
    """How the names of this user's scratch folders begin."""
    return f"amaxds-{os.getuid()}-"


@contextlib.contextmanager
def _locked(folder: Path, patience: float = 0.0) -> Iterator[None]:
    """The folder, made where it is missing, while no other process has it; BlockingIOError where one has it for longer than
    `patience`, in seconds. The operating system unlocks it however the process ends."""
    until = time.monotonic() + patience
    while True:
        with contextlib.suppress(FileExistsError):  # `exist_ok` would raise it where the folder is swept away just then.
            folder.mkdir(mode=0o700)
        try:
            held = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
        except FileNotFoundError:
            continue  # Another process has swept it away.
        try:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise
                time.sleep(0.01)
                continue
            if os.fstat(held).st_uid != os.getuid():
                raise DiskError(f"{folder} belongs to somebody else.", "Delete it, or set TMPDIR to a folder of your own.")
            if _is(folder, held):
                yield
                return
        finally:
            os.close(held)


def _is(folder: Path, opened: int) -> bool:
    """Whether the folder is still the one that was opened: whoever had it locked may have deleted it since."""
    try:
        return folder.lstat().st_ino == os.fstat(opened).st_ino
    except FileNotFoundError:
        return False


def require_room(folder: Path, needed: int, what: str) -> None:
    """DiskError where the folder's disk has not so many bytes free. what: the subject of its sentence."""
    with disk_errors(folder):
        free = shutil.disk_usage(folder).free
    if free < needed:
        raise DiskError(
            f"{what} takes {needed / 1e6:.0f} MB of disk in {folder.parent}, where {free / 1e6:.0f} MB are free.",
            "Make room there, or set TMPDIR to a folder on another disk.",
        )
