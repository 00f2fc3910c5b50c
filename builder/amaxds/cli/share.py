"""The commands that share datasets: bundle and publish."""

from __future__ import annotations

from typing import Annotated

import typer


def bundle(
    path: Annotated[str, typer.Argument(help="Dataset folder, or URL of one such as s3://bucket/name")],
    out: Annotated[str, typer.Argument(help="Folder to write, which must not be there yet")],
    recipe: Annotated[str | None, typer.Option(help="Recipe; by default the dataset's default config")] = None,
    repo: Annotated[str | None, typer.Option(help="owner/name on Kaggle, for dataset-metadata.json")] = None,
) -> None:
    """Write one recipe of a dataset as a Kaggle dataset: PNG files, metadata.csv, croissant.json, dataset-metadata.json."""
    from amaxds import api

    chosen = api.bundle(path, out, recipe=recipe, repo=repo)
    print(f"{out}: the images of recipe {chosen}")


def publish(
    path: Annotated[str, typer.Argument(help="Dataset folder, or URL of one such as s3://bucket/name")],
    to: Annotated[list[str], typer.Option(help="huggingface or kaggle; may be given again")],
    repo: Annotated[str, typer.Option(help="owner/name on the hub")],
    public: Annotated[
        bool | None, typer.Option("--public/--private", help="Visibility. Default: as it is; private for a new one")
    ] = None,
    message: Annotated[str | None, typer.Option(help="What changed, for the new version")] = None,
    allow_partial: Annotated[bool, typer.Option("--allow-partial", help="Publish a build of some filters only")] = False,
    gallery: Annotated[
        bool, typer.Option("--gallery", help="Also publish the report's page, as a static Space on Hugging Face")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be done; touch no network")] = False,
) -> None:
    """Publish a dataset: validate, show the plan, send what changed, fetch it back and compare."""
    from amaxds import api

    api.publish(
        path,
        to,
        repo,
        public=public,
        message=message,
        allow_partial=allow_partial,
        gallery=gallery,
        dry_run=dry_run,
    )
