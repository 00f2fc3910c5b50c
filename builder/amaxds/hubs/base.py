"""Hubs: what a place where datasets are published can do, and what there is to be done."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from amaxds.dataset.build_info import BuildInfo
from amaxds.storage.files import disk_errors


class Hub(Protocol):
    """A place where datasets are published. All methods raise HubError or UsageError with what to do."""

    name: str
    title: str
    licence_platform: str
    """Whose names for licences it takes: `huggingface` or `kaggle`."""

    def check(self, repo: str) -> None:
        """Whether the name is one that the hub takes and there are credentials. Touches no network."""

    def prepare(self, folder: Path, info: BuildInfo, repo: str, scratch: Path) -> Path:
        """The folder of the files as this hub wants them: the dataset folder itself, or one made in scratch."""

    def files(self, repo: str, scratch: Path) -> dict[str, str] | None:
        """Name -> SHA-256 of what is there now; None where the repository does not exist."""

    def send(self, source: Path, repo: str, changes: Changes, private: bool | None, message: str) -> str:
        """Make it so, as one new version; the version's name."""

    def fetch(self, repo: str, version: str, folder: Path) -> None:
        """Everything of that version into an empty folder."""

    def get(self, repo: str, version: str | None, folder: Path) -> Path:
        """What anyone is given who asks for that version (None: the latest), in an empty folder: a folder or a zip. It is
        not trusted."""

    def verify(self, folder: Path, info: BuildInfo, repo: str, version: str, scratch: Path) -> None:
        """Whatever users of the hub rely on beyond the files."""

    def url(self, repo: str) -> str:
        """Where people look at it."""


@dataclass(frozen=True)
class Changes:
    """What publishing will do: files by name, with their sizes in bytes where they are to be sent."""

    creates: bool
    added: Mapping[str, int]
    changed: Mapping[str, int]
    removed: tuple[str, ...]
    unchanged: int

    @property
    def nothing(self) -> bool:
        return not (self.creates or self.added or self.changed or self.removed)

    def lines(self) -> list[str]:
        """The plan as a person reads it."""
        verbs = (("add", self.added), ("change", self.changed))
        found = [f"{verb:7} {name} ({size / 1e6:.2f} MB)" for verb, files in verbs for name, size in sorted(files.items())]
        found += [f"remove  {name}" for name in self.removed]
        total = (sum(self.added.values()) + sum(self.changed.values())) / 1e6
        numbers = f"{len(self.added)} to add, {len(self.changed)} to change, {len(self.removed)} to remove"
        return [*_shortened(found), f"{numbers}, {self.unchanged} unchanged; {total:.2f} MB to send"]


def _shortened(lines: list[str], most: int = 20) -> list[str]:
    return lines if len(lines) <= most else [*lines[: most - 1], f"... and {len(lines) - most + 1} more"]


def compare(source: Path, ours: Mapping[str, str], there: Mapping[str, str] | None) -> Changes:
    """What it takes to turn what is there (None: nothing, not even a repository) into ours."""
    known = there or {}
    sizes = {name: (source / name).stat().st_size for name in ours}
    return Changes(
        creates=there is None,
        added={name: sizes[name] for name in ours if name not in known},
        changed={name: sizes[name] for name in ours if name in known and known[name] != ours[name]},
        removed=tuple(sorted(known.keys() - ours.keys())),
        unchanged=sum(known.get(name) == digest for name, digest in ours.items()),
    )


def hashes(folder: Path) -> dict[str, str]:
    """Name -> SHA-256 of the files to publish: all but hidden ones, receipts, and Kaggle's settings, no file there."""
    found = {}
    with disk_errors(folder):
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            hidden = any(part.startswith(".") for part in Path(name).parts)
            if path.is_file() and not hidden and not re.fullmatch(r"receipt-\w+\.json|dataset-metadata\.json", name):
                with path.open("rb") as file:
                    found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found
