"""A repository of the stand-in for the Hugging Face Hub: its versions, and a file of one as the hub describes it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Any

REPO = "owner/demo-filter-activations"
"""What the tests publish."""
LARGE = [r"\.(parquet|png)$"]
"""Patterns of the names of files that the hub wants in large file storage."""


@dataclass
class Commit:
    """One version of a repository, whole."""

    id: str
    message: str
    files: dict[str, bytes]

    def entries(self) -> list[dict[str, Any]]:
        """Its files and folders, sorted by path, as the hub lists a tree."""
        folders = {path[: slash.start()] for path in self.files for slash in re.finditer("/", path)}
        listed = [{"type": "directory", "path": path, "size": 0, "oid": "0" * 40} for path in folders]
        return sorted([describe(*item) for item in self.files.items()] + listed, key=lambda entry: str(entry["path"]))

    def siblings(self, blobs: bool) -> list[dict[str, Any]]:
        """Its files as the hub lists them with the repository; blobs: with sizes and hashes."""
        siblings: list[dict[str, Any]] = [{"rfilename": path} for path in sorted(self.files)]
        for sibling in siblings if blobs else ():
            entry = describe(sibling["rfilename"], self.files[sibling["rfilename"]])
            sibling |= {"size": entry["size"], "blobId": entry["oid"]}
            if lfs := entry.get("lfs"):
                sibling["lfs"] = {"sha256": lfs["oid"], "size": lfs["size"], "pointerSize": lfs["pointerSize"]}
        return siblings


@dataclass
class Repo:
    """A repository: its versions, oldest first, and its large objects by SHA-256."""

    private: bool
    commits: list[Commit]
    objects: dict[str, bytes] = field(default_factory=dict)
    gated: bool = False
    """Whether only those may read it whom the owner lets."""

    def add(self, message: str, files: dict[str, bytes]) -> Commit:
        seed = repr((len(self.commits), message, sorted(files.items())))
        self.commits.append(Commit(hashlib.sha1(seed.encode()).hexdigest(), message, files))
        return self.commits[-1]


def describe(path: str, data: bytes) -> dict[str, Any]:
    """A file as an entry of the tree: its size, its git blob and, for a large object, what the blob points to."""
    entry: dict[str, Any] = {"type": "file", "path": path, "size": len(data)}
    if data and any(re.search(pattern, path) for pattern in LARGE):
        sha256, size = hashlib.sha256(data).hexdigest(), len(data)
        data = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
        entry["lfs"] = {"oid": sha256, "size": size, "pointerSize": len(data)}
    return {**entry, "oid": hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()}
