"""The page of a dataset on Kaggle: its description, who sees it, and its picture.

Kaggle takes none of these with the files: tags, subtitle and description arrive with every version, but licence, visibility and
picture only with the settings, which are always sent whole.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from amaxds.builds.progress import screen
from amaxds.dataset.bundle_files import KAGGLE_FILE, TABLE
from amaxds.errors import HubError, printable
from amaxds.image import encode_png
from amaxds.secrets import without_secrets
from amaxds.storage.files import disk_errors, write_json, write_whole

_COVER = "dataset-cover-image.png"
"""A name by which the client knows the picture."""
_WIDTH, _HEIGHT, _TILE = 560, 280, 140
"""The client has Kaggle cut the header out of the picture's upper left 560x280 pixels, and the thumbnail of their middle."""


def update_page(api: Any, bundle: Path, repo: str, private: bool | None, settings: Path) -> None:
    """Send the settings of a dataset that is on Kaggle, and see that it is seen by whom it should be.

    bundle: the dataset as it was sent. private: None leaves its visibility as it is. settings: a folder for what is sent. What
    else was set by hand is kept: collaborators, sources, how often it changes.
    HubError where Kaggle says that it is visible to others than it should be.
    """
    wanted = _is_private(api, repo) if private is None else private
    with disk_errors(settings):
        settings.mkdir(exist_ok=True)
    there = _settings(api, repo)
    kept = {
        "collaborators": [
            {"username": each.username, "role": each.role.name}
            for each in there.collaborators or []
            if each.username and each.role.name != "OWNER"
        ],
        "userSpecifiedSources": there.user_specified_sources,
        "expectedUpdateFrequency": there.expected_update_frequency,
    }
    metadata = json.loads((bundle / KAGGLE_FILE).read_text("utf-8"))
    for column in (each for file in metadata["resources"] for each in file.get("schema", {}).get("fields", [])):
        if column["type"] == "number":  # The client puts Kaggle's word for it only with the files.
            column["type"] = "numeric"
    write_json(settings / KAGGLE_FILE, kept | metadata | {"isPrivate": wanted})
    write_whole(settings / _COVER, cover_picture(bundle))
    try:
        with contextlib.redirect_stdout(io.StringIO()) as said:
            api.dataset_metadata_update(repo, str(settings))
    except SystemExit as error:  # The client prints what is wrong, and exits.
        reason = " ".join(said.getvalue().split())[:200].rstrip(".")
        raise HubError(
            f"Kaggle has the files of {repo}, but did not take its description: {reason}.",
            f"Correct the settings at https://www.kaggle.com/datasets/{repo}/settings, or run the same command again.",
        ) from error
    if _is_private(api, repo) != wanted:
        seen, due = ("public", "private") if wanted else ("private", "public")
        raise HubError(
            f"Kaggle shows {repo} as {seen}, though it was asked to make it {due}.",
            f"Change that at https://www.kaggle.com/datasets/{repo}/settings, then run the same command again.",
        )


def about(api: Any, repo: str) -> Any:
    """What Kaggle says of a dataset: current_version_number, is_private and more."""
    from kagglesdk.datasets.types.dataset_api_service import ApiGetDatasetRequest

    request = ApiGetDatasetRequest()
    request.owner_slug, request.dataset_slug = repo.split("/")[:2]
    with api.build_kaggle_client() as kaggle:
        return kaggle.datasets.dataset_api_client.get_dataset(request)


def _settings(api: Any, repo: str) -> Any:
    """The settings of a dataset as Kaggle has them."""
    from kagglesdk.datasets.types.dataset_api_service import ApiGetDatasetMetadataRequest
    from kagglesdk.datasets.types.dataset_types import DatasetInfo

    request = ApiGetDatasetMetadataRequest()
    request.owner_slug, request.dataset_slug = repo.split("/")[:2]
    with api.build_kaggle_client() as kaggle:
        return kaggle.datasets.dataset_api_client.get_dataset_metadata(request).info or DatasetInfo()


def _is_private(api: Any, repo: str) -> bool:
    """Whether one of the two places where Kaggle says so calls a dataset private: none is made public by mistake."""
    return bool(about(api, repo).is_private or _settings(api, repo).is_private)


def check_answer(answer: Any, repo: str) -> None:
    """HubError where the answer to a new dataset or version says that it was refused, or is elsewhere. Tags that Kaggle does
    not know are said on the screen."""
    if answer.error or str(answer.status).lower() == "error":
        raise HubError(
            f"Kaggle refused {repo}: {str(answer.error or answer.status).rstrip('.')}.",
            "Choose another name (--repo), or mend that.",
        )
    place = answer.ref.strip("/").removeprefix("datasets/")
    if re.fullmatch(r"[\w.-]+/[\w.-]+", place) and place.lower() != repo.lower():
        raise HubError(f"Kaggle made {place} of {repo}.", f"Delete it there, or publish under that name (--repo {place}).")
    if answer.invalid_tags:
        tags = printable(without_secrets(", ".join(answer.invalid_tags)))
        screen().say(f"Kaggle does not know the tags {tags}: the page of {repo} is without them")


def cover_picture(bundle: Path) -> bytes:
    """A PNG of 560x280 pixels: eight images of living filters, evenly spaced from the first layer to the last, of each the
    square in its middle, resized."""
    with (bundle / TABLE).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    shown = [row["file_name"] for row in rows if row["status"] == "alive"] or [row["file_name"] for row in rows]
    across, down = _WIDTH // _TILE, _HEIGHT // _TILE
    cover = Image.new("RGB", (_WIDTH, _HEIGHT), (255, 255, 255))
    for place, number in enumerate(np.linspace(0, len(shown) - 1, across * down).round().astype(int)):
        with Image.open(bundle / shown[number]) as image:
            side = min(image.size)
            left, top = (image.width - side) // 2, (image.height - side) // 2
            tile = image.convert("RGB").crop((left, top, left + side, top + side))
        tile = tile.resize((_TILE, _TILE), Image.Resampling.LANCZOS)
        cover.paste(tile, (place % across * _TILE, place // across * _TILE))
    return encode_png(np.asarray(cover))
