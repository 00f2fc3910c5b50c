"""A repository of the stand-in for the Hugging Face Hub: its versions, and a file of one as the hub describes it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Commit:
    """One version of a repository, whole."""

    id: str
    message: str
    files: dict[str, bytes]


@dataclass
class Repo:
    """A repository: its versions, oldest first, and its large objects by SHA-256."""

    private: bool
    commits: list[Commit]
    objects: dict[str, bytes] = field(default_factory=dict)

    def add(self, message: str, files: dict[str, bytes]) -> Commit:
        seed = repr((len(self.commits), message, sorted(files.items())))
        self.commits.append(Commit(hashlib.sha1(seed.encode()).hexdigest(), message, files))
        return self.commits[-1]


def describe(path: str, data: bytes) -> dict[str, Any]:
    """A file as an entry of the tree: its size, its git blob and, for a large object, what the blob points to."""
    entry: dict[str, Any] = {"type": "file", "path": path, "size": len(data)}
    if data and path.endswith((".parquet", ".png")):
        sha256, size = hashlib.sha256(data).hexdigest(), len(data)
        data = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
        entry["lfs"] = {"oid": sha256, "size": size, "pointerSize": len(data)}
    return {**entry, "oid": hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()}
