"""The command line: every command parses, calls one function, and prints. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from amaxds import ending

if TYPE_CHECKING:
    from amaxds.findings import Report
    from amaxds.plan import Plan

app = typer.Typer(
    help="Make, prove and publish datasets of what the filters of a convolutional network look for.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

INVALID = 1
_ANY_FORM = (
    "Dataset folder, bundle as folder or zip, URL of one such as s3://bucket/name, owner/name[@revision] on Hugging Face, "
    "or kaggle:owner/name[@version]"
)
_Workers = Annotated[int | None, typer.Option(help="Programs side by side, in each process. Default: one for each core")]
_Engine = Annotated[str, typer.Option(help="Where they run: local, or ray for the nodes of a Ray cluster")]
_Address = Annotated[
    str | None, typer.Option(help="The running Ray cluster: auto or ip:port. Default: one is started on this machine")
]
_WeightsFile = Annotated[str | None, typer.Option(help="The weights file, where the dataset was built with one")]


@app.command("build")
def build_command(
    out: Annotated[
        str | None,
        typer.Argument(help="Dataset folder, or a URL such as s3://bucket/name. Default: <network>-filter-activations"),
    ] = None,
    network: Annotated[
        str, typer.Option(help="vgg16, demo, another that `amaxds networks` lists, or a Keras model file")
    ] = "vgg16",
    weights: Annotated[str, typer.Option(help="pretrained, random, or a .safetensors, .weights.h5 or .h5 file")] = "pretrained",
    canvas: Annotated[
        int | None, typer.Option(help="Side of the images that are optimised, for networks with no canvas of their own")
    ] = None,
    preprocessing: Annotated[
        str | None, typer.Option(help="How a model file is fed: none (default: the model does it), tf, torch or caffe")
    ] = None,
    recipe: Annotated[list[str] | None, typer.Option(help="Recipe; may be given again. Default: clear")] = None,
    layers: Annotated[str | None, typer.Option(help="Layers as names or patterns: block5_conv3,block1_*")] = None,
    filters: Annotated[str | None, typer.Option(help="Filters as numbers and ranges: 0-15,40")] = None,
    seed: Annotated[int, typer.Option(help="Seed of all randomness")] = 0,
    steps: Annotated[int | None, typer.Option(help="Steps of the ascent instead of the recipe's own")] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Images in one program. Default: 8 for demo, 4 for vgg16, more on a GPU")
    ] = None,
    workers: _Workers = None,
    engine: _Engine = "local",
    address: _Address = None,
    precision: Annotated[str, typer.Option(help="float32, or bfloat16 for the steps of the ascent, for a GPU")] = "float32",
    plan: Annotated[bool, typer.Option("--plan", help="Print images, units, work, disk and time; run nothing")] = False,
) -> None:
    """Make a dataset. Stopped at any moment, the same command goes on where it was."""
    from amaxds.engine import open_engine
    from amaxds.graph import find_network
    from amaxds.memory import with_batch_size_for
    from amaxds.plan import make_plan
    from amaxds.recipe import DEFAULT_RECIPE
    from amaxds.store import place_of

    chosen = find_network(network, canvas, preprocessing)
    folder = place_of(f"{chosen.name}-filter-activations" if out is None else out)
    planned = make_plan(chosen, recipe or [DEFAULT_RECIPE], seed, layers, filters, steps, batch_size, workers, precision)
    if plan:
        with open_engine("local", workers) as here:
            _print_plan(planned if batch_size else with_batch_size_for(here, planned))
        return
    from amaxds.weights import load_weights

    with open_engine(engine, workers, address) as there:
        loaded = load_weights(chosen, weights, seed, Path(network))
        from amaxds.build import build
        from amaxds.progress import print_summary

        report = build(folder, planned if batch_size else with_batch_size_for(there, planned), loaded, there)
    _print_findings(report)
    print_summary(report.summaries)
    print(f"{folder}: look at {folder / f'contact-sheet-{planned.recipes[0].name}.png'}")


@app.command("sweep")
def sweep_command(
    file: Annotated[Path, typer.Argument(help="TOML file: networks, recipes, seeds, and options of `amaxds build`")],
    out: Annotated[
        str | None, typer.Argument(help="Folder of the datasets, or its URL. Default: the file's name without .toml")
    ] = None,
    workers: _Workers = None,
    engine: _Engine = "local",
    address: _Address = None,
    plan: Annotated[bool, typer.Option("--plan", help="Print what it will cost; run nothing")] = False,
    tflops: Annotated[
        float, typer.Option(min=0.001, help="With --plan: 10^12 operations per second that one GPU keeps up (assumed)")
    ] = 100.0,
    hours: Annotated[float | None, typer.Option(min=0.001, help="With --plan: for how many machines in this time")] = None,
) -> None:
    """Make the datasets of many networks, recipes and seeds, one after the other. The same command goes on where it was."""
    from amaxds.store import place_of
    from amaxds.sweep import describe_sweep, read_sweep

    builds = read_sweep(file, place_of(out or file.stem))
    if plan:
        _print_lines(list(describe_sweep(builds, tflops, hours)))
        return
    options = {"workers": workers, "engine": engine, "address": address}
    shared = [f"--{name}={value}" for name, value in options.items() if value is not None]
    failed = {}
    for number, build in enumerate(builds, start=1):
        print(f"{build.folder} ({number} of {len(builds)})", flush=True)
        code = _run_build([*build.arguments, *shared])
        if code:
            failed[build.folder] = code
    print(f"{len(builds) - len(failed)} of {len(builds)} datasets are finished and valid")
    for folder, code in failed.items():
        print(f"amaxds: {folder} failed with exit code {code}; run the same command again to go on.", file=sys.stderr)
    raise typer.Exit(max(failed.values(), default=0))


def _run_build(arguments: list[str]) -> int:
    """`amaxds build` in a process of its own, which takes its memory with it; a signal is passed on, and its end waited for."""
    import subprocess

    with subprocess.Popen([sys.executable, "-m", "amaxds", "build", *arguments]) as process:
        try:
            return process.wait()
        except ending.Signalled as stopped:
            process.send_signal(stopped.number)
            process.wait()
            raise


@app.command("validate")
def validate_command(
    path: Annotated[str, typer.Argument(help=_ANY_FORM)],
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON")] = False,
) -> None:
    """Check every claim that a dataset makes. Exit code 0: nothing found, 1: findings."""
    from amaxds.location import located
    from amaxds.validate import validate

    with located(path) as found:
        report = validate(found, path)
    if as_json:
        _print_lines(report.as_json())
        raise typer.Exit(0 if report.valid else INVALID)
    _print_findings(report)
    print(f"{path}: {report.images} images, valid")


@app.command("audit")
def audit_command(
    path: Annotated[str, typer.Argument(help=_ANY_FORM)],
    sample: Annotated[int, typer.Option(help="How many images to make again")] = 13,
    seed: Annotated[int | None, typer.Option(help="Seed of the sample. Default: a new one each time, printed")] = None,
    weights: _WeightsFile = None,
    workers: _Workers = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON")] = False,
) -> None:
    """Make a sample of a dataset's images again and compare. Exit code 0: it is what it says, 1: it is not."""
    import secrets

    from amaxds.audit import audit
    from amaxds.contents import open_contents
    from amaxds.location import located
    from amaxds.validate import validate

    with located(path) as found:
        _print_findings(validate(found, path))
        with open_contents(found, path) as contents:
            report = audit(contents, sample, secrets.randbelow(2**32) if seed is None else seed, weights, workers)
    _print_lines(report.as_json() if as_json else report.lines())
    raise typer.Exit(0 if report.passed else INVALID)


@app.command("diff")
def diff_command(
    before: Annotated[str, typer.Argument(help=_ANY_FORM)],
    after: Annotated[str, typer.Argument(help="The same, to compare with")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the differences as JSON")] = False,
) -> None:
    """Compare two datasets record by record and image by image. Exit code 0: nothing differs, 1: something does."""
    from amaxds.contents import open_contents
    from amaxds.diff import diff
    from amaxds.location import located

    with (
        located(before) as one,
        located(after) as other,
        open_contents(one, before) as old,
        open_contents(other, after) as new,
    ):
        difference = diff(old, new)
    _print_lines(difference.as_json() if as_json else difference.lines())
    raise typer.Exit(0 if difference.nothing else INVALID)


@app.command("report")
def report_command(
    path: Annotated[str, typer.Argument(help=_ANY_FORM)],
    out: Annotated[Path, typer.Argument(help="Folder to write; an earlier report there is replaced")] = Path("report"),
    neighbours: Annotated[
        bool | None, typer.Option(help="Show the images most alike. Default: where the network's weights can be had")
    ] = None,
    weights: _WeightsFile = None,
    workers: _Workers = None,
) -> None:
    """Write a page with every image, and figures: index, gain, ranks, dead filters, histograms and spectra by layer."""
    from amaxds.location import located
    from amaxds.report import write_report
    from amaxds.validate import validate

    with located(path) as found:
        _print_findings(validate(found, path))
        reason = write_report(found, path, out, neighbours, weights, workers)
    if reason:
        print(f"amaxds: images most alike are not shown: {reason}", file=sys.stderr)
    print(f"{out}: look at {out / 'index.html'}")


@app.command("classify")
def classify_command(
    path: Annotated[str, typer.Argument(help=_ANY_FORM)],
    out: Annotated[Path, typer.Argument(help="Folder to write; an earlier classification there is replaced")] = Path(
        "classification"
    ),
    model: Annotated[
        list[str] | None, typer.Option(help="cnn or linear; default: both, linear where the network's weights can be had")
    ] = None,
    weights: _WeightsFile = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the CNN's weights, order and flips")] = 0,
    workers: _Workers = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print classification.json instead of a table")] = False,
) -> None:
    """Can a model tell which layer an image came from? Two baselines, trained and judged on the dataset's splits."""
    from amaxds.classify import MARK, Run, classify
    from amaxds.location import located
    from amaxds.progress import print_results
    from amaxds.validate import validate

    with located(path) as found:
        _print_findings(validate(found, path))
        results, reason = classify(found, path, out, model or (), weights, Run(seed, workers))
    if reason:
        print(f"amaxds: the linear model is left out: {reason}", file=sys.stderr)
    if as_json:
        print((out / MARK).read_text(encoding="utf-8"), end="")
        return
    print_results(results)
    print(f"{out}: look at {out / 'confusion.png'}")


@app.command("bundle")
def bundle_command(
    path: Annotated[str, typer.Argument(help="Dataset folder, or URL of one such as s3://bucket/name")],
    out: Annotated[Path, typer.Argument(help="Folder to write, which must not be there yet")],
    recipe: Annotated[str | None, typer.Option(help="Recipe; by default the dataset's default config")] = None,
    repo: Annotated[str | None, typer.Option(help="owner/name on Kaggle, for dataset-metadata.json")] = None,
) -> None:
    """Write one recipe of a dataset as a Kaggle dataset: PNG files, metadata.csv, croissant.json, dataset-metadata.json."""
    from amaxds.bundle import bundle
    from amaxds.location import dataset_at
    from amaxds.provenance import require_claims
    from amaxds.store import place_of
    from amaxds.validate import validate

    place = place_of(path)
    with dataset_at(place) as folder:
        _print_findings(validate(folder, str(place)))
        chosen = bundle(folder, require_claims(folder), out, recipe, repo)
    print(f"{out}: the images of recipe {chosen}")


@app.command("describe")
def describe_command(
    folder: Annotated[Path, typer.Argument(help="Folder with <layer>/filter-<n>.png")],
    out: Annotated[Path, typer.Argument(help="Dataset folder to write, which must not be there yet")],
    network: Annotated[str, typer.Option(help="Whose layers they are: as for `amaxds build`")] = "vgg16",
) -> None:
    """Make a dataset folder of images that were made elsewhere: index, hash, and status judged from the pixels."""
    from amaxds.describe import describe
    from amaxds.graph import find_network
    from amaxds.progress import print_summary

    report = describe(folder, out, find_network(network))
    _print_findings(report)
    print_summary(report.summaries)
    print(f"{out}: look at {out / 'contact-sheet-described.png'}")


@app.command("publish")
def publish_command(
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
    from amaxds.location import dataset_at
    from amaxds.provenance import require_claims
    from amaxds.publish import get_gallery, get_hub, publish
    from amaxds.store import place_of
    from amaxds.validate import validate

    hubs = [get_hub(name) for name in to]
    if gallery:
        hubs.append(get_gallery(to, dry_run))
    private, place = None if public is None else not public, place_of(path)
    with dataset_at(place) as folder:
        _print_findings(validate(folder, str(place)))
        publish(folder, require_claims(folder), hubs, repo, private, message, allow_partial, dry_run, home=place)


@app.command("networks")
def networks_command(
    name: Annotated[str | None, typer.Argument(help="A network or a Keras model file, whose layers to list")] = None,
    canvas: Annotated[int | None, typer.Option(help="Side of the images that would be optimised")] = None,
) -> None:
    """List the networks that a dataset can be made of; with a name, its layers and what they see, as CSV."""
    from amaxds.contract import layer_table, network_table

    if name is None:
        print(network_table(), end="")
        return
    from amaxds.graph import find_network

    network = find_network(name, canvas)
    print(layer_table(network), end="")
    small = [layer.name for layer in network.layers if not layer.usable]
    if small:
        print(f"amaxds: too small on a canvas of {network.canvas}: {', '.join(small)}", file=sys.stderr)


@app.command("metadata")
def metadata_command(
    out: Annotated[Path, typer.Argument(help="Folder to write to")] = Path("metadata"),
) -> None:
    """Write the published contract: JSON Schemas, the rules of validation, layer tables, examples."""
    from amaxds.contract import write_contract

    for path in write_contract(out):
        print(path)


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


def _print_plan(plan: Plan) -> None:
    from amaxds.estimate import estimate

    cost = estimate(plan)
    print(f"images  {cost.images}")
    print(f"units   {cost.units} of up to {plan.batch_size} images")
    print(f"work    {cost.operations:.3g} floating-point operations")
    print(f"disk    {cost.disk_bytes / 1e6:.0f} MB while it runs, about half of it afterwards")
    print(f"time    {_duration(cost.seconds)} on this machine's CPU (estimated)")


def _duration(seconds: float) -> str:
    unit, name = (1, "s") if seconds < 120 else (60, "min") if seconds < 7200 else (3600, "h")
    return f"{seconds / unit:.{0 if seconds >= 10 * unit else 1}f} {name}"


def _print_findings(report: Report) -> None:
    """Print what was found and end with exit code 1, or return where there is nothing."""
    if report.valid:
        return
    from amaxds.findings import RULES

    for finding in report.findings:
        print(f"{finding.rule:9} {finding.place}: {finding.problem}")
    print(f"{report.name}: {report.images} images, {len(report.findings)} findings against these rules:")
    for rule in dict.fromkeys(finding.rule for finding in report.findings):
        print(f"{rule:9} {RULES[rule].sentence}")
    raise typer.Exit(INVALID)


def _print_lines(report: dict[str, Any] | list[str]) -> None:
    """A report's lines, or the whole of it as JSON."""
    print(json.dumps(report, indent=2) if isinstance(report, dict) else "\n".join(report))


def main() -> None:
    """Run the command that the arguments name."""
    ending.run(app)
