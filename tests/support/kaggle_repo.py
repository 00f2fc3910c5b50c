"""The dataset on the stand-in for Kaggle, and how it is published there."""

from __future__ import annotations

import subprocess
from pathlib import Path

from support.commands import amaxds
from support.kaggle_server import KaggleServer

NAME = "demo-filter-activations"
REPO = f"owner/{NAME}"


def publish_on_kaggle(dataset: Path, home: Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `amaxds publish` with the stand-in's login in variables, and this folder as the user's home."""
    login = {"KAGGLE_USERNAME": KaggleServer.username, "KAGGLE_KEY": KaggleServer.key, "KAGGLE_API_TOKEN": ""}
    settings = {"HOME": str(home), "KAGGLE_API_ENVIRONMENT": "TEST", "KAGGLE_CONFIG_DIR": "", "NO_PROXY": "localhost"}
    common = ("--to", "kaggle", "--repo", REPO, "--allow-partial", "--yes")
    return amaxds("publish", dataset, *common, *arguments, **settings | login | environment)
