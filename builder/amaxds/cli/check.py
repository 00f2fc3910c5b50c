"""The commands that check datasets: validate, audit, diff, and the contract that they are checked against."""

from __future__ import annotations

from typing import Annotated

import typer

from amaxds.cli.options import ANY_FORM, AnyPath, AsJson, WeightsFile, Workers, chosen
from amaxds.cli.output import findings_as, print_findings, print_lines
from amaxds.errors import InvalidDataset


def validate(
    path: AnyPath = None,
    as_json: AsJson = False,
) -> None:
    """Check all that a dataset claims, as far as its files can show it.

    Exit code 0: nothing found, 1: findings.

    Example: `amaxds validate kaggle:owner/name`
    """
    from amaxds import api

    path = chosen(path)
    report = api.validate(path)
    if as_json:
        print_lines(report.as_json())
        raise typer.Exit(0 if report.valid else InvalidDataset.exit_code)
    print_findings(report)
    print(f"{path}: {report.images} images, valid")
    for each in report.not_compared:
        print(f"not compared: {each}")


def audit(
    path: AnyPath = None,
    sample: Annotated[int, typer.Option(help="How many images to make again")] = 13,
    seed: Annotated[int | None, typer.Option(help="Seed of the sample. Default: a new one each time, printed")] = None,
    weights: WeightsFile = None,
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """Make a sample of a dataset's images again, and compare.

    Exit code 0: it is what it says, 1: it is not.

    Example: `amaxds audit demo-filter-activations --sample 26`
    """
    from amaxds import api

    path = chosen(path)
    with findings_as(as_json):
        report = api.audit(path, sample, seed=seed, weights=weights, workers=workers)
    print_lines(report.as_json() if as_json else report.lines())
    raise typer.Exit(0 if report.passed else InvalidDataset.exit_code)


def diff(
    before: Annotated[str, typer.Argument(help=ANY_FORM)],
    after: Annotated[str, typer.Argument(help="The same, to compare with")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the differences as JSON")] = False,
) -> None:
    """Compare two datasets record by record and image by image.

    Exit code 0: nothing differs, 1: something does.

    Example: `amaxds diff demo-filter-activations owner/name`
    """
    from amaxds import api

    difference = api.diff(before, after)
    print_lines(difference.as_json() if as_json else difference.lines())
    raise typer.Exit(0 if difference.nothing else InvalidDataset.exit_code)


def metadata(
    out: Annotated[str, typer.Argument(help="Folder to write to")] = "metadata",
) -> None:
    """Write the published contract: schemas, rules, layer tables.

    Example: `amaxds metadata metadata`
    """
    from amaxds.checks.contract import write_contract
    from amaxds.storage.location import local_path

    for path in write_contract(local_path(out)):
        print(path)
