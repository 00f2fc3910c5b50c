"""The stand-ins for the hubs, which the tests of several files publish to."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.commands import amaxds
from support.huggingface_repo import REPO
from support.huggingface_server import HuggingFaceServer
from support.kaggle_server import KaggleServer

Publish = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def kaggle() -> Iterator[KaggleServer]:
    with KaggleServer() as server:
        yield server


@pytest.fixture
def hub() -> Iterator[HuggingFaceServer]:
    with HuggingFaceServer() as server:
        yield server


@pytest.fixture
def dataset(small: Path, tmp_path: Path) -> Path:
    return shutil.copytree(small, tmp_path / small.name)


@pytest.fixture
def publish(hub: HuggingFaceServer, dataset: Path) -> Publish:
    """Publish the dataset to the stand-in, and see that the token is in nothing that is said or kept."""

    def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        settings = {"HF_TOKEN": hub.token}
        common = ("--to", "huggingface", "--repo", REPO, "--allow-partial", "--yes")
        ended = amaxds("publish", dataset, *common, *arguments, **settings | environment)
        kept = [path.read_text() for path in dataset.glob("*.json")]
        assert all(hub.token not in text for text in (ended.stdout, ended.stderr, *kept))
        return ended

    return run
