"""The `amaxds` command with all its subcommands.

Libraries that load slowly are imported inside the functions that need them, so that `--help` is fast.
"""

from __future__ import annotations

import os
from typing import Annotated

import typer

from amaxds.cli import check, exits, look, make, share

app = typer.Typer(
    help="Make, prove and publish datasets of what the filters of a convolutional network look for.",
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
GROUPS = {
    "Make": (make.build, make.sweep, make.describe, make.networks),
    "Look": (look.report, look.classify),
    "Check": (check.validate, check.audit, check.diff, check.metadata),
    "Share": (share.publish, share.bundle),
}
for group, commands in GROUPS.items():
    for command in commands:
        app.command(command.__name__, rich_help_panel=group)(command)


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback with errors")] = False,
) -> None:
    if debug:
        os.environ["AMAXDS_DEBUG"] = "1"
    if version:
        from importlib.metadata import version as version_of

        print(f"amaxds {version_of('amaxds')}")
    elif context.invoked_subcommand is None:
        print(context.get_help())


def main() -> None:
    """Run the command given by the program's arguments, and exit with its code."""
    exits.run(app)
