"""Locations: where a dataset is that somebody names: a folder or a zip, here or in a store, or a repository on a hub."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from amaxds.builds.shards import WORK
from amaxds.dataset.build_info import BUILD_FILE
from amaxds.dataset.bundle_files import TABLE
from amaxds.errors import UsageError
from amaxds.hubs.registry import get_hub
from amaxds.storage.store import Location, Remote, local_copy, parse_location

_REMOTE = re.compile(
    r"(?:(?P<hub>[a-z]+):)?(?P<repo>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@(?P<version>[\w./-]+))?", re.ASCII
)


@contextlib.contextmanager
def located(name: str) -> Iterator[Path]:
    """The folder or zip that is meant: a path that is there, or else a URL or `owner/name`, fetched for as long as it is used.

    `owner/name` is on the Hugging Face Hub, `kaggle:owner/name` on Kaggle; `@revision`, there a version's number, may follow.
    UsageError for what is none of them; HubError or StoreError where it cannot be fetched.
    """
    place = parse_location(name)
    if isinstance(place, Remote) or os.path.lexists(place):
        with dataset_at(place) as found:
            yield found
        return
    remote = _REMOTE.fullmatch(name)
    if remote is None:
        raise UsageError(
            f"{name} is no folder and no file.", "Give a dataset folder, a bundle as folder or zip, a URL, or owner/name."
        )
    hub = get_hub(remote["hub"] or "huggingface")
    with tempfile.TemporaryDirectory(prefix="amaxds-") as folder:
        yield hub.get(remote["repo"], remote["version"], Path(folder))


@contextlib.contextmanager
def dataset_at(place: Location) -> Iterator[Path]:
    """A path as it is, or what is at a URL; UsageError where that is no dataset, which would all be fetched."""
    if isinstance(place, Remote) and place.kind() == "directory":
        names = place.names()
        if not {BUILD_FILE, "README.md", TABLE, WORK} & set(names):
            raise UsageError(
                f"{place} holds no dataset, no bundle and no build (it has {', '.join(names[:3]) or 'nothing'}).",
                "Give the folder of one of them.",
            )
    with local_copy(place) as found:
        yield found
