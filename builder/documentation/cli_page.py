"""Write `docs/cli.md`, the page of all commands, from the Typer application: `python builder/documentation/cli_page.py`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import typer

from amaxds.cli.main import app

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
HEAD = """\
# Command line

*This page is written by `python builder/documentation/cli_page.py` from the program itself.*

Exit codes: 0, done; 1, the data is not valid, or it differs; 2, the request is wrong; 3, something outside failed: a
network, a hub, a disk. After Ctrl-C it is 130, and the same command goes on where it was. An error is two lines on
standard error: what was wrong, and what to do. `amaxds --debug COMMAND ...` shows a traceback with it.
`amaxds --version` prints the version, `amaxds --install-completion` has the shell complete commands and options.

| command | what it does |
|---|---|
"""


def cli_page() -> str:
    """The page as Markdown: a table of the commands, then a section each with its arguments and options."""
    group: Any = typer.main.get_command(app)
    commands = group.commands
    rows = [f"| [`{name}`](#amaxds-{name}) | {_cell(_help(command).splitlines()[0])} |" for name, command in commands.items()]
    return HEAD + "\n".join(rows) + "\n" + "".join(_section(name, command) for name, command in commands.items())


def _section(name: str, command: Any) -> str:
    context = typer.Context(command, info_name=f"amaxds {name}")
    usage = command.get_usage(context).removeprefix("Usage: ")
    records = [each.get_help_record(context) for each in command.params]
    rows = "".join(f"| `{left}` | {_cell(right)} |\n" for left, right in records)
    table = f"\n| argument or option | meaning |\n|---|---|\n{rows}" if rows else ""
    return f"\n## amaxds {name}\n\n{_help(command)}\n\n```text\n{usage}\n```\n{table}"


def _help(command: Any) -> str:
    """The command's help, its paragraphs each on a line, with an empty one between them."""
    return "\n\n".join(" ".join(each.split()) for each in re.split(r"\n\s*\n", command.help.strip()))


def _cell(text: str) -> str:
    """Text in a table's cell: no bars, and what looks like a tag is shown."""
    shown = re.sub(r"<([^>]+)>", r"&lt;\1&gt;", " ".join(text.split()))
    return re.sub(r"([|*\[])", r"\\\1", shown)


if __name__ == "__main__":
    PAGE.write_text(cli_page(), encoding="utf-8")
