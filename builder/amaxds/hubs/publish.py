"""Publishing: a valid dataset is sent to a hub with the hub's own client, and what arrived is proved to be what was sent.

The files on the hub are compared with those to be published, and only those that differ are sent, as one new version. Then
the whole version is fetched back and hashed. A receipt beside the dataset says what was published, where, and that it was
verified.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from amaxds.dataset.build_info import BUILD_FILE, BuildInfo
from amaxds.dataset.bundle import require_repo
from amaxds.dataset.card import default_config
from amaxds.dataset.croissant import CROISSANT_FILE
from amaxds.dataset.licence import licence_of
from amaxds.errors import HubError, UsageError, in_words, printable
from amaxds.hubs.base import Hub, compare, hashes
from amaxds.secrets import without_secrets
from amaxds.storage.files import disk_errors, json_bytes, read_text
from amaxds.storage.location import Location, require_loadable
from amaxds.storage.scratch import require_room, scratch_folder

_MOST_OF_RECEIPT = 100_000_000
UNKNOWN_USER = "YOUR-NAME"
"""Stands in a dry run for the user whose token it would be, because only the hub can say who that is."""


@dataclass(frozen=True)
class Destination:
    """A repository on a hub that a dataset is to be published in."""

    hub: Hub
    repo: str
    first: bool
    """Whether no receipt says that the dataset was published there before."""


def destinations(
    origin: Location,
    info: BuildInfo,
    hubs: Sequence[Hub],
    repo: str | None = None,
    allow_partial: bool = False,
    dry_run: bool = False,
) -> list[Destination]:
    """Where the dataset at `origin` is to be published, a repository for each hub. Nothing is sent.

    repo: `owner/name`, or a name, whose owner then is the user whose token it is. By default the repository of the last
    receipt; without one, that of the user with the name of the folder. A dry run touches no network, needs no token, and has
    UNKNOWN_USER for the user. UsageError for what one of the hubs would not take; HubError where one has to be asked for the
    user and cannot be.
    """
    if not info.scope_entry.complete and not allow_partial:
        network = info.network
        some = info.filters < network.filters
        missing = [f"it has {info.filters} of {network.filters} filters"] * some + [network.note] * bool(network.note)
        raise UsageError(
            f"{origin} is a partial build: {'; '.join(missing)}.",
            f"{'Build all filters, or allow' if some else 'Allow'} to publish it as it is (--allow-partial).",
        )
    require_loadable(origin, "Move it, or give it another name.", by_name=False)  # On a hub it is behind its owner's.
    for hub in hubs:
        licence_of(info.recipes).on(hub.licence_platform)
        if not dry_run:
            hub.require_token()
    found: list[Destination] = []
    for hub in hubs:
        chosen = repo if repo is not None and "/" in repo else None
        # The gallery's Space has the name of the dataset's repository on the same hub.
        same = (each.repo for each in found if each.hub.licence_platform == hub.licence_platform)
        chosen = chosen or next(same, None) or (None if repo else _receipt(origin, hub).get("repo"))
        if chosen is None:
            chosen = f"{UNKNOWN_USER if dry_run else hub.user()}/{repo or origin.absolute().name}"
        require_repo(chosen)
        hub.check(chosen)
        found.append(Destination(hub, chosen, _receipt(origin, hub).get("repo") != chosen))
    return found


def publish(
    folder: Path,
    info: BuildInfo,
    origin: Location,
    to: Sequence[Destination],
    private: bool | None = None,
    message: str | None = None,
    dry_run: bool = False,
    show: Callable[[str], None] = print,
) -> None:
    """Publish a valid dataset folder at each of its `destinations` in turn, and leave a receipt for each beside the dataset.

    folder: the dataset on this machine. origin: where the user has it, the same folder or one in a store that `folder` is a
    copy of; the receipts are written there. private: None leaves an existing repository's visibility as it is and
    makes a new repository private. message: what changed, for the hub's list of versions. show: is given the plan and what is
    going on, line by line. A dry run touches no network: it compares with the last receipt. HubError where a hub refuses or
    cannot be reached, and where what arrived is not what was sent; DiskError where there is no room for the copy that is
    fetched back.
    """

    def say(line: str) -> None:
        show(printable(without_secrets(line)))  # Names of files there are anybody's.

    for each in to:
        if each.repo.startswith(f"{UNKNOWN_USER}/"):
            say(f"{UNKNOWN_USER} stands for your user name on {each.hub.title}, which only the hub can say")
        _publish_on(each.hub, folder, info, origin, each.repo, private, message, dry_run, say)


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
    last = _receipt(origin, hub)
    with _scratch(folder, hub, repo, dry_run) as scratch:
        if not dry_run:
            size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            require_room(scratch, hub.copies * size, f"publishing on {hub.title}, with the copy that is fetched back,")
        source = hub.prepare(folder, info, repo, scratch)
        ours = hashes(source)
        there = _last_published(last, repo) if dry_run else hub.files(repo, scratch)
        changes = compare(source, ours, there)
        show(
            f"{hub.title} {repo}: {'a new repository' if changes.creates else 'is there'}"
            + (" (as of the last receipt)" * dry_run)
        )
        chosen = default_config(list(info.recipes))
        if hub.one_recipe and (others := [each for each in info.recipes if each != chosen]):
            show(f"  only the images of {chosen}: {hub.title} takes one recipe, {' and '.join(others)} is left out")
        for line in changes.lines():
            show(line)
        if dry_run:
            return
        if changes.nothing and private is None and last.get("repo") == repo and last.get("files") == ours:
            version = hub.latest(repo)  # That of the receipt may be gone: a history can be squashed, a version deleted.
        else:
            if not changes.nothing:
                show("sending")
            version = hub.send(source, repo, changes, private, message or f"Update of {folder.resolve().name}")
        show("verifying: fetching everything back")
        back = scratch / "back"
        with disk_errors(back):
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
        receipt = origin / receipt_name(hub.name)
        receipt.write(json_bytes(published))
    show(f"{hub.url(repo)}: published and verified; receipt {receipt}")


@contextlib.contextmanager
def _scratch(folder: Path, hub: Hub, repo: str, dry_run: bool) -> Iterator[Path]:
    """A scratch folder for publishing exactly this dataset there: croissant.json has the checksums of its data.

    UsageError where another process is publishing it, if this is no dry run.
    """
    content = "".join(read_text(folder / name) for name in (CROISSANT_FILE, BUILD_FILE))
    key = f"{hub.name} {hub.url(repo)} {uuid.uuid4() if dry_run else content}"
    with contextlib.ExitStack() as held:
        try:
            scratch = held.enter_context(scratch_folder(key))
        except TimeoutError as error:
            raise UsageError(
                f"another process is publishing this dataset to {repo} on {hub.title}.", "Wait until it has ended."
            ) from error
        yield scratch


def receipt_name(hub: str) -> str:
    """The name of a hub's receipt in the dataset folder. Receipts are never published themselves."""
    return f"receipt-{hub}.json"


def _require_equal(sent: Mapping[str, str], back: Mapping[str, str], hub: Hub, repo: str) -> None:
    """HubError naming the first file whose SHA-256 is not the same before and after."""
    for name in sorted(sent.keys() | back.keys()):
        if sent.get(name) != back.get(name):
            what = "did not arrive" if name not in back else "was not sent" if name not in sent else "arrived damaged"
            raise HubError(f"{hub.title} {repo}: {name} {what}.", "Run the same command again; no receipt was written.")


def _receipt(origin: Location, hub: Hub) -> dict[str, Any]:
    """A hub's receipt as it was written; empty where there is none. UsageError for a file that is none; DiskError and
    StoreError where it cannot be read, as without it the dataset would be published elsewhere."""
    file = origin / receipt_name(hub.name)
    try:
        text = file.read(_MOST_OF_RECEIPT)
    except FileNotFoundError:
        return {}
    except OSError:
        with disk_errors(Path(str(file))):
            raise
    try:
        found = json.loads(text)
        if not {"repo", "version", "files"} <= found.keys():
            raise ValueError("no repository, version or files")
    except (AttributeError, ValueError, RecursionError) as error:
        raise UsageError(
            f"{file} is no receipt of a publication ({in_words(error)}).",
            "Delete it, and say where the dataset was published (--repo), if it was.",
        ) from error
    return dict(found)


def _last_published(last: Mapping[str, Any], repo: str) -> dict[str, str] | None:
    """Name -> SHA-256 of the files that the receipt says are in this repository; None where it says nothing of it."""
    return last.get("files") if last.get("repo") == repo else None
