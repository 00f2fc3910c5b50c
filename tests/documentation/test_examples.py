"""Every code block of README.md and of `docs/` does what its page says: run in the page's order, in one folder.

Blocks are run as they stand, but for what the tables below say. In the folder lies `demo-filter-activations`, a small build of the
demo network, as the tutorial would have left it, unless the page makes it.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from support.commands import ROOT, amaxds
from support.examples import LANGUAGES, PAGES, Block, Line, PythonSession, blocks_of, lines_of, parse, shell_lines

NOT_RUN = {
    "amaxds build --network vgg16": "an hour of work, and weights from the network",
}
"""Commands that are not run, and why. Their arguments are parsed all the same, so every option that they name is there."""

SHORTENED = {
    "amaxds build --network demo": "--layers block1_conv1,block3_conv1 --filters 0-7 --steps 2",
}
"""Commands that take a minute or more, and what is added so that they take seconds."""

IN_SYSTEM: set[str] = set()
"""Commands that take longer than the tests of every day may: run with `-m system`, parsed without."""

OTHER_PROGRAMS = ("python", "pip", "ray", "git", "mkdocs")
"""Lines that begin so are not run either: they install, test, measure, or start a cluster. Extras and files that they name are there."""

OWN_DATASET = {"README.md", "docs/tutorial.md", "docs/index.md"}
"""Pages that make `demo-filter-activations` themselves."""


def _run(line: Line, folder: Path, system: bool) -> None:
    for part in line.parts:
        text = part.text
        if text in NOT_RUN or (text in IN_SYSTEM and not system) or part.words[0] in OTHER_PROGRAMS:
            parse(part)
            continue
        assert part.words[0] == "amaxds", text
        more = SHORTENED.get(text, "").split()
        ended = amaxds(*part.words[1:], *more, cwd=folder, HF_HOME=str(folder), **part.variables)
        assert ended.returncode == 0, f"{text}\n{ended.stdout}\n{ended.stderr}"


def _run_page(page: str, folder: Path, system: bool) -> None:
    with PythonSession(folder) as session:
        for block in blocks_of(page):
            if block.language == "python":
                session.run(block)
            elif block.title:
                (folder / block.title).write_text(block.text)
            elif block.language == "sh":
                for line in lines_of(block):
                    _run(line, folder, system)


@pytest.fixture
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The folder that the page's blocks run in."""
    page: str = request.node.callspec.params["page"]
    if page not in OWN_DATASET and any(block.language in ("python", "sh") for block in blocks_of(page)):
        shutil.copytree(request.getfixturevalue("small"), tmp_path / "demo-filter-activations")
    return tmp_path


WITH_BLOCKS = [page for page in PAGES if blocks_of(page)]


@pytest.mark.parametrize("page", WITH_BLOCKS)
def test_blocks_run(page: str, folder: Path) -> None:
    _run_page(page, folder, system=False)


@pytest.mark.system
@pytest.mark.parametrize("page", [page for page in WITH_BLOCKS if IN_SYSTEM & {each.text for each in shell_lines(page)}])
def test_blocks_that_take_longer_run(page: str, folder: Path) -> None:
    _run_page(page, folder, system=True)


@pytest.mark.parametrize("page", PAGES)
def test_no_block_escapes(page: str) -> None:
    """Every fence is one of a block that was found, in a language that this module knows."""
    fences = re.findall(r"^ *(?:```|~~~)", (ROOT / page).read_text(), re.MULTILINE)
    assert len(fences) == 2 * len(blocks_of(page))
    assert {block.language for block in blocks_of(page)} <= LANGUAGES


def test_exceptions_are_of_lines_that_are_there() -> None:
    there = {part.text for page in PAGES for line in shell_lines(page) for part in line.parts}
    assert {*NOT_RUN, *SHORTENED, *IN_SYSTEM} - there == set()
    assert all(NOT_RUN.values())


def test_a_wrong_option_is_found() -> None:
    with pytest.raises(Exception, match="--netwrk"):
        parse(Line("amaxds build --netwrk vgg16"))
    with pytest.raises(AssertionError, match="nonsense"):
        parse(Line("python -m pip install '.[nonsense]'"))
    with pytest.raises(AssertionError, match=r"no\.py"):
        parse(Line("python benchmarks/no.py"))


def test_a_block_that_fails_is_found(tmp_path: Path) -> None:
    with PythonSession(tmp_path) as session, pytest.raises(AssertionError, match=r"page\.md, line 7[\s\S]*ZeroDivisionError"):
        session.run(Block("page.md", 7, "python", None, "1 / 0"))
