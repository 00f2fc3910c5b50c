"""The library in a notebook: the tutorial runs and puts out what is stored in it, and the command runs from a cell."""

from __future__ import annotations

import base64
import io
import re
import runpy
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image

from support.commands import ROOT

pytestmark = pytest.mark.system


def outputs_of(notebook: Any, folder: Path) -> list[list[Any]]:
    """Run the notebook in the folder; the outputs of each cell of code."""
    NotebookClient(notebook, timeout=400, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()
    return [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]


def deterministic(output: Any) -> tuple[list[str], list[str]]:
    """What an output has on any machine: its kinds, and its text without numbers."""
    data = output.get("data", {})
    text = output["text"] if "text" in output else data["text/plain"]
    return sorted(data), re.sub(r"-?\d+(\.\d+)?(e-?\d+)?", "0", "".join(text)).split()


def printed(outputs: list[Any], stream: str = "stdout") -> str:
    return "".join(each.text for each in outputs if each.output_type == "stream" and each.name == stream)


# Jupyter's own libraries warn of things to come.
@pytest.mark.filterwarnings("default")
def test_the_tutorial_runs_and_shows_its_pictures(tmp_path: Path) -> None:
    notebook = nbformat.read(ROOT / "docs" / "tutorial.ipynb", as_version=4)
    before = [list(map(deterministic, cell.outputs)) for cell in notebook.cells if cell.cell_type == "code"]
    outputs = outputs_of(notebook, tmp_path)
    stored = runpy.run_path(str(ROOT / "builder" / "documentation" / "notebook.py"))["stored_outputs"]
    after = [list(map(deterministic, stored(cell))) for cell in outputs]
    assert after == before  # Otherwise run `python builder/documentation/notebook.py`.
    shown = [each.data for cell in outputs for each in cell if each.output_type in ("execute_result", "display_data")]
    assert sum(data.get("text/html", "").count("<img") for data in shown) == 8 + 4 + 2 + 8
    pictures = [data["image/png"] for data in shown if "image/png" in data]
    assert len(pictures) == 3  # One image, the animation, and the grid of both recipes.
    for each in pictures:
        picture = Image.open(io.BytesIO(base64.b64decode(each)))
        picture.seek(picture.n_frames - 1)
        assert np.asarray(picture).std() > 10
    with Image.open(tmp_path / "block3_conv1-5.png") as animation:
        assert animation.n_frames == 12
    text = "".join(map(printed, outputs))
    assert "True\n" in text
    assert "2 the same bits, 0 failed" in text
    assert "Did you mean 'block4_conv1'" in text
    assert [
        printed(cell, "stderr").replace("\r", "").strip() for cell in outputs if "Traceback" in printed(cell, "stderr")
    ] == []


@pytest.mark.filterwarnings("default")
def test_the_command_runs_in_a_cell_with_the_kernels_own_variables(small: Path, tmp_path: Path) -> None:
    cells = [
        "import os; print(os.environ['MPLBACKEND'])",
        f"!python -m amaxds report {small} report 2>&1 | cat",
        f"!python -m amaxds classify {small} classification --model linear 2>&1 | cat",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(each) for each in cells])
    kernel, report, classify = map(printed, outputs_of(notebook, tmp_path))
    assert kernel.startswith("module://matplotlib_inline")
    assert report.splitlines() == ["report: look at report/index.html"]
    assert classify.splitlines()[-1] == "classification: look at classification/confusion.png"
    assert "\x1b[?25l" not in report + classify
    assert (tmp_path / "report" / "index.html").is_file()
