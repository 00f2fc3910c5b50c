"""The commands that share datasets: bundle and publish."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from amaxds.cli.options import FolderPath, chosen
from amaxds.errors import UsageError


def bundle(
    path: FolderPath = None,
    out: Annotated[str, typer.Argument(help="Folder to write, which must not be there yet")] = "bundle",
    recipe: Annotated[str | None, typer.Option(help="Recipe; by default the dataset's default config")] = None,
    repo: Annotated[str | None, typer.Option(help="owner/name on Kaggle, for dataset-metadata.json")] = None,
) -> None:
    """Write a dataset's images as PNG files, as Kaggle expects them.

    One recipe is written, with metadata.csv, croissant.json and dataset-metadata.json.

    Example: `amaxds bundle demo-filter-activations bundle`
    """
    from amaxds import api

    print(f"{out}: the images of recipe {api.bundle(chosen(path), out, recipe=recipe, repo=repo)}")


def publish(
    path: FolderPath = None,
    *,
    to: Annotated[list[str], typer.Option(help="huggingface (or hf) or kaggle; may be given again")],
    repo: Annotated[
        str | None,
        typer.Option(help="owner/name or name on the hub. Default: as last time; at first your own, with the folder's name"),
    ] = None,
    public: Annotated[
        bool | None, typer.Option("--public/--private", help="Visibility. Default: as it is; private for a new one")
    ] = None,
    message: Annotated[str | None, typer.Option(help="What changed, for the new version")] = None,
    allow_partial: Annotated[bool, typer.Option("--allow-partial", help="Publish a build of some filters only")] = False,
    gallery: Annotated[
        bool, typer.Option("--gallery", help="Also publish the report's page, as a static Space on Hugging Face")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before the first publication")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be done; touch no network, need no token")
    ] = False,
) -> None:
    """Publish a dataset on Hugging Face or Kaggle.

    It is validated, what changed is sent, and everything is fetched back and compared.

    Example: `amaxds publish --to kaggle --dry-run`
    """
    from amaxds import api

    api.publish(
        chosen(path),
        to,
        repo,
        public=public,
        message=message,
        allow_partial=allow_partial,
        gallery=gallery,
        dry_run=dry_run,
        confirm=None if yes else _confirm,
    )


def _confirm(first: list[str]) -> bool:
    """Whether the user wants these first publications; UsageError where there is no terminal to ask on."""
    from amaxds.builds.progress import is_terminal

    what = f"publish {' and '.join(first)}"
    if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        raise UsageError(f"this would {what}, for the first time.", "Give --yes to do it, or --dry-run to see what is sent.")
    try:
        return typer.confirm(f"{what[0].upper()}{what[1:]}?", err=True)
    except typer.Abort:
        return False
