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
    from amaxds.api.arguments import DatasetLike
    from amaxds.hubs.base import Hub


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
    from amaxds.hubs.locate import dataset_at
    from amaxds.hubs.opened import Dataset
    from amaxds.storage.location import parse_location

    recipe, repo, target = optional(text, recipe, "recipe"), optional(text, repo, "repo"), local_path(out, "out")
    if isinstance(path, Dataset) and path.is_part:
        recipe, path = recipe or path.recipes[0], path.name
    place = parse_location(dataset_name(path))
    with dataset_at(place) as folder:
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

    Raises:
        InvalidDataset: If validation finds something; `error.report` has it.
        UsageError: If a hub would not take it, before anything is sent to any of them.
        HubError: If a hub refuses or cannot be reached, and where what arrived is not what was sent.

    Examples:
        >>> amaxds.publish("demo-filter-activations", "kaggle", dry_run=True)
    """
    if not callable(show):
        raise UsageError(f"show {reprlib.repr(show)} is no function.", "Give one that takes a line of text.")
    options = (
        dataset_name(path),
        names(to, "to"),
        optional(text, repo, "repo"),
        optional(flag, public, "public"),
        optional(text, message, "message"),
        flag(allow_partial, "allow_partial"),
        flag(gallery, "gallery"),
        flag(dry_run, "dry_run"),
    )
    if not gallery:
        _publish(*options, show)
        return
    # The page shows which images are most alike, and for that the network is computed.
    from amaxds.builds.progress import shown

    with shown() as progress:

        def receive(told: tuple[Any, ...]) -> None:
            show(told[1]) if told[0] == "line" else progress(told)

        apart.run(_publish, receive, None, *options, None)


def first_publications(
    path: DatasetLike, to: Iterable[str], repo: str | None, public: bool | None, allow_partial: bool, gallery: bool
) -> list[str]:
    """What `publish` would publish where no receipt says that it was there before, in words; the arguments are the same."""
    from amaxds.dataset.build_info import BUILD_FILE
    from amaxds.dataset.build_reader import parse_build_info
    from amaxds.hubs.publish import destinations
    from amaxds.storage.location import parse_location

    place = parse_location(dataset_name(path))
    try:
        info, _ = parse_build_info((place / BUILD_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        info = None
    if info is None:
        return []  # Validation says what is wrong with it.
    found = destinations(place, info, _hubs(names(to, "to"), gallery, False), repo, allow_partial)
    seen_by = "public" if public else "private"
    return [f"{info.images} images to {each.repo} on {each.hub.title}, {seen_by}" for each in found if each.first]


def _hubs(to: Sequence[str], gallery: bool, dry_run: bool) -> list[Hub]:
    from amaxds.hubs.registry import get_gallery, get_hub

    hubs = [get_hub(name) for name in to]
    return [*hubs, get_gallery(hubs, dry_run)] if gallery else hubs


def _publish(
    path: str,
    to: Sequence[str],
    repo: str | None,
    public: bool | None,
    message: str | None,
    allow_partial: bool,
    gallery: bool,
    dry_run: bool,
    show: Callable[[str], None] | None,
) -> None:
    """show: where it is None, the process that called this one is told."""
    from amaxds.dataset.build_reader import require_build_info
    from amaxds.hubs.locate import dataset_at
    from amaxds.hubs.publish import publish as send
    from amaxds.storage.location import parse_location

    tell = apart.caller()
    if show is None:
        show = print if tell is None else lambda line: tell(("line", line))
    hubs = _hubs(to, gallery, dry_run)
    place, private = parse_location(path), None if public is None else not public
    with dataset_at(place) as folder:
        require_valid(folder, str(place))
        send(folder, require_build_info(folder), place, hubs, repo, private, message, allow_partial, dry_run, show)
