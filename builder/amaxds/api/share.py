"""The functions that share datasets: bundle and publish."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from amaxds.api.arguments import dataset_name, flag, names, optional, require_valid, text
from amaxds.compute import apart
from amaxds.errors import UsageError
from amaxds.storage.location import local_path

if TYPE_CHECKING:
    from pathlib import Path

    from amaxds.api.arguments import DatasetLike
    from amaxds.hubs.base import Hub
    from amaxds.storage.location import Location


def bundle(path: DatasetLike, out: str | os.PathLike[str], *, recipe: str | None = None, repo: str | None = None) -> str:
    """Write one recipe of a dataset as Kaggle expects a dataset: PNG files, `metadata.csv`, `croissant.json` and
    `dataset-metadata.json`.

    Args:
        path: A dataset folder, the URL of one, or an opened dataset folder.
        out: Folder to write, which must not be there yet.
        recipe: The recipe. By default that of the dataset's default config, or of the part that `dataset.recipe(...)` is.
        repo: `owner/name` on Kaggle, for `dataset-metadata.json`.

    Returns:
        The name of the recipe.

    Raises:
        InvalidDataset: If validation finds something; `error.report` has it.
        UsageError: If `out` is there already, or the dataset has no such recipe.
        DiskError: If `out` cannot be written.

    Examples:
        >>> amaxds.bundle("demo-filter-activations", "bundle")
        'clear'
    """
    from amaxds.dataset.build_reader import require_build_info
    from amaxds.dataset.bundle import bundle as write
    from amaxds.dataset.bundle_files import require_no_bundle
    from amaxds.hubs.locate import dataset_at
    from amaxds.hubs.opened import Dataset
    from amaxds.storage.location import parse_location

    recipe, repo, target = optional(text, recipe, "recipe"), optional(text, repo, "repo"), local_path(out, "out")
    if isinstance(path, Dataset) and path.is_part:
        recipe, path = path.recipe(recipe or path.recipes[0]).recipes[0], path.place
    place = parse_location(dataset_name(path))
    with dataset_at(place) as folder:
        require_no_bundle(folder, str(place))
        require_valid(folder, str(place))
        return write(folder, require_build_info(folder), target, recipe, repo)


def publish(
    path: DatasetLike,
    to: str | Iterable[str],
    repo: str | None = None,
    *,
    public: bool | None = None,
    message: str | None = None,
    allow_partial: bool = False,
    gallery: bool = False,
    dry_run: bool = False,
    show: Callable[[str], None] = print,
    confirm: Callable[[list[str]], bool] | None = None,
) -> None:
    """Publish a dataset folder with the hubs' own clients and tokens: validate it, send what changed as one new version, fetch
    everything back and compare.

    Stopped on the way, the same call goes on.

    Args:
        path: A dataset folder, the URL of one, or an opened dataset folder.
        to: `huggingface` (or `hf`), `kaggle`, or both.
        repo: `owner/name` on the hubs, or a name, whose owner then is the user whose token it is. By default where it was
            published last; the first time that user's repository with the name of the folder.
        public: Whether everyone can see it. By default as it is; a new one is private.
        message: What changed, for the new version.
        allow_partial: Whether a build of some filters only may be published.
        gallery: Whether to publish the report's page, too, as a static Space on Hugging Face.
        dry_run: Only say what would be done; no network is touched, and no token needed.
        show: Is given the plan and what is going on, line by line.
        confirm: Is called before anything is sent, if the dataset was not published there before, with what would be published
            in words, a string for each such repository; returns whether to go on. Without it nobody is asked.

    Raises:
        InvalidDataset: If validation finds something; `error.report` has it.
        UsageError: If a hub would not take it, before anything is sent to any of them; if `confirm` says no.
        DiskError: If there is no room for the copy that is fetched back.
        HubError: If a hub refuses or cannot be reached, and where what arrived is not what was sent.

    Examples:
        >>> amaxds.publish("demo-filter-activations", "kaggle", dry_run=True)
    """
    from amaxds.builds.progress import shown
    from amaxds.dataset.build_reader import require_build_info
    from amaxds.dataset.bundle_files import require_no_bundle
    from amaxds.hubs.locate import dataset_at
    from amaxds.hubs.publish import destinations
    from amaxds.hubs.publish import publish as send
    from amaxds.storage.location import parse_location

    for name, function in (("show", show), ("confirm", confirm)):
        if not callable(function) and not (name == "confirm" and function is None):
            takes = "a line of text" if name == "show" else "a list of texts"
            raise UsageError(f"{name} {reprlib.repr(function)} is no function.", f"Give one that takes {takes}.")
    place, named = parse_location(dataset_name(path)), names(to, "to")
    repo, public = optional(text, repo, "repo"), optional(flag, public, "public")
    message, allow_partial = optional(text, message, "message"), flag(allow_partial, "allow_partial")
    gallery, dry_run = flag(gallery, "gallery"), flag(dry_run, "dry_run")
    private, hubs = None if public is None else not public, _hubs(named, gallery, dry_run)
    with dataset_at(place) as folder:
        require_no_bundle(folder, str(place))
        require_valid(folder, str(place))
        info = require_build_info(folder)
        found = destinations(place, info, hubs, repo, allow_partial, dry_run)
        first = [
            f"{info.filters if each.hub.one_recipe else info.images} images to {each.repo} on {each.hub.title}"
            for each in found
            if each.first
        ]
        if confirm is not None and first and not dry_run:
            seen_by = {None: "private unless it is there already", True: "private", False: "public"}[private]
            if not confirm([f"{each} ({seen_by}; other files there are deleted)" for each in first]):
                raise UsageError("nothing was published.", "A dry run (--dry-run) shows what would be sent.")
        if not gallery:
            send(folder, info, place, found, private, message, dry_run, show)
            return
        # The page shows which images are most alike, and for that the network is computed.
        with shown() as progress:

            def receive(told: tuple[Any, ...]) -> None:
                show(told[1]) if told[0] == "line" else progress(told)

            repos = [each.repo for each in found]
            apart.run(_publish_apart, receive, None, folder, place, named, repos, private, message, dry_run)


def _hubs(to: Sequence[str], gallery: bool, dry_run: bool) -> list[Hub]:
    from amaxds.hubs.registry import get_gallery, get_hub

    hubs = [get_hub(name) for name in to]
    return [*hubs, get_gallery(hubs, dry_run)] if gallery else hubs


def _publish_apart(
    folder: Path,
    place: Location,
    to: Sequence[str],
    repos: Sequence[str],
    private: bool | None,
    message: str | None,
    dry_run: bool,
) -> None:
    """Publish a valid dataset folder with the gallery in these repositories, one for each hub, and tell the process that called
    this one what is going on."""
    from amaxds.dataset.build_reader import require_build_info
    from amaxds.hubs.publish import Destination
    from amaxds.hubs.publish import publish as send

    tell = apart.caller()
    show: Callable[[str], None] = print if tell is None else lambda line: tell(("line", line))
    hubs = _hubs(to, True, dry_run)
    found = [Destination(hub, repo, first=False) for hub, repo in zip(hubs, repos, strict=True)]
    send(folder, require_build_info(folder), place, found, private, message, dry_run, show)
