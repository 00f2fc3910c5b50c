"""docs/cli.md, the page of all commands, and what docs/python-api.md takes from docstrings."""

from __future__ import annotations

import re
import runpy

from support.commands import ROOT


def test_the_page_of_commands_is_what_the_program_says() -> None:
    """Run `python builder/documentation/cli_page.py` after changing a command."""
    program = runpy.run_path(str(ROOT / "builder" / "documentation" / "cli_page.py"))
    assert (ROOT / "docs" / "cli.md").read_text() == program["cli_page"]()


def test_docstrings_have_examples_by_the_name_that_the_page_knows() -> None:
    """It takes `Examples:` for code, and `Example:` for text."""
    sources = {path: path.read_text() for path in (ROOT / "builder" / "amaxds").rglob("*.py")}
    assert [path for path, text in sources.items() if re.search(r"^ *Example:$", text, re.MULTILINE)] == []
