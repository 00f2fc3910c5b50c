"""docs/cli.md, the page of all commands."""

from __future__ import annotations

import runpy

from support.commands import ROOT


def test_the_page_of_commands_is_what_the_program_says() -> None:
    """Run `python builder/documentation/cli_page.py` after changing a command."""
    program = runpy.run_path(str(ROOT / "builder" / "documentation" / "cli_page.py"))
    assert (ROOT / "docs" / "cli.md").read_text() == program["cli_page"]()
