"""docs/cli.md, the page of all commands, and docs/python-api.md, which is made of docstrings."""

from __future__ import annotations

import ast
import importlib
import inspect
import itertools
import re
import runpy
import textwrap
from collections.abc import Iterator

import pytest

from support.commands import ROOT
from support.examples import Line, parse


def test_the_page_of_commands_is_what_the_program_says() -> None:
    """Run `python builder/documentation/cli_page.py` after changing a command."""
    program = runpy.run_path(str(ROOT / "builder" / "documentation" / "cli_page.py"))
    assert (ROOT / "docs" / "cli.md").read_text() == program["cli_page"]()


def test_the_help_of_each_command_has_an_example_that_the_program_takes() -> None:
    page = (ROOT / "docs" / "cli.md").read_text()
    examples = re.findall(r"^Example: `(amaxds (\w+).*)`$", page, re.MULTILINE)
    assert [name for _, name in examples] == re.findall(r"^## amaxds (\w+)$", page, re.MULTILINE)
    for text, _ in examples:
        parse(Line(text))


def test_docstrings_have_examples_by_the_name_that_the_page_knows() -> None:
    """It takes `Examples:` for code, and `Example:` for text."""
    sources = {path: path.read_text() for path in (ROOT / "builder" / "amaxds").rglob("*.py")}
    assert [path for path, text in sources.items() if re.search(r"^ *Example:$", text, re.MULTILINE)] == []


NAMES = re.findall(r"^::: (\S+)", (ROOT / "docs" / "python-api.md").read_text(), re.MULTILINE)


def _found(name: str) -> object:
    module, _, rest = name.rpartition(".")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return getattr(_found(module), rest)


CLASSES = [each for each in map(_found, NAMES) if isinstance(each, type)]


def _undescribed(of: type) -> Iterator[str]:
    """The public fields, properties and methods of a class that have no docstring: the page leaves them out."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(of))).body
    assert isinstance(definition, ast.ClassDef)
    for member, following in itertools.zip_longest(definition.body, definition.body[1:]):
        match member, following:
            case ast.AnnAssign(target=ast.Name(id=name)), described:
                if not (isinstance(described, ast.Expr) and isinstance(described.value, ast.Constant)):
                    yield name
            case ast.FunctionDef(name=name), _:
                if not name.startswith("_") and ast.get_docstring(member) is None:
                    yield name


@pytest.mark.parametrize("of", CLASSES, ids=lambda of: of.__name__)
def test_all_that_a_result_has_is_described(of: type) -> None:
    assert inspect.getdoc(of)
    assert list(_undescribed(of)) == []
