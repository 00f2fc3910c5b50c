"""The gallery on the Hugging Face Hub: the report's page, in a static Space that has the name of the dataset's repository."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from amaxds.analysis.gallery import PREVIEW
from amaxds.analysis.report import write_report
from amaxds.compute.pretrained import has_local_weights
from amaxds.dataset.build_info import BuildInfo
from amaxds.dataset.licence import licence_of
from amaxds.hubs.huggingface import HuggingFace
from amaxds.storage.files import write_whole

_README = """\
---
title: {title}
emoji: 🔬
colorFrom: blue
colorTo: yellow
sdk: static
app_file: index.html
license: {licence}
thumbnail: {preview}
datasets:
- {repo}
---

Every image of [{repo}](https://huggingface.co/datasets/{repo}) on one page: what the filters of the network {network} look for,
to sort, search and open, each with its record, its histogram and the images most like it.
"""


class GallerySpace(HuggingFace):
    """Hugging Face as a place for one static Space per dataset repository, which shows the report's page."""

    name = "gallery"
    title = "Hugging Face Space"
    copies = 4  # The page, up to twice as large, is made and fetched back.
    kind = "space"
    space_sdk = "static"

    def __init__(self, offline: bool = False) -> None:
        """offline: leave the images most alike out of the page if that would take downloading the network's weights."""
        self._offline = offline

    def prepare(self, folder: Path, info: BuildInfo, repo: str, scratch: Path) -> Path:
        page = scratch / "gallery"
        away = self._offline and not has_local_weights(info.network, info.network_entry.weights)
        reason = write_report(folder, str(folder), page, neighbours=False if away else None)
        if away or reason:
            print(f"amaxds: images most alike are not shown: {reason or 'the weights are not here.'}", file=sys.stderr)
        # Where a link is shared, a picture is found by its whole address only.
        preview = f"https://huggingface.co/spaces/{repo}/resolve/main/{PREVIEW}"
        index = page / "index.html"
        write_whole(index, index.read_bytes().replace(f'content="{PREVIEW}"'.encode(), f'content="{preview}"'.encode()))
        text = _README.format(
            title=json.dumps(folder.resolve().name, ensure_ascii=False),
            licence=licence_of(info.recipes).on(self.licence_platform),
            repo=repo,
            preview=preview,
            network=info.network.name,
        )
        write_whole(page / "README.md", text.encode())
        return page

    def verify(self, folder: Path, info: BuildInfo, repo: str, version: str, scratch: Path) -> None:
        """Does nothing: the files are all that a page needs."""
