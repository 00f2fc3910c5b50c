"""Publishing: a valid dataset to a hub, by its own client, and the proof that what arrived is what was sent.

What is there is compared with what is to be there, file by file; only what differs is sent, as one new version. Then all of
it is fetched back and hashed. A receipt in the dataset folder says what was published, where, and that it was verified.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from amaxds.errors import HubError, UsageError
from amaxds.files import disk_errors, read_text, write_json
from amaxds.licence import licence_of
from amaxds.provenance import Claims

_REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")


class Hub(Protocol):
    """A place where datasets are published. All methods raise HubError or UsageError with what to do."""

    name: str
    title: str

    def check(self, repo: str) -> None:
        """Whether the name is one that the hub takes and there are credentials. Touches no network."""

    def prepare(self, folder: Path, claims: Claims, repo: str, scratch: Path) -> Path:
        """The folder of the files as this hub wants them: the dataset folder itself, or one made in scratch."""

    def files(self, repo: str, scratch: Path) -> dict[str, str] | None:
        """Name -> SHA-256 of what is there now; None where the repository does not exist."""

    def send(self, source: Path, repo: str, changes: Changes, private: bool | None, message: str) -> str:
        """Make it so, as one new version; the version's name."""

    def fetch(self, repo: str, version: str, folder: Path) -> None:
        """Everything of that version into an empty folder."""

    def verify(self, folder: Path, claims: Claims, repo: str, version: str, scratch: Path) -> None:
        """Whatever users of the hub rely on beyond the files."""

    def url(self, repo: str) -> str:
        """Where people look at it."""


def get_hub(name: str) -> Hub:
    """The hub of that name, or UsageError listing the names there are."""
    from amaxds.huggingface import HuggingFace
    from amaxds.kaggle import Kaggle

    hubs: tuple[Hub, ...] = (HuggingFace(), Kaggle())
    for hub in hubs:
        if hub.name == name:
            return hub
    raise UsageError(f"unknown hub {name!r}.", f"There is {' and '.join(hub.name for hub in hubs)}.")


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


def publish(
    folder: Path,
    claims: Claims,
    hub: Hub,
    repo: str,
    private: bool | None = None,
    message: str | None = None,
    allow_partial: bool = False,
    dry_run: bool = False,
    say: Callable[[str], None] = print,
) -> Path | None:
    """Publish a dataset folder that was found valid; the receipt's path, None after a dry run.

    private: None keeps what is there, and makes a new repository private. A dry run touches no network: it compares with the
    last receipt. UsageError for what cannot be published; HubError where the hub refuses or cannot be reached, and where
    what arrived is not what was sent.
    """
    if not claims.stored["scope"]["complete"] and not allow_partial:
        raise UsageError(f"{folder} is a partial build.", "Build all filters, or publish it as it is with --allow-partial.")
    licence_of(claims.recipes).on(hub.name)
    if not _REPO.fullmatch(repo):
        raise UsageError(f"--repo {repo!r} is no repository.", "Write it as owner/name: letters, digits, '.', '_' and '-'.")
    hub.check(repo)
    receipt = folder / receipt_name(hub.name)
    with tempfile.TemporaryDirectory(prefix="amaxds-") as temporary:
        scratch = Path(temporary)
        source = hub.prepare(folder, claims, repo, scratch)
        ours = hashes(source)
        there = _last_published(receipt, repo) if dry_run else hub.files(repo, scratch)
        changes = compare(source, ours, there)
        say(
            f"{hub.title} {repo}: {'a new repository' if changes.creates else 'is there'}"
            + (" (as of the last receipt)" * dry_run)
        )
        for line in changes.lines():
            say(line)
        if dry_run:
            return None
        if changes.nothing and private is None and (last := _receipt(receipt)).get("repo") == repo:
            version = str(last["version"])
        else:
            version = hub.send(source, repo, changes, private, message or f"Update of {folder.resolve().name}")
        say("verifying: fetching everything back")
        back = scratch / "back"
        back.mkdir()
        hub.fetch(repo, version, back)
        _require_equal(ours, hashes(back), hub, repo)
        hub.verify(folder, claims, repo, version, scratch)
        write_json(
            receipt,
            {
                "hub": hub.name,
                "repo": repo,
                "url": hub.url(repo),
                "version": version,
                "verified": datetime.now(UTC).isoformat(timespec="seconds"),
                "files": ours,
            },
        )
    return receipt


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


def receipt_name(hub: str) -> str:
    """The receipt's file name in the dataset folder. It stays there: it is never published itself."""
    return f"published-{hub}.json"


def hashes(folder: Path) -> dict[str, str]:
    """Name -> SHA-256 of the files to publish: all but hidden ones, receipts, and Kaggle's settings, no file there."""
    found = {}
    with disk_errors(folder):
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            hidden = any(part.startswith(".") for part in Path(name).parts)
            if path.is_file() and not hidden and not re.fullmatch(r"published-\w+\.json|dataset-metadata\.json", name):
                with path.open("rb") as file:
                    found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _require_equal(sent: Mapping[str, str], back: Mapping[str, str], hub: Hub, repo: str) -> None:
    for name in sorted(sent.keys() | back.keys()):
        if sent.get(name) != back.get(name):
            what = "did not arrive" if name not in back else "was not sent" if name not in sent else "arrived damaged"
            raise HubError(f"{hub.title} {repo}: {name} {what}.", "Run the same command again; no receipt was written.")


def _receipt(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_text(path))
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError, RecursionError):
        return {}


def _last_published(path: Path, repo: str) -> dict[str, str] | None:
    last = _receipt(path)
    return last.get("files") if last.get("repo") == repo else None
