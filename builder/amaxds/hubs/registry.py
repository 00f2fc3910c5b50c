"""The hubs that datasets can be published on, by name."""

from __future__ import annotations

from collections.abc import Sequence

from amaxds.errors import UsageError, nearest
from amaxds.hubs.base import Hub
from amaxds.hubs.huggingface import HuggingFace
from amaxds.hubs.kaggle import Kaggle


def get_hub(name: str) -> Hub:
    """The hub of that name; UsageError, with the names of all hubs, where there is none."""
    hubs: tuple[Hub, ...] = (HuggingFace(), Kaggle())
    for hub in hubs:
        if hub.name == name:
            return hub
    raise UsageError(
        f"unknown hub {name!r}.",
        f"{nearest(name, [hub.name for hub in hubs])}There is {' and '.join(hub.name for hub in hubs)}.",
    )


def get_gallery(hubs: Sequence[str], dry_run: bool) -> Hub:
    """The hub that takes the gallery of a dataset published on these hubs; UsageError where Hugging Face is none of them.

    dry_run: download no weights for the images most alike.
    """
    from amaxds.hubs.gallery_space import GallerySpace

    if HuggingFace.name not in hubs:
        raise UsageError(
            "the gallery is a Space on Hugging Face.",
            "Publish there, too (--to huggingface), or leave out the gallery (--gallery).",
        )
    return GallerySpace(offline=dry_run)
