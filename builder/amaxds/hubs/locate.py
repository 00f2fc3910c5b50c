"""Finding a dataset by what a user calls it: a path or URL of a folder or zip, or the name of a repository on a hub."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from amaxds.builds.shards import WORK
from amaxds.dataset.build_info import BUILD_FILE
from amaxds.dataset.bundle_files import TABLE
from amaxds.errors import UsageError
from amaxds.hubs.registry import get_hub
from amaxds.spec.network import VGG16
from amaxds.storage.location import LocalPath, Location, parse_location
from amaxds.storage.scratch import temporary_folder

DEFAULT_FOLDER = f"{VGG16.name}-filter-activations"
_ON_A_HUB = re.compile(
    r"(?:(?P<hub>[a-z]+):)?(?P<repo>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@(?P<version>[\w./-]+))?", re.ASCII
)


@contextlib.contextmanager
def fetched(name: str) -> Iterator[Path]:
    """The folder or zip of a dataset, fetched where it is not on this machine, and kept while the context is open.

    name: a path, a URL, or where there is no such path a repository: `owner/name` on the Hugging Face Hub, `kaggle:owner/name`
    on Kaggle. A repository's name may end with `@` and a version: on Hugging Face a revision, on Kaggle a number.
    UsageError for what is none of these; HubError or StoreError where it cannot be fetched.
    """
    place = parse_location(name)
    # A path that is not there may be the name of a repository; a URL never is.
    if not isinstance(place, LocalPath) or os.path.lexists(place.path):
        with dataset_at(place) as found:
            yield found
        return
    named = _ON_A_HUB.fullmatch(name)
    if named is None:
        raise UsageError(
            f"{name} is no folder and no file.", "Give a dataset folder, a bundle as folder or zip, a URL, or owner/name."
        )
    hub = get_hub(named["hub"] or "huggingface")
    with temporary_folder() as folder:
        yield hub.fetch_untrusted(named["repo"], named["version"], folder)


def dataset_here() -> str:
    """The finished dataset folder in the working directory, or that directory itself: of several the one that `amaxds build`
    makes by default. UsageError where there is none, or several others."""
    if os.path.isfile(BUILD_FILE):
        return "."
    finished = (path.parent for path in Path().glob(f"*/{BUILD_FILE}"))
    found = sorted(path.name for path in finished if not (path / TABLE).exists())  # That is in bundles.
    if DEFAULT_FOLDER in found or len(found) == 1:
        return DEFAULT_FOLDER if DEFAULT_FOLDER in found else found[0]
    if found:
        raise UsageError(f"here are several datasets: {', '.join(found)}.", "Give one of them as PATH.")
    begun = sorted(path.parent.name for path in Path().glob(f"*/{WORK}"))
    raise UsageError(
        f"here is no finished dataset folder{''.join(f', {each} is not finished' for each in begun)}.",
        "Give its PATH, or make one with `amaxds build`.",
    )


@contextlib.contextmanager
def dataset_at(place: Location) -> Iterator[Path]:
    """A path at which the dataset can be read while the context is open. From a store it is fetched.

    UsageError where nothing is in the store, or a folder that holds no dataset, which is then not fetched.
    """
    # A folder on this machine costs nothing to look at: validation says all that is wrong with it.
    if not isinstance(place, LocalPath) and place.kind() == "directory":
        names = place.names()
        if not {BUILD_FILE, "README.md", TABLE, WORK} & set(names):
            raise UsageError(
                f"{place} holds no dataset, no bundle and no build (it has {', '.join(names[:3]) or 'nothing'}).",
                "Give the folder of one of them.",
            )
    with place.local_copy() as found:
        yield found
