"""The code blocks of README.md and of the pages in `docs/`: found, taken apart into lines, and run in the order of a page."""

from __future__ import annotations

import ast
import functools
import inspect
import io
import os
import re
import shlex
import sys
import tomllib
import traceback
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

import typer

import amaxds
from amaxds.cli.main import app
from support.commands import FORKED, ROOT, prepare_to_fork

PAGES = ("README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")))
LANGUAGES = {"python", "sh", "toml", "text"}
"""What a block may be. `text` is not run: output, drawings, and what is in files."""


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    page: str
    line: int
    language: str
    title: str | None
    text: str


@dataclass(frozen=True)
class Line:
    """A line of a `sh` block, without its comment; what a backslash breaks is one line."""

    text: str
    exit_code: int = 0
    """As the line's comment says: `amaxds validate edited  # exit code 1`."""

    @property
    def parts(self) -> list[Line]:
        return [Line(part, self.exit_code) for part in self.text.split(" && ")]

    @property
    def variables(self) -> dict[str, str]:
        """Those set before the command: KERAS_BACKEND=jax amaxds ..."""
        return dict(word.split("=", 1) for word in shlex.split(self.text) if re.match(r"[A-Z_]+=", word))

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text)[len(self.variables) :]


def blocks_of(page: str) -> list[Block]:
    """All blocks of a page, in order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.finditer(r'^( *)```(\w*)(?: title="([^"]+)")?\n(.*?)^\1```$', text, re.MULTILINE | re.DOTALL)
    return [
        Block(
            page, text[: each.start()].count("\n") + 1, each[2], each[3], re.sub(f"^{each[1]}", "", each[4], flags=re.MULTILINE)
        )
        for each in found
    ]


def lines_of(block: Block) -> list[Line]:
    """The commands of a block; none unless it is `sh`."""
    if block.language != "sh":
        return []
    found = (re.fullmatch(r"(.*?)(?:\s*#(.*))?", line) for line in re.sub(r"\s*\\\n\s*", " ", block.text).splitlines())
    codes = ((each[1].strip(), re.search(r"exit code (\d+)", each[2] or "")) for each in found if each)
    return [Line(text, int(code[1]) if code else 0) for text, code in codes if text]


def shell_lines(page: str) -> list[Line]:
    return [line for block in blocks_of(page) for line in lines_of(block)]


def parse(line: Line) -> None:
    """Check a command that is not run, as far as that goes: the program's own parser takes it, extras and files are there."""
    match line.words:
        case ["amaxds", *arguments]:
            group: Any = typer.main.get_command(app)
            arguments = arguments or ["--help"]
            if not arguments[0].startswith("-"):
                group.commands[arguments[0]].make_context(arguments[0], arguments[1:])
        case ["python", "-m", "pip", "install", wanted]:
            extras = re.fullmatch(r"\.(?:\[([a-z0-9,]+)\])?", wanted)
            assert extras, line.text
            assert {*(extras[1] or "").split(",")} - {""} <= _extras(), line.text
        case ["python", "-m", "pytest", *_]:
            pass
        case ["python", program, *_]:
            assert (ROOT / program).is_file(), line.text
        case _:
            raise AssertionError(f"not a command that pages may have: {line.text}")


def parse_python(block: Block) -> str:
    """Check a block of Python that is not run: it compiles, and the functions of `amaxds` that it calls take these arguments.

    Returns its imports, which the blocks after it may need.
    """
    body = compile(block.text, block.page, "exec", ast.PyCF_ONLY_AST).body
    for each in (node for statement in body for node in ast.walk(statement)):
        match each:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="amaxds"), attr=name), args=args, keywords=keywords):
                place = f"{block.page}, line {block.line}"
                assert name in amaxds.__all__, f"{place}: amaxds has no {name}"
                try:
                    inspect.signature(getattr(amaxds, name)).bind(*args, **{str(keyword.arg): keyword for keyword in keywords})
                except TypeError as error:
                    raise AssertionError(f"{place}: {name}: {error}") from None
    return "\n".join(ast.unparse(each) for each in body if isinstance(each, ast.Import | ast.ImportFrom))


def _extras() -> set[str]:
    return set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])


class PythonSession:
    """A Python of its own, in which the blocks of a page run one after the other, as in a notebook. The first one starts it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @functools.cached_property
    def _blocks(self) -> Connection:
        prepare_to_fork()
        ours, theirs = FORKED.Pipe()
        self._process = FORKED.Process(target=_interpret, args=(theirs, str(self._folder)))
        self._process.start()
        theirs.close()
        return ours

    def run(self, block: Block) -> str:
        """What it prints. AssertionError with the traceback where it raises."""
        place = f"{block.page}, line {block.line}"
        self._blocks.send((block.text, place))
        printed, failure = self._blocks.recv()
        assert failure is None, f"{place}\n{printed}\n{failure}"
        return str(printed)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if "_blocks" in vars(self):
            self._blocks.close()
            self._process.join(20)
            if self._process.is_alive():
                self._process.kill()


def _interpret(blocks: Connection, folder: str) -> None:
    import datasets

    os.chdir(folder)
    datasets.config.HF_DATASETS_CACHE = os.path.join(folder, ".cache")  # It was imported before, and has read its variables.
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for text, place in _received(blocks):
        printed, failure = io.StringIO(), None
        with redirect_stdout(printed):
            try:
                exec(compile(text, place, "exec"), namespace)
            except BaseException:
                failure = traceback.format_exc()
        blocks.send((printed.getvalue(), failure))
    sys.stdout.flush()


def _received(blocks: Connection) -> Iterator[tuple[str, str]]:
    while True:
        try:
            yield blocks.recv()
        except EOFError:
            return
