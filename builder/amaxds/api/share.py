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
    repo: str,
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
        to: `huggingface`, `kaggle`, or both.
        repo: `owner/name` on the hubs.
        public: Whether everyone can see it. By default as it is; a new one is private.
        message: What changed, for the new version.
        allow_partial: Whether a build of some filters only may be published.
        gallery: Whether to publish the report's page, too, as a static Space on Hugging Face.
        dry_run: Only say what would be done; no network is touched.
        show: Is given the plan and what is going on, line by line.

    Raises:
        InvalidDataset: If validation finds something; `error.report` has it.
        UsageError: If a hub would not take it, before anything is sent to any of them.
        HubError: If a hub refuses or cannot be reached, and where what arrived is not what was sent.

    Examples:
        >>> amaxds.publish("demo-filter-activations", "huggingface", "owner/demo-filter-activations", dry_run=True)
    """
    if not callable(show):
        raise UsageError(f"show {reprlib.repr(show)} is no function.", "Give one that takes a line of text.")
    options = (
        dataset_name(path),
        names(to, "to"),
        text(repo, "repo"),
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


def _publish(
    path: str,
    to: Sequence[str],
    repo: str,
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
    from amaxds.hubs.registry import get_gallery, get_hub
    from amaxds.storage.location import parse_location

    tell = apart.caller()
    if show is None:
        show = print if tell is None else lambda line: tell(("line", line))
    hubs = [get_hub(name) for name in to]
    if gallery:
        hubs.append(get_gallery(to, dry_run))
    place, private = parse_location(path), None if public is None else not public
    with dataset_at(place) as folder:
        require_valid(folder, str(place))
        send(folder, require_build_info(folder), place, hubs, repo, private, message, allow_partial, dry_run, show)
