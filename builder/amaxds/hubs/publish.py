"""Publishing: a valid dataset is sent to a hub with the hub's own client, and what arrived is proved to be what was sent.

The files on the hub are compared with those to be published, and only those that differ are sent, as one new version. Then
the whole version is fetched back and hashed. A receipt beside the dataset says what was published, where, and that it was
verified.
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
from amaxds.storage.files import json_bytes, read_text
from amaxds.storage.location import Location


def publish(
    folder: Path,
    info: BuildInfo,
    origin: Location,
    hubs: Sequence[Hub],
    repo: str,
    private: bool | None = None,
    message: str | None = None,
    allow_partial: bool = False,
    dry_run: bool = False,
    show: Callable[[str], None] = print,
) -> None:
    """Publish a valid dataset folder on each hub in turn, and leave a receipt for each beside the dataset.

    folder: the dataset on this machine. origin: where the user has it, the same folder or one in a store that `folder` is a
    copy of; the receipts are written there. private: None leaves an existing repository's visibility as it is and makes a new
    repository private. message: what changed, for the hub's list of versions. show: is given the plan and what is going on,
    line by line. A dry run touches no network: it compares with the last receipt. UsageError for what one of the hubs would
    not take, before anything is sent to any of them; HubError where a hub refuses or cannot be reached, and where what arrived
    is not what was sent.
    """
    if not info.scope_entry.complete and not allow_partial:
        note = info.network.note
        raise UsageError(
            f"{origin} is a partial build{': ' if note else ''}{note}.",
            f"{'Publish' if note else 'Build all filters, or publish'} it as it is with --allow-partial.",
        )
    require_repo(repo)
    for hub in hubs:
        licence_of(info.recipes).on(hub.licence_platform)
        hub.check(repo)
    for hub in hubs:
        _publish_on(hub, folder, info, origin, repo, private, message, dry_run, show)


def _publish_on(
    hub: Hub,
    folder: Path,
    info: BuildInfo,
    origin: Location,
    repo: str,
    private: bool | None,
    message: str | None,
    dry_run: bool,
    show: Callable[[str], None],
) -> None:
    receipt = folder / receipt_name(hub.name)
    with tempfile.TemporaryDirectory(prefix="amaxds-") as temporary:
        scratch = Path(temporary)
        source = hub.prepare(folder, info, repo, scratch)
        ours = hashes(source)
        there = _last_published(receipt, repo) if dry_run else hub.files(repo, scratch)
        changes = compare(source, ours, there)
        show(
            f"{hub.title} {repo}: {'a new repository' if changes.creates else 'is there'}"
            + (" (as of the last receipt)" * dry_run)
        )
        for line in changes.lines():
            show(line)
        if dry_run:
            return
        if changes.nothing and private is None and (last := _receipt(receipt)).get("repo") == repo:
            version = str(last["version"])
        else:
            version = hub.send(source, repo, changes, private, message or f"Update of {folder.resolve().name}")
        show("verifying: fetching everything back")
        back = scratch / "back"
        back.mkdir()
        hub.fetch_files(repo, version, back)
        _require_equal(ours, hashes(back), hub, repo)
        hub.verify(folder, info, repo, version, scratch)
        published = {
            "hub": hub.name,
            "repo": repo,
            "url": hub.url(repo),
            "version": version,
            "verified": datetime.now(UTC).isoformat(timespec="seconds"),
            "files": ours,
        }
        (origin / receipt.name).write(json_bytes(published))
    show(f"{hub.url(repo)}: published and verified; receipt {origin / receipt.name}")


def receipt_name(hub: str) -> str:
    """The name of a hub's receipt in the dataset folder. Receipts are never published themselves."""
    return f"receipt-{hub}.json"


def _require_equal(sent: Mapping[str, str], back: Mapping[str, str], hub: Hub, repo: str) -> None:
    """HubError naming the first file whose SHA-256 is not the same before and after."""
    for name in sorted(sent.keys() | back.keys()):
        if sent.get(name) != back.get(name):
            what = "did not arrive" if name not in back else "was not sent" if name not in sent else "arrived damaged"
            raise HubError(f"{hub.title} {repo}: {name} {what}.", "Run the same command again; no receipt was written.")


def _receipt(path: Path) -> dict[str, Any]:
    """The receipt as it was written; empty where there is none that can be read."""
    try:
        found = json.loads(read_text(path))
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError, RecursionError):
        return {}


def _last_published(path: Path, repo: str) -> dict[str, str] | None:
    """Name -> SHA-256 of the files that the receipt says are in this repository; None where it says nothing of it."""
    last = _receipt(path)
    return last.get("files") if last.get("repo") == repo else None
