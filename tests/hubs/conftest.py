"""The stand-in for Kaggle, which the tests of several files publish to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.kaggle_server import KaggleServer


@pytest.fixture
def kaggle() -> Iterator[KaggleServer]:
    with KaggleServer() as server:
        yield server
