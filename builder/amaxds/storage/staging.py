"""Folders that a command writes beside a dataset: they appear whole, in the place of an earlier one of their kind."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from amaxds.errors import UsageError
from amaxds.storage.files import disk_errors, read_text, rename_folder

FORMAT = 1
"""Of the JSON files that such folders are known by."""


@contextlib.contextmanager
def whole_folder(out: Path, dataset: Path, kind: str, mark: str) -> Iterator[Path]:
    """Give a folder to write into; it gets the name `out` when the context ends without an error, and is gone if not.

    kind: what it is, in a word. mark: the name of its JSON file, with `format` and `dataset`, that it is known by again.
    UsageError where `out` is inside the dataset, or there and not of this kind, which alone would be replaced.
    """
    if dataset.resolve() in out.resolve().parents:
        raise UsageError(f"{out} is inside the dataset, which has its own files only.", "Choose another OUT.")
    if os.path.lexists(out) and not _is_ours(out, mark):
        raise UsageError(f"{out} is already there and is no {kind}.", "Choose another OUT, or delete it.")
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    with disk_errors(out):
        try:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            yield part
            _put(part, out)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def _is_ours(folder: Path, mark: str) -> bool:
    try:
        stored = json.loads(read_text(folder / mark, 256_000_000))
    except (OSError, ValueError, RecursionError):
        return False
    return not folder.is_symlink() and isinstance(stored, dict) and stored.get("format") == FORMAT and "dataset" in stored


def _put(part: Path, out: Path) -> None:
    """Give the finished folder its name, in the place of an earlier one."""
    earlier = out.with_name(f".{out.name}.{os.getpid()}.old")
    if os.path.lexists(out):
        shutil.rmtree(earlier, ignore_errors=True)
        os.rename(out, earlier)
    rename_folder(part, out)
    shutil.rmtree(earlier, ignore_errors=True)
