"""What the tests of the checks share."""

from __future__ import annotations

from pathlib import Path

import pytest

from amaxds.dataset.build_reader import require_build_info
from amaxds.dataset.bundle import bundle


@pytest.fixture(scope="module")
def bundled(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small dataset as a bundle. Not to be changed."""
    out = tmp_path_factory.mktemp("bundled") / "bundle"
    bundle(small, require_build_info(small), out)
    return out
