"""Damaged shards of an unfinished build, and what validation says of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from amaxds.checks.validate import validate
from support.folders import shards_of


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _exchange(path: Path) -> None:
    other = next(shard for shard in shards_of(path.parents[3]) if shard != path)
    one, two = path.read_bytes(), other.read_bytes()
    path.write_bytes(two)
    other.write_bytes(one)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGES: dict[str, tuple[Callable[[Path], object], int, int]] = {
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:-100]), 2, 1),
    "a bit flipped": (_flip, 2, 1),
    "deleted": (Path.unlink, 2, 0),
    "exchanged with another": (_exchange, 1, 2),
    "made a pipe": (_pipe, 2, 1),
}
"""What is done to one shard of three, how many are left whole, and how many are found damaged."""


def shard_findings(folder: Path) -> dict[str, str]:
    """Place and problem of every finding about the unfinished build in a folder."""
    return {each.place: each.problem for each in validate(folder).findings if each.rule == "shards"}
