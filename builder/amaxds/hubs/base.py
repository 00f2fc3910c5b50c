"""Hubs: what every place where datasets are published can do, and what publishing there will change."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeGuard

from amaxds.dataset.build_info import BuildInfo
from amaxds.errors import AmaxdsError, DiskError, UsageError
from amaxds.secrets import keep_secret
from amaxds.storage.files import disk_errors

_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EMFILE}
"""What the operating system says of a disk, and never of a connection."""
_DENIED = {errno.EACCES, errno.EPERM}
"""What it says of a connection, too, but then names no file."""


class Hub(Protocol):
    """A place where datasets are published, each in a repository named `owner/name`.

    All methods raise HubError where the hub refuses or cannot be reached, and UsageError for a name that it cannot have. What
    they call scratch is a folder of `storage.scratch`, for files that are needed only until the publishing ends.
    """

    name: str
    """What users call it on the command line."""
    title: str
    """What messages call it."""
    licence_platform: str
    """Whose names for licences it takes: `huggingface` or `kaggle`."""
    one_recipe: bool
    """Whether it gets the images of the dataset's default recipe alone."""
    copies: int
    """How much of the disk publishing takes at most, in sizes of the dataset folder."""

    def check(self, repo: str) -> None:
        """UsageError where the hub takes no such name for a repository. Touches no network."""

    def require_token(self) -> None:
        """UsageError where there are no credentials. Touches no network."""

    def user(self) -> str:
        """The user whose credentials they are, as the hub says. It is asked once."""

    def prepare(self, folder: Path, info: BuildInfo, repo: str, scratch: Path) -> Path:
        """A folder with the files that this hub gets of a dataset folder: that folder itself, or one made in scratch."""

    def files(self, repo: str, scratch: Path) -> dict[str, str] | None:
        """Name -> SHA-256 of the files that are in the repository now; None where there is no such repository."""

    def latest(self, repo: str) -> str:
        """The name of the repository's version whose files are those that `files` found."""

    def send(self, source: Path, repo: str, changes: Changes, private: bool | None, message: str) -> str:
        """Carry out the changes with the files of the folder `source`, as one new version; that version's name.

        private: the repository's visibility; None leaves it as it is, and makes a new repository private.
        """

    def fetch_files(self, repo: str, version: str, folder: Path) -> None:
        """Fetch every file of a version of the user's own repository into an empty folder, to compare it with what was sent."""

    def fetch_untrusted(self, repo: str, version: str | None, folder: Path) -> Path:
        """Fetch anybody's dataset into an empty folder, in that version or (None) the latest; the path of its folder or zip.

        What is in it must not be trusted: no zip is unpacked, and no file is written outside the folder.
        """

    def verify(self, folder: Path, info: BuildInfo, repo: str, version: str, scratch: Path) -> None:
        """HubError where something else than the files is not as users of the hub will need it."""

    def url(self, repo: str) -> str:
        """The repository's page."""


@dataclass(frozen=True)
class Changes:
    """What publishing will change in a repository."""

    creates: bool
    """Whether the repository is new."""
    added: Mapping[str, int]
    """Name -> size in bytes of the files that are not there yet."""
    changed: Mapping[str, int]
    """Name -> size in bytes of the files that are there with another content."""
    removed: tuple[str, ...]
    """Names of the files that will no longer be there."""
    unchanged: int
    """How many files are there already as they should be."""

    @property
    def nothing(self) -> bool:
        """Whether everything is there already."""
        return not (self.creates or self.added or self.changed or self.removed)

    def lines(self) -> list[str]:
        """The changes in words: a line for each file, at most 20, and one with the totals."""
        verbs = (("add", self.added), ("change", self.changed))
        found = [f"{verb:7} {name} ({size / 1e6:.2f} MB)" for verb, files in verbs for name, size in sorted(files.items())]
        found += [f"remove  {name}" for name in self.removed]
        total = (sum(self.added.values()) + sum(self.changed.values())) / 1e6
        numbers = f"{len(self.added)} to add, {len(self.changed)} to change, {len(self.removed)} to remove"
        return [*_shortened(found), f"{numbers}, {self.unchanged} unchanged; {total:.2f} MB to send"]


def _shortened(lines: list[str], most: int = 20) -> list[str]:
    return lines if len(lines) <= most else [*lines[: most - 1], f"... and {len(lines) - most + 1} more"]


@contextlib.contextmanager
def disk_apart() -> Iterator[None]:
    """DiskError for what the disk refuses while a client of a hub is at work; all other errors pass."""
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and not _is_of_disk(cause):
            cause = cause.__cause__ or cause.__context__
        if cause is None or isinstance(error, AmaxdsError):
            raise
        room = "Make room there, or set TMPDIR to a folder on another disk"
        raise DiskError(
            f"cannot write {cause.filename or tempfile.gettempdir()}: {os.strerror(cause.errno or 0)}.",
            f"{'Change its permissions' if cause.errno in _DENIED else room}; then run the same command again to go on.",
        ) from error


def _is_of_disk(error: BaseException) -> TypeGuard[OSError]:
    denied = isinstance(error, OSError) and error.errno in _DENIED and error.filename is not None
    return denied or (isinstance(error, OSError) and error.errno in _DISK)


def checked_token(given: object, origin: str) -> str:
    """A token or key without the spaces and line breaks around it, which from now on no message shows. UsageError for what
    cannot be sent as one; origin: where it is from, for the message."""
    token = str(given).strip()
    keep_secret(token)
    if not re.fullmatch("[!-~]+", token):
        fault = "has several lines or words" if token.isascii() else "has characters that are not ASCII"
        raise UsageError(f"the token in {origin} {fault if token else 'is empty'}.", "Put the token there, and nothing else.")
    return token


def compare(source: Path, ours: Mapping[str, str], there: Mapping[str, str] | None) -> Changes:
    """The changes that turn what is in a repository into what is to be published.

    source: the folder with the files to be published. ours, there: name -> SHA-256 of the files to be published, and of those
    in the repository, or None where there is no repository yet.
    """
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
    """Name -> SHA-256 of the files of a folder that are published: not hidden ones, nor receipts, nor dataset-metadata.json,
    which Kaggle takes as settings and does not keep as a file. DiskError where one cannot be read."""
    found = {}
    with disk_errors(folder):
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            hidden = any(part.startswith(".") for part in Path(name).parts)
            if path.is_file() and not hidden and not re.fullmatch(r"receipt-\w+\.json|dataset-metadata\.json", name):
                with path.open("rb") as file:
                    found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found
