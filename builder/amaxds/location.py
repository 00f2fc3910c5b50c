"""Locations: where a dataset is that somebody names, a folder, a zip, or a repository on a hub."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from amaxds.errors import UsageError
from amaxds.publish import get_hub

_REMOTE = re.compile(
    r"(?:(?P<hub>[a-z]+):)?(?P<repo>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@(?P<version>[\w./-]+))?", re.ASCII
)


@contextlib.contextmanager
def located(name: str) -> Iterator[Path]:
    """The folder or zip that is meant: a path that is there, or else `owner/name`, fetched for as long as it is used.

    `owner/name` is on the Hugging Face Hub, `kaggle:owner/name` on Kaggle; `@revision`, there a version's number, may follow.
    UsageError for what is neither; HubError where it is not there or cannot be fetched.
    """
    if os.path.lexists(name):
        yield Path(name)
        return
    remote = _REMOTE.fullmatch(name)
    if remote is None:
        raise UsageError(
            f"{name} is no folder and no file.", "Give a dataset folder, a bundle as folder or zip, or owner/name."
        )
    hub = get_hub(remote["hub"] or "huggingface")
    with tempfile.TemporaryDirectory(prefix="amaxds-") as folder:
        yield hub.get(remote["repo"], remote["version"], Path(folder))
