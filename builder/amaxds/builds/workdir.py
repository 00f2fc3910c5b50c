"""The folder that a build writes, and in it the working folder `.amaxds`, where the build keeps its shards until it is done."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from amaxds.builds.shards import WORK
from amaxds.errors import DamagedShard, NothingThere, UsageError
from amaxds.spec.network import Network
from amaxds.storage.location import Location, parse_location, require_loadable


def place_of(out: str | None, network: Network) -> Location:
    """Where the dataset of the network is written: by default in a folder here that has the network's name."""
    return parse_location(f"{network.name}-filter-activations" if out is None else out)


def require_usable(out: Location) -> None:
    """UsageError where a build cannot write to `out`: it is a file, holds something else than a build, or is where nobody could
    load the dataset."""
    require_loadable(out)
    kind = out.kind()
    if kind is None:
        return
    if kind != "directory":
        raise UsageError(f"{out} is not a folder.", "Choose another OUT.")
    found = out.names()
    if WORK in found and (out / WORK).kind() == "file":
        raise UsageError(f"{out / WORK} is not a folder, so {out} holds no build.", "Choose another OUT, or delete that file.")
    # Another build may end meanwhile. It writes build.json before it removes .amaxds, so build.json must be looked for last.
    begun = (out / WORK / "build.json").exists() or found == [WORK]
    if found and not begun and not (out / "build.json").exists():
        raise UsageError(f"{out} is not empty and holds no build (it has {found[0]!r}).", "Choose another OUT, or empty it.")


def _holder(lock: Location) -> tuple[str, str]:
    """Who holds a lock, and what to do if that process is no more. On file systems without locks, it is a file that says so,
    and stays where its process was killed; else, the operating system knows, and the file is empty."""
    try:
        process, host, *_ = lock.read(1000).decode("utf-8", "replace").split()
    except (OSError, ValueError):
        return "", ""
    return f": process {process} on {host}", f" If that runs no more, delete {lock}."


@contextlib.contextmanager
def locked(out: Location) -> Iterator[None]:
    """Keep other builds out of the folder `out` while the context is open; in a store none is kept out.

    UsageError where another build is running there.
    """
    with contextlib.ExitStack() as held:
        try:
            held.enter_context((out / WORK).lock())
        except TimeoutError:
            who, remedy = _holder(out / WORK / "lock")
            raise UsageError(
                f"another build is running in {out}{who}.", f"Wait for it, or choose another OUT.{remedy}"
            ) from None
        yield


@contextlib.contextmanager
def local_working_folder(out: Location) -> Iterator[Path]:
    """The working folder of `out`, to be read on this machine while the context is open. From a store all of it is fetched
    at once, so that each shard is fetched only once.

    DamagedShard where it is gone: another build, which has finished, has deleted it.
    """
    work = out / WORK
    with contextlib.ExitStack() as fetched:
        try:
            here = fetched.enter_context(work.local_copy())
        except NothingThere as error:
            raise DamagedShard(work, "was deleted meanwhile") from error
        yield here
