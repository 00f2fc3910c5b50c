"""Publishing: a valid dataset to a hub, by its own client, and the proof that what arrived is what was sent.

What is there is compared with what is to be there, file by file; only what differs is sent, as one new version. Then all of
it is fetched back and hashed. A receipt in the dataset folder says what was published, where, and that it was verified.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from amaxds.dataset.build_info import BuildInfo
from amaxds.dataset.bundle import require_repo
from amaxds.dataset.licence import licence_of
from amaxds.errors import HubError, UsageError
from amaxds.hubs.base import Hub, compare, hashes
from amaxds.storage.files import read_text, write_json
from amaxds.storage.store import Location


def publish(
    folder: Path,
    info: BuildInfo,
    hubs: Sequence[Hub],
    repo: str,
    private: bool | None = None,
    message: str | None = None,
    allow_partial: bool = False,
    dry_run: bool = False,
    say: Callable[[str], None] = print,
    home: Location | None = None,
) -> None:
    """Publish a dataset folder that was found valid on each hub in turn, and leave a receipt for each in the folder.

    home: where the folder was fetched from, if it was: there the receipts are left.
    private: None keeps what is there, and makes a new repository private. A dry run touches no network: it compares with the
    last receipt. UsageError for what cannot be published on one of them, before anything is sent to any; HubError where a hub
    refuses or cannot be reached, and where what arrived is not what was sent.
    """
    if not info.scope_entry.complete and not allow_partial:
        raise UsageError(
            f"{home or folder} is a partial build.", "Build all filters, or publish it as it is with --allow-partial."
        )
    require_repo(repo)
    for hub in hubs:
        licence_of(info.recipes).on(hub.licence_platform)
        hub.check(repo)
    for hub in hubs:
        _publish_on(hub, folder, info, repo, private, message, dry_run, say, home or folder)


def _publish_on(
    hub: Hub,
    folder: Path,
    info: BuildInfo,
    repo: str,
    private: bool | None,
    message: str | None,
    dry_run: bool,
    say: Callable[[str], None],
    home: Location,
) -> None:
    receipt = folder / receipt_name(hub.name)
    with tempfile.TemporaryDirectory(prefix="amaxds-") as temporary:
        scratch = Path(temporary)
        source = hub.prepare(folder, info, repo, scratch)
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
            return
        if changes.nothing and private is None and (last := _receipt(receipt)).get("repo") == repo:
            version = str(last["version"])
        else:
            version = hub.send(source, repo, changes, private, message or f"Update of {folder.resolve().name}")
        say("verifying: fetching everything back")
        back = scratch / "back"
        back.mkdir()
        hub.fetch(repo, version, back)
        _require_equal(ours, hashes(back), hub, repo)
        hub.verify(folder, info, repo, version, scratch)
        write_json(
            home / receipt.name,
            {
                "hub": hub.name,
                "repo": repo,
                "url": hub.url(repo),
                "version": version,
                "verified": datetime.now(UTC).isoformat(timespec="seconds"),
                "files": ours,
            },
        )
    say(f"{hub.url(repo)}: published and verified; receipt {home / receipt.name}")


def receipt_name(hub: str) -> str:
    """The receipt's file name in the dataset folder. It stays there: it is never published itself."""
    return f"receipt-{hub}.json"


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
