"""Staging: a folder is written beside its place under a temporary name, and gets its own name when it is finished."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from amaxds.errors import UsageError
from amaxds.storage.files import disk_errors, read_text, remove, remove_abandoned, rename_folder, temporary_name

FORMAT = 1
"""The `format` in the JSON files by which `whole_folder` knows the folders that it may replace."""


@contextlib.contextmanager
def staged(out: Path, replace: bool = False) -> Iterator[Path]:
    """An empty folder beside `out` to write into. It becomes `out` when the context ends without an error, else it is deleted.

    replace: whether an earlier folder at `out` is replaced. Without it, UsageError where something is there. DiskError for
    whatever the operating system refuses while the context is open.
    """
    if not replace:
        require_absent(out)
    part, earlier = temporary_name(out), temporary_name(out)
    with disk_errors(out):
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            remove_abandoned(out)
            part.mkdir()
            yield part
            if replace and os.path.lexists(out):
                os.rename(out, earlier)
            rename_folder(part, out)
            remove(earlier)
        finally:
            remove(part)


def require_absent(out: Path) -> None:
    """UsageError where anything is at `out`, if only a link that leads nowhere."""
    if os.path.lexists(out):
        raise UsageError(f"{out} is already there.", "Choose another OUT, or delete it.")


def require_apart(out: Path, dataset: Path) -> None:
    """UsageError where `out` is the dataset, or one of them is inside the other."""
    there, source = out.resolve(), dataset.resolve()
    if source in there.parents:
        raise UsageError(f"{out} is inside the dataset, which has its own files only.", "Choose another OUT.")
    if source == there or there in source.parents:
        raise UsageError(f"{out} {'is' if source == there else 'holds'} the dataset itself.", "Choose another OUT.")


@contextlib.contextmanager
def whole_folder(out: Path, dataset: Path, kind: str, mark: str) -> Iterator[Path]:
    """An empty folder to write something about a dataset into, as `staged` gives it; an earlier one of its kind is replaced.

    kind: what the folder is, in a word, for the message. mark: the name of the JSON file, with `format` and `dataset` in it,
    that every folder of this kind has. UsageError where `out` is inside the dataset, or is there and is not of this kind.
    """
    require_apart(out, dataset)
    here = Path.cwd()
    if out.resolve() in (here, *here.parents):
        raise UsageError(
            f"{out} is the folder that you are in, or holds it.", f"Give another OUT, or cd to {out.resolve().parent} first."
        )
    if os.path.lexists(out) and not _is_ours(out, mark):
        raise UsageError(f"{out} is already there and is no {kind}.", "Choose another OUT, or delete it.")
    with staged(out, replace=True) as part:
        yield part


def _is_ours(folder: Path, mark: str) -> bool:
    try:
        stored = json.loads(read_text(folder / mark, 256_000_000))
    except (OSError, ValueError, RecursionError):
        return False
    return not folder.is_symlink() and isinstance(stored, dict) and stored.get("format") == FORMAT and "dataset" in stored
