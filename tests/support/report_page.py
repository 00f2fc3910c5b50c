"""The report's page in a browser: which layers it is of here, and what it was given to show."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
LAYERS = ("block1_conv1", "block3_conv1", "block4_conv1")


def records(folder: Path, recipe: str, layer: str) -> dict[str, list[float]]:
    """Column -> values of a layer's images."""
    data = json.loads((folder / "gallery/data.js").read_text().removeprefix("window.GALLERY = ").rstrip(";\n"))
    return dict(data["records"][recipe][layer])
