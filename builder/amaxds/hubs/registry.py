"""The hubs that there are, by name."""

from __future__ import annotations

from collections.abc import Sequence

from amaxds.errors import UsageError
from amaxds.hubs.base import Hub
from amaxds.hubs.huggingface import HuggingFace
from amaxds.hubs.kaggle import Kaggle


def get_hub(name: str) -> Hub:
    """The hub of that name, or UsageError listing the names there are."""
    hubs: tuple[Hub, ...] = (HuggingFace(), Kaggle())
    for hub in hubs:
        if hub.name == name:
            return hub
    raise UsageError(f"unknown hub {name!r}.", f"There is {' and '.join(hub.name for hub in hubs)}.")


def get_gallery(hubs: Sequence[str], dry_run: bool) -> Hub:
    """The place for the gallery of what is published on these hubs; UsageError where it has none."""
    from amaxds.hubs.gallery_space import GallerySpace

    if HuggingFace.name not in hubs:
        raise UsageError("--gallery makes a Space on Hugging Face.", "Add --to huggingface, or leave --gallery out.")
    return GallerySpace(offline=dry_run)
