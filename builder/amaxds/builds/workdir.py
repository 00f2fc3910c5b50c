"""The output: the folder that a build writes, on this machine or in a store."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import filelock

from amaxds.builds.shards import WORK
from amaxds.errors import DamagedShard, UsageError
from amaxds.storage.files import disk_errors
from amaxds.storage.store import Location, Remote


def require_usable(out: Location) -> None:
    """UsageError where the folder is a file, has a name that no card can hold, or holds anything that no build put there."""
    if isinstance(out, Remote):
        kind = out.kind()
        if kind == "directory":
            _require_ours(out, out.names())
        elif kind is not None:
            raise UsageError(f"{out} is not a folder.", "Choose another OUT.")
        return
    with disk_errors(out):
        if not name_of(out).isprintable():
            raise UsageError(f"the name of {str(out)!r} has characters that cannot be printed.", "Choose another OUT.")
        if not out.exists() and not out.is_symlink():
            return
        if not out.is_dir():
            raise UsageError(f"{out} is not a folder.", "Choose another OUT.")
        found = sorted(path.name for path in out.iterdir())
        if (out / WORK).is_file():
            raise UsageError(
                f"{out / WORK} is not a folder, so {out} holds no build.", "Choose another OUT, or delete that file."
            )
        _require_ours(out, found)


def _require_ours(out: Location, found: Sequence[str]) -> None:
    # Another build may end meanwhile: build.json is there before .amaxds goes, so it is looked for last.
    begun = (out / WORK / "build.json").exists() or found == [WORK]
    if found and not begun and not (out / "build.json").exists():
        raise UsageError(f"{out} is not empty and holds no build (it has {found[0]!r}).", "Choose another OUT, or empty it.")


def name_of(out: Location) -> str:
    """The dataset's name."""
    return out.name if isinstance(out, Remote) else out.resolve().name


@contextlib.contextmanager
def locked(work: Location) -> Iterator[None]:
    """Hold the build's working folder; the operating system lets go of it however the process ends. In a store none is held."""
    if isinstance(work, Remote):
        yield
        return
    try:
        with disk_errors(work):
            lock = _lock(work)
    except filelock.Timeout:
        raise UsageError(f"another build is running in {work.parent}.", "Wait for it, or choose another OUT.") from None
    with lock:
        yield


def _lock(work: Path, tries: int = 100) -> contextlib.AbstractContextManager[Any]:
    """The lock, taken. Another build that ends may remove the folder between its making and the opening of the lock in it."""
    while True:
        tries -= 1
        try:
            work.mkdir(parents=True, exist_ok=True)
            return filelock.FileLock(work / "lock", timeout=0).acquire()
        except (FileNotFoundError, FileExistsError):
            if not tries or work.is_symlink():
                raise


@contextlib.contextmanager
def local_working_folder(work: Location) -> Iterator[Path]:
    """The working folder; of one in a store a copy on this machine, for as long as it is used, so that it is read once.

    DamagedShard where it is deleted meanwhile: another build has finished.
    """
    if isinstance(work, Path):
        yield work
        return
    with tempfile.TemporaryDirectory(prefix="amaxds-") as folder:
        try:
            work.fetch(Path(folder) / WORK)
        except FileNotFoundError as error:
            raise DamagedShard(work, "was deleted meanwhile") from error
        yield Path(folder) / WORK


def remove(work: Location) -> None:
    """Delete the working folder, if it is there; on this machine as far as that is possible."""
    if isinstance(work, Remote):
        work.remove()
    else:
        shutil.rmtree(work, ignore_errors=True)
