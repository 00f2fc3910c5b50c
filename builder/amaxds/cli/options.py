"""Options and arguments that several commands share."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

ANY_FORM = (
    "Dataset folder, bundle as folder or zip, URL of one such as s3://bucket/name, owner/name[@revision] on Hugging Face, "
    "or kaggle:owner/name[@version]"
)
_HERE = "Default: the finished dataset folder here"
FolderPath = Annotated[
    str | None, typer.Argument(help=f"Dataset folder, or URL of one such as s3://bucket/name. {_HERE}", show_default=False)
]
AnyPath = Annotated[str | None, typer.Argument(help=f"{ANY_FORM}. {_HERE}", show_default=False)]
RARER = "Options for special cases"
"""The heading of options that most users never need."""
Workers = Annotated[
    int | None,
    typer.Option(help="Programs side by side, in each process. Default: one for each core", rich_help_panel=RARER),
]
Engine = Annotated[
    str, typer.Option(help="Where programs run: local, or ray for the nodes of a Ray cluster", rich_help_panel=RARER)
]
Address = Annotated[
    str | None,
    typer.Option(
        help="The running Ray cluster: auto or ip:port. Default: one is started on this machine", rich_help_panel=RARER
    ),
]
WeightsFile = Annotated[
    str | None, typer.Option(help="The weights file, where the dataset was built with one", rich_help_panel=RARER)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON")]


def chosen(path: str | None) -> str:
    """PATH as it was given; else the finished dataset folder in the working directory, which is then named on stderr."""
    if path is not None:
        return path
    from amaxds.hubs.locate import dataset_here

    found = dataset_here()
    print(f"amaxds: PATH is {found}", file=sys.stderr)
    return found
