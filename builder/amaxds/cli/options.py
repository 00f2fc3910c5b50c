"""Options and arguments that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

ANY_FORM = (
    "Dataset folder, bundle as folder or zip, URL of one such as s3://bucket/name, owner/name[@revision] on Hugging Face, "
    "or kaggle:owner/name[@version]"
)
Workers = Annotated[int | None, typer.Option(help="Programs side by side, in each process. Default: one for each core")]
Engine = Annotated[str, typer.Option(help="Where they run: local, or ray for the nodes of a Ray cluster")]
Address = Annotated[
    str | None, typer.Option(help="The running Ray cluster: auto or ip:port. Default: one is started on this machine")
]
WeightsFile = Annotated[str | None, typer.Option(help="The weights file, where the dataset was built with one")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON")]
