"""Functions that compute do so in this process here, which has started its backend as they would."""

from __future__ import annotations

import pytest

from amaxds.compute import apart


@pytest.fixture
def here(_backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the process of a command."""
    monkeypatch.setattr(apart, "_claimed", False)
    monkeypatch.setenv("MPLBACKEND", "agg")  # So that it is as before after the test, and commands can be forked again.
    apart.claim()
