"""The commands that make datasets, build, sweep and describe, and networks, which lists what they can be made from."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from amaxds.cli.exits import Signalled
from amaxds.cli.options import RARER, Address, Engine, Workers
from amaxds.cli.output import print_lines, print_plan, print_summary
from amaxds.compute.machine import python_command, python_environment
from amaxds.errors import AmaxdsError, UsageError


def build(
    out: Annotated[
        str | None,
        typer.Argument(help="Dataset folder, or a URL such as s3://bucket/name. Default: NETWORK-filter-activations"),
    ] = None,
    network: Annotated[
        str, typer.Option(help="vgg16, demo, another that `amaxds networks` lists, or a Keras model file")
    ] = "vgg16",
    weights: Annotated[
        str, typer.Option(help="pretrained, random, or a .safetensors, .keras or .h5 file; a model file has its own")
    ] = "pretrained",
    canvas: Annotated[
        int | None,
        typer.Option(
            help="Side of the images that are optimised, for networks with no canvas of their own", rich_help_panel=RARER
        ),
    ] = None,
    preprocessing: Annotated[
        str | None,
        typer.Option(
            help="How a model file is fed: none (default: the model does it), tf, torch or caffe", rich_help_panel=RARER
        ),
    ] = None,
    recipe: Annotated[list[str] | None, typer.Option(help="Recipe; may be given again. Default: clear")] = None,
    layers: Annotated[str | None, typer.Option(help="Layers as names or patterns: block5_conv3,block1_*")] = None,
    filters: Annotated[str | None, typer.Option(help="Filters as numbers and ranges: 0-15,40")] = None,
    seed: Annotated[int, typer.Option(help="Seed of all randomness")] = 0,
    steps: Annotated[
        int | None, typer.Option(help="Steps of the ascent instead of the recipe's own", rich_help_panel=RARER)
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            help="Images in one program. Default: 8 for demo, 4 for others, up to 64 with JAX on a GPU", rich_help_panel=RARER
        ),
    ] = None,
    workers: Workers = None,
    engine: Engine = "local",
    address: Address = None,
    precision: Annotated[
        str, typer.Option(help="float32, or bfloat16 for the steps of the ascent, for a GPU", rich_help_panel=RARER)
    ] = "float32",
    plan: Annotated[bool, typer.Option("--plan", help="Print images, units, work, disk and time; run nothing")] = False,
) -> None:
    """Make a dataset.

    Stopped at any moment, the same command goes on where it was.

    Example: `amaxds build --network demo --layers 'block3_*'`
    """
    from amaxds import api
    from amaxds.builds.on_demand import ImageChoice, NetworkChoice
    from amaxds.builds.progress import duration
    from amaxds.spec.recipes import DEFAULT_RECIPE
    from amaxds.storage.location import parse_location

    recipes = tuple(recipe or [DEFAULT_RECIPE])
    if plan:
        chosen = NetworkChoice(network, weights, canvas, preprocessing, precision)
        wanted = ImageChoice(recipes, layers, filters, (seed,), steps, batch_size)
        print_plan(api.plan(chosen, wanted, out, workers, engine, address), workers)
        return
    dataset = api.build(
        network,
        out,
        recipes=recipes,
        layers=layers,
        filters=filters,
        seed=seed,
        steps=steps,
        batch_size=batch_size,
        weights=weights,
        canvas=canvas,
        preprocessing=preprocessing,
        precision=precision,
        workers=workers,
        engine=engine,
        address=address,
    )
    print_summary(dataset.summary)
    place, info = parse_location(dataset.name), dataset.info
    size = sum(file.stat().st_size for file in Path(dataset.name).rglob("*") if file.is_file())
    print(f"{info.images} images, {info.dead} dead{f', {size / 1e6:.0f} MB' if size else ''}: {dataset.name}")
    sheet = place / f"contact-sheet-{dataset.summary[0].recipe}.png"
    print(f"made in {duration(info.times.seconds_of_last_run)}; look at {sheet}")
    print(f"next: amaxds report {shlex.quote(dataset.name)}{_report_beside(Path(dataset.name))}")


def _report_beside(dataset: Path) -> str:
    """OUT for `amaxds report`, where its default would be inside the dataset."""
    here, place = Path.cwd(), dataset.resolve()
    return f" {os.path.relpath(place.parent / 'report', here)}" if place in (here, *here.parents) else ""


def sweep(
    file: Annotated[str, typer.Argument(help="TOML file: networks, recipes, seeds, and options of `amaxds build`")],
    out: Annotated[
        str | None, typer.Argument(help="Folder of the datasets, or its URL. Default: the file's name without .toml")
    ] = None,
    workers: Workers = None,
    engine: Engine = "local",
    address: Address = None,
    plan: Annotated[bool, typer.Option("--plan", help="Print what it will cost; run nothing")] = False,
    tflops: Annotated[
        float, typer.Option(min=0.001, help="With --plan: 10^12 operations per second that one GPU keeps up (assumed)")
    ] = 100.0,
    hours: Annotated[float | None, typer.Option(min=0.001, help="With --plan: for how many machines in this time")] = None,
) -> None:
    """Make the datasets of many networks, recipes and seeds.

    They are made one after the other. Stopped at any moment, the same command goes on where it was.

    Example: `amaxds sweep ten.toml --plan --hours 2`
    """
    from amaxds.builds.sweep import describe_sweep, read_sweep
    from amaxds.storage.location import local_path, parse_location

    path = local_path(file)
    if out is None and Path(path.stem).resolve() == path.resolve():
        raise UsageError(
            f"{path} would be file and OUT at once.", "Give OUT, the folder of the datasets, or call the file .toml."
        )
    builds = read_sweep(path, parse_location(out or path.stem))
    if plan:
        print_lines(list(describe_sweep(builds, tflops, hours)))
        return
    options = {"workers": workers, "engine": engine, "address": address}
    shared = [f"--{name}={value}" for name, value in options.items() if value is not None]
    failed = {}
    for number, build in enumerate(builds, start=1):
        print(f"{build.folder} ({number} of {len(builds)})", flush=True)
        code = _run_build([*shared, *build.arguments])
        if not code and not (build.folder / "build.json").exists():
            code = AmaxdsError.exit_code  # Whatever ended it, it made nothing.
        if code:
            failed[build.folder] = code
    print(f"{len(builds) - len(failed)} of {len(builds)} datasets are finished and valid")
    for folder, code in failed.items():
        how = f"failed with exit code {code}" if code > 0 else f"was ended by signal {-code}"
        print(f"amaxds: {folder} {how}; run the same command again to go on.", file=sys.stderr)
    raise typer.Exit(max((code if code > 0 else AmaxdsError.exit_code for code in failed.values()), default=0))


def _run_build(arguments: list[str]) -> int:
    """Run `amaxds build` in a process of its own, which frees all memory when it ends; its exit code.

    A signal is passed on to it, and raised again when it has ended.
    """
    command = python_command("-c", "from amaxds.__main__ import main; main()", "build", *arguments)
    with subprocess.Popen(command, env=python_environment()) as process:
        try:
            return process.wait()
        except Signalled as stopped:
            process.send_signal(stopped.number)
            process.wait()
            raise


def describe(
    folder: Annotated[str, typer.Argument(help="Folder with LAYER/filter-N.png")],
    out: Annotated[str, typer.Argument(help="Dataset folder to write, which must not be there yet")],
    network: Annotated[str, typer.Option(help="Whose layers they are: as for `amaxds build`")] = "vgg16",
) -> None:
    """Make a dataset folder of images that were made elsewhere.

    Each gets its index, its hash, and a status judged from its pixels.

    Example: `amaxds describe filterActivations described`
    """
    from amaxds import api

    dataset = api.describe(folder, out, network)
    print_summary(dataset.summary)
    print(f"{dataset.name}: look at {Path(dataset.name) / 'contact-sheet-described.png'}")


def networks(
    name: Annotated[str | None, typer.Argument(help="A network or a Keras model file, whose layers to list")] = None,
    canvas: Annotated[int | None, typer.Option(help="Side of the images that would be optimised")] = None,
) -> None:
    """List the networks, or the layers of one, as CSV.

    Example: `amaxds networks resnet50`
    """
    from amaxds.spec.tables import layer_table, network_table

    if name is None:
        print(network_table(), end="")
        return
    from amaxds.compute.networks import find_network

    network = find_network(name, canvas)
    print(layer_table(network), end="")
    if network.note:
        print(f"amaxds: {network.note}", file=sys.stderr)
