"""Tables: nothing in them is cut."""

from __future__ import annotations

import pytest

from amaxds.cli.output import print_summary
from amaxds.dataset.summary import LayerSummary


def test_long_names_of_layers_are_whole_in_a_pipe(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    names = [f"{'a_block_of_a_block_' * 6}conv_{number}" for number in (1, 2)]
    print_summary([LayerSummary("clear", name, 8, 0, 0.5, 1.0, 8) for name in names])
    lines = capsys.readouterr().out.splitlines()
    assert all(sum(name in line for line in lines) == 1 for name in names)
