"""The commands that show what is in a dataset: report and classify."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from amaxds.cli.options import AnyPath, WeightsFile, Workers, chosen
from amaxds.cli.output import findings_as, print_results


def report(
    path: AnyPath = None,
    out: Annotated[str, typer.Argument(help="Folder to write; an earlier report there is replaced")] = "report",
    neighbours: Annotated[
        bool | None, typer.Option(help="Show the images most alike. Default: where the network's weights can be had")
    ] = None,
    weights: WeightsFile = None,
    workers: Workers = None,
    sheets: Annotated[bool, typer.Option("--sheets", help="Draw a contact sheet per layer, with all its images")] = False,
) -> None:
    """Write a page with every image, and figures.

    The figures show index, gain, ranks, dead filters, histograms and spectra by layer.

    Example: `amaxds report demo-filter-activations`
    """
    from amaxds import api

    path = chosen(path)
    written = api.report(path, out, neighbours=neighbours, weights=weights, workers=workers, sheets=sheets)
    if written.no_neighbours:
        print(f"amaxds: images most alike are not shown: {written.no_neighbours}", file=sys.stderr)
    print(f"{written.folder}: look at {written.page}")


def classify(
    path: AnyPath = None,
    out: Annotated[str, typer.Argument(help="Folder to write; an earlier classification there is replaced")] = "classification",
    model: Annotated[
        list[str] | None, typer.Option(help="cnn, linear or index; default: all, linear where the network's weights can be had")
    ] = None,
    weights: WeightsFile = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the CNN's weights, order and flips")] = 0,
    workers: Workers = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print classification.json instead of a table")] = False,
) -> None:
    """Can a model tell which layer an image came from?

    Three baselines are trained and judged on the dataset's splits.

    Example: `amaxds classify demo-filter-activations`
    """
    from amaxds import api

    path = chosen(path)
    with findings_as(as_json):
        found = api.classify(path, out, models=model or (), weights=weights, seed=seed, workers=workers)
    if found.no_linear:
        print(f"amaxds: the linear model is left out: {found.no_linear}", file=sys.stderr)
    if as_json:
        print((found.folder / "classification.json").read_text(encoding="utf-8"), end="")
        return
    print_results(found.results)
    print(f"{found.folder}: look at {found.folder / 'confusion.png'}")
