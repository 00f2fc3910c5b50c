"""docs/tutorial.ipynb: its stored outputs are those of its code, small, and say nothing of the machine they were made on.

`tests/system/test_notebook.py` runs it and compares what it puts out.
"""

from __future__ import annotations

import copy
import json
import runpy

import nbformat
import pytest

from support.commands import ROOT

NOTEBOOK = ROOT / "docs" / "tutorial.ipynb"
STORED = json.loads(NOTEBOOK.read_text())
CODE = [cell for cell in STORED["cells"] if cell["cell_type"] == "code"]
MOST_BYTES = 700_000


def test_the_outputs_are_of_this_code() -> None:
    """Run `python builder/documentation/notebook.py` after changing the notebook's code."""
    digest = runpy.run_path(str(ROOT / "builder" / "documentation" / "notebook.py"))["code_digest"]
    assert STORED["metadata"]["outputs_are_of_code_sha256"] == digest(STORED)
    changed = copy.deepcopy(STORED)
    next(cell for cell in changed["cells"] if cell["cell_type"] == "code")["source"][-1] += "[0]"
    assert digest(changed) != digest(STORED)


def test_it_is_a_notebook_with_an_output_of_every_cell() -> None:
    nbformat.validate(STORED)
    assert NOTEBOOK.stat().st_size < MOST_BYTES
    assert [cell["execution_count"] for cell in CODE] == list(range(1, len(CODE) + 1))
    assert [cell["id"] for cell in CODE if not cell["outputs"]] == []


def test_it_says_nothing_of_the_machine_and_the_time() -> None:
    assert all(cell["metadata"] == {} for cell in STORED["cells"])
    outputs = [output for cell in CODE for output in cell["outputs"]]
    assert {output.get("name", "stdout") for output in outputs} == {"stdout"}
    text = json.dumps([output.get("text", output.get("data", {}).get("text/plain")) for output in outputs])
    assert [word for word in (str(ROOT), "/tmp", "/home", " at 0x", " min", "it/s") if word in text] == []


@pytest.mark.parametrize("kind", ["image/png", "image/jpeg", "text/html"])
def test_it_shows_pictures_and_tables(kind: str) -> None:
    assert any(kind in output.get("data", {}) for cell in CODE for output in cell["outputs"])
