"""Prints plans, findings, reports and summary tables to stdout."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import typer

from amaxds.errors import InvalidDataset

if TYPE_CHECKING:
    from rich.table import Table

    from amaxds.analysis.score import Result
    from amaxds.checks.rules import ValidationReport
    from amaxds.dataset.summary import LayerSummary
    from amaxds.spec.plan import Plan


BUSY = 0.8
"""The share of the cores' time below which a machine counts as busy."""


def print_plan(plan: Plan, workers: int | None) -> None:
    """Print how many images and units a build has, and what it will cost in work, disk and time with so many workers."""
    from amaxds.builds.estimate import estimate, measure_speed
    from amaxds.builds.progress import duration, duration_range

    speed = measure_speed(workers)
    cost = estimate(plan, speed)
    print(f"images  {cost.images}")
    print(f"units   {cost.units} of up to {plan.batch_size} images")
    print(f"work    {cost.operations:.3g} floating-point operations")
    print(f"disk    {cost.disk_bytes / 1e6:.0f} MB while it runs, somewhat more than half of it afterwards")
    if plan.network.note:
        print(f"partial {plan.network.note}")
    print(f"time    {duration_range(*cost.range)} on this machine's CPU when nothing else runs (estimated)")
    if speed.share < BUSY:
        print(
            f"busy    other programs leave {speed.share:.0%} of the CPU now: as it is, {duration(cost.seconds / speed.share)}"
        )


@contextlib.contextmanager
def findings_as(as_json: bool) -> Iterator[None]:
    """Print the findings in an invalid dataset as JSON, if that is asked for, and exit with code 1. Otherwise `InvalidDataset`
    is raised on, and they are printed as text."""
    try:
        yield
    except InvalidDataset as error:
        if not as_json:
            raise
        print_lines(error.report.as_json())
        raise typer.Exit(error.exit_code) from error


def print_findings(report: ValidationReport) -> None:
    """Print the findings and the rules that they break, and raise typer.Exit with code 1. Without findings, do nothing."""
    if report.valid:
        return
    from amaxds.checks.rules import RULES

    for finding in report.findings:
        print(f"{finding.rule:9} {finding.place}: {finding.problem}")
    rules, found = dict.fromkeys(finding.rule for finding in report.findings), len(report.findings)
    these = f"{found} {'finding' if found == 1 else 'findings'} against {'this rule' if len(rules) == 1 else 'these rules'}"
    print(f"{report.name}: {report.images} images, {these}:")
    for rule in rules:
        print(f"{rule:9} {RULES[rule].sentence}")
    raise typer.Exit(InvalidDataset.exit_code)


def print_lines(report: dict[str, Any] | list[str]) -> None:
    """Print a report: a list of lines as it is, a dictionary as JSON."""
    print(json.dumps(report, indent=2) if isinstance(report, dict) else "\n".join(report))


def print_summary(summaries: Sequence[LayerSummary]) -> None:
    """Print a table with a row per layer: images, dead ones, mean index, and images ranked first by their own filter."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)  # It fits 40 columns.
    table.add_column("layer", no_wrap=True)
    for heading in ("images", "dead", "mean\nindex", "ranked\nfirst"):
        table.add_column(heading, justify="right")
    recipes = dict.fromkeys(each.recipe for each in summaries)
    for recipe in recipes:
        if len(recipes) > 1:
            table.add_row(f"{recipe}:")
        for each in (each for each in summaries if each.recipe == recipe):
            numbers = str(each.images), str(each.dead), f"{each.mean_index:.3f}", _known(each.ranked_first)
            table.add_row(each.layer, *numbers)
    images, dead = sum(each.images for each in summaries), sum(each.dead for each in summaries)
    firsts = [each.ranked_first for each in summaries if each.ranked_first is not None]
    mean = sum(each.mean_index * each.images for each in summaries) / images
    table.add_row("all", str(images), str(dead), f"{mean:.3f}", _known(sum(firsts) if firsts else None), style="bold")
    _print_table(table)


def print_results(results: Sequence[Result]) -> None:
    """Print a table of scores: accuracy with its 95% interval, the accuracy of always answering the same layer, and F1."""
    from rich.table import Table

    table = Table(box=None)
    for heading in ("recipe", "model", "trained on", "judged on"):
        table.add_column(heading)
    for heading in ("accuracy", "95%", "chance", "macro F1"):
        table.add_column(heading, justify="right")
    for result in results:
        for judged_on, each in result.scores.items():
            numbers = (
                f"{each.accuracy:.3f}",
                "{:.2f}-{:.2f}".format(*each.interval),
                f"{each.chance:.3f}",
                f"{each.macro_f1:.3f}",
            )
            table.add_row(result.recipe, result.model, result.trained_on, f"{each.images} {judged_on}", *numbers)
    _print_table(table)


def _print_table(table: Table) -> None:
    """Print a table; into a pipe or a file as wide as it is, so that nothing in it is cut."""
    from rich.console import Console

    from amaxds.builds.progress import is_terminal

    Console(width=None if is_terminal(sys.stdout) else 10_000).print(table)


def _known(value: int | None) -> str:
    return "–" if value is None else str(value)
