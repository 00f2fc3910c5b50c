"""The page on hubs: the tests and files that it names are there, as are the clients in the versions that it was written for."""

from __future__ import annotations

import importlib.metadata
import re

from support.commands import ROOT

PAGE = (ROOT / "docs" / "hubs.md").read_text("utf-8")


def test_every_test_and_file_that_it_names_is_there() -> None:
    tests = {
        name for path in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"^def (test_\w+)", path.read_text(), re.M)
    }
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 30
    assert named - tests == set()
    assert [path for path in re.findall(r"`(tests/\S+\.py)`", PAGE) if not (ROOT / path).is_file()] == []


def test_every_row_has_evidence_what_is_done_and_a_test() -> None:
    rows = [line.strip("|").split(" | ") for line in PAGE.split("## What only")[0].splitlines() if line.startswith("| ")]
    assert [row for row in rows if len(row) != 4] == []
    assert [row[0] for row in rows if not (row[0].strip() and row[2].strip() and row[3].strip())] == []


def test_it_was_written_for_the_clients_that_are_installed() -> None:
    """With other versions, go through it again."""
    for name, version in re.findall(r"\b(kaggle|kagglesdk|huggingface_hub|datasets) (\d+\.\d+\.\d+)", PAGE):
        assert importlib.metadata.version(name).rsplit(".", 1)[0] == version.rsplit(".", 1)[0], name
