"""Every code block of README.md and of `docs/` does what its page says: run in the page's order, in one folder.

Blocks are run as they stand, but for what the tables below say. Those that are not run are read: the program's own parser takes
the arguments of a command; Python is compiled, and what it gives to functions of `amaxds` fits them. In the folder lies
`demo-filter-activations`, a small build of the demo network in place of the tutorial's, unless the page makes it.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
import shutil
from pathlib import Path

import pytest

from support.commands import ROOT, SMALL, amaxds
from support.examples import (
    LANGUAGES,
    PAGES,
    Block,
    Line,
    PythonSession,
    blocks_of,
    lines_of,
    parse,
    parse_python,
    shell_lines,
)

DRY_RUN = "amaxds publish --to kaggle --dry-run"
VGG16 = "hours of work, and ImageNet weights from the network"
HUB = "needs an account on a hub; tests/system/test_literal_commands.py publishes to stand-ins"
CHECKPOINTS = "needs two checkpoints of a training; tests/checks/test_diff.py compares two"
CLUSTER = "needs a running cluster; tests/system/test_cluster.py has one"
STORE = "needs a bucket; tests/system/test_stores.py builds in one"
NOT_RUN = {
    "amaxds build --network vgg16": VGG16,
    "amaxds build --network vgg16 --recipe original --recipe clear": VGG16,
    "amaxds report vgg16-filter-activations": VGG16,
    "amaxds classify vgg16-filter-activations": VGG16,
    "amaxds build --network resnet50 --layers 'conv3_*'": "needs pretrained weights from the network",
    "amaxds sweep ten.toml": "hours of work, and pretrained weights from the network",
    "amaxds describe filterActivations described": "needs the study's own download; guides/describing.md has a bundle",
    "amaxds report described described-report": "needs the study's own download",
    "amaxds build --network epoch-1.keras": CHECKPOINTS,
    "amaxds build --network epoch-9.keras": CHECKPOINTS,
    "amaxds diff epoch-1-filter-activations epoch-9-filter-activations": CHECKPOINTS,
    DRY_RUN.removesuffix(" --dry-run"): HUB,
    "amaxds publish --to hf": HUB,
    "amaxds publish try-filter-activations --to kaggle --allow-partial": HUB,
    "amaxds publish try-filter-activations --to hf --gallery --allow-partial": HUB,
    "amaxds diff demo-filter-activations owner/name": HUB,
    "amaxds build s3://bucket/demo-filter-activations --network demo": STORE,
    "amaxds validate s3://bucket/demo-filter-activations": STORE,
    "amaxds build --network demo --engine ray --address auto": CLUSTER,
    'amaxds.build("demo", engine="ray", address="auto")': CLUSTER,
    'amaxds.build("resnet50", layers="conv3_*")': "needs pretrained weights from the network",
    'amaxds.build(network, f"ten/{network}-{seed}", recipes=["clear", "original"], seed=seed)': VGG16,
    'amaxds.publish("demo-filter-activations", "kaggle", dry_run=True)': "needs a whole build",
    'dataset = amaxds.build("demo", "s3://bucket/demo-filter-activations")': STORE,
}
"""Commands that are not run, and blocks of Python with one of these lines, and why. They are read: options are parsed, and
arguments of functions held against their signatures."""

PART = " ".join(SMALL[2:])
SHORTENED = {
    "amaxds build --network demo": PART,
    "amaxds build --network demo --plan": PART,
    "amaxds build --network demo --engine ray": f"ray-filter-activations {PART}",
    "KERAS_BACKEND=jax amaxds build --network demo": f"jax-filter-activations {PART}",
    "amaxds build --network mine.keras --layers corners": "--steps 2",
    DRY_RUN: "--allow-partial",
}
"""Commands to which something is added: most would take a minute or more, and the build that lies there is a partial one."""

IN_SYSTEM = {
    'amaxds.synthesise("demo", "block3_conv1", filters=[5, 6])',
    'amaxds.synthesise("demo", "block3_conv1", 5, seed=range(4)).grid().save("four-seeds.png")',
    'both = amaxds.build("demo", "both", recipes=["clear", "original"], layers="block3_conv2", filters=range(8))',
    'print(amaxds.audit("demo-filter-activations", sample=26).passed)',
    'amaxds.report("demo-filter-activations")',
    'found = amaxds.classify("demo-filter-activations", models=["linear"])',
    DRY_RUN,
    "amaxds audit demo-filter-activations --seed 1",
    "amaxds audit demo-filter-activations --sample 26",
    "amaxds build both --network demo --recipe clear --recipe original --layers block3_conv2 --filters 0-7",
    "amaxds classify demo-filter-activations",
    "amaxds report demo-filter-activations",
    "amaxds sweep ten.toml --plan --hours 2",
    "amaxds build --network vgg16 --plan",
    "amaxds build --network vgg16 --recipe original --recipe clear --plan",
    *("docs/guides/networks.md", "docs/guides/ray-and-gpus.md", "docs/python-api.md"),
}
"""Commands, calls, and pages with all that is on them, that take longer than the tests of every day may: they run with
`-m system`, and are parsed and compiled without."""

MAKES_IT = {"README.md", "docs/tutorial.md", "docs/python-api.md"}
"""Pages that make `demo-filter-activations` themselves: with `-m system`. Without, their commands find it finished."""


def _run(line: Line, folder: Path, system: bool) -> str:
    """Run the commands of a line, or parse them; what the last one prints where it is `amaxds validate`, whose output is short
    and does not depend on how long a build was let run."""
    printed = ""
    for part in line.parts:
        text = part.text
        # `python` installs, tests, or measures: the extras and files that it names are there.
        if text in NOT_RUN or (text in IN_SYSTEM and not system) or part.words[0] == "python":
            parse(part)
            continue
        assert part.words[0] == "amaxds", text
        more = shlex.split(SHORTENED.get(text, ""))
        ended = amaxds(*part.words[1:], *more, cwd=folder, **part.variables)
        assert ended.returncode == part.exit_code, f"{text}\n{ended.stdout}\n{ended.stderr}"
        printed = ended.stdout if part.words[1] == "validate" else ""
    return printed


def _run_page(page: str, folder: Path, system: bool) -> None:
    """Run a page's blocks. What they print is in the `text` block that follows, but for the numbers."""
    blocks = blocks_of(page)
    with PythonSession(folder) as session:
        for block, following in zip(blocks, [*blocks[1:], None], strict=True):
            if block.title:
                (folder / block.title).write_text(block.text)
            printed = "".join([_run(line, folder, system) for line in lines_of(block)])
            if block.language == "python":
                lines = {line.strip() for line in block.text.splitlines()}
                if lines & NOT_RUN.keys() or (lines & IN_SYSTEM and not system):
                    session.run(dataclasses.replace(block, text=parse_python(block)))
                else:
                    printed = session.run(block)
            if printed and following and following.language == "text":
                assert _without_numbers(printed) == _without_numbers(following.text), f"{page}, line {following.line}"


def _without_numbers(text: str) -> list[str]:
    return re.sub(r"\d+(\.\d+)?", "0", text).split()


@pytest.fixture
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The folder that the page's blocks run in."""
    page: str = request.node.callspec.params["page"]
    system = request.node.get_closest_marker("system") is not None
    if not (page in MAKES_IT and system):
        shutil.copytree(request.getfixturevalue("small"), tmp_path / "demo-filter-activations")
    return tmp_path


WITH_BLOCKS = [page for page in PAGES if any(block.language != "text" for block in blocks_of(page))]


@pytest.mark.parametrize("page", [page for page in WITH_BLOCKS if page not in IN_SYSTEM])
def test_blocks_run(page: str, folder: Path) -> None:
    _run_page(page, folder, system=False)


@pytest.mark.parametrize("page", [page for page in WITH_BLOCKS if page in IN_SYSTEM])
def test_blocks_are_read(page: str) -> None:
    for block in blocks_of(page):
        for line in lines_of(block):
            for part in line.parts:
                parse(part)
        if block.language == "python":
            parse_python(block)


@pytest.mark.system
@pytest.mark.parametrize(
    "page", [page for page in WITH_BLOCKS if IN_SYSTEM & {page, *(each.text for each in shell_lines(page))}]
)
def test_blocks_that_take_longer_run(page: str, folder: Path) -> None:
    _run_page(page, folder, system=True)


@pytest.mark.parametrize("page", PAGES)
def test_no_block_escapes(page: str) -> None:
    """Every fence is one of a block that was found, in a language that this module knows."""
    fences = re.findall(r"^ *(?:```|~~~)", (ROOT / page).read_text(), re.MULTILINE)
    assert len(fences) == 2 * len(blocks_of(page))
    assert {block.language for block in blocks_of(page)} <= LANGUAGES


def test_exceptions_are_of_lines_that_are_there() -> None:
    there = {*PAGES, *(part.text for page in PAGES for line in shell_lines(page) for part in line.parts)}
    there |= {line.strip() for page in PAGES for block in blocks_of(page) for line in block.text.splitlines()}
    assert {*NOT_RUN, *SHORTENED, *IN_SYSTEM} - there == set()
    assert all(NOT_RUN.values())


def test_a_wrong_option_is_found() -> None:
    with pytest.raises(Exception, match="--netwrk"):
        parse(Line("amaxds build --netwrk vgg16"))
    with pytest.raises(AssertionError, match="nonsense"):
        parse(Line("python -m pip install '.[nonsense]'"))
    with pytest.raises(AssertionError, match=r"no\.py"):
        parse(Line("python benchmarks/no.py"))


def test_a_wrong_argument_is_found() -> None:
    good = Block("page.md", 1, "python", None, 'import amaxds\n\namaxds.audit("folder", sample=5)')
    assert parse_python(good) == "import amaxds"
    with pytest.raises(AssertionError, match=r"page\.md, line 1: audit: .*'samples'"):
        parse_python(dataclasses.replace(good, text='amaxds.audit("folder", samples=5)'))
    with pytest.raises(AssertionError, match=r"page\.md, line 1: amaxds has no plan"):
        parse_python(dataclasses.replace(good, text='amaxds.plan("demo")'))


def test_a_block_that_fails_is_found(tmp_path: Path) -> None:
    with PythonSession(tmp_path) as session, pytest.raises(AssertionError, match=r"page\.md, line 7[\s\S]*ZeroDivisionError"):
        session.run(Block("page.md", 7, "python", None, "1 / 0"))
