"""Sweeps: many builds, described by one TOML file that names networks, recipes and seeds.

Every network with every seed makes one dataset folder, which has a config for each recipe. Each folder is made by a separate
`amaxds build`, so it can be resumed, repeated, checked and published by itself.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from amaxds.builds.estimate import Estimate, estimate, measure_speed
from amaxds.builds.progress import duration_range
from amaxds.compute.networks import find_network
from amaxds.errors import UsageError, in_words
from amaxds.spec.applications import APPLICATIONS
from amaxds.spec.network import NETWORKS
from amaxds.spec.plan import Plan, make_plan
from amaxds.spec.recipes import DEFAULT_RECIPE
from amaxds.storage.location import Location, require_loadable
from amaxds.storage.values import abbreviate


class _Options(BaseModel):
    """Options of `amaxds build`, for all networks of the sweep or for one."""

    model_config = ConfigDict(strict=True, extra="forbid")

    weights: str | None = None
    canvas: int | None = None
    preprocessing: str | None = None
    layers: str | None = None
    filters: str | None = None
    steps: int | None = None
    batch_size: int | None = None
    precision: str | None = None


class _OneNetwork(_Options):
    """A network with options of its own."""

    name: str


class _File(_Options):
    """The content of a sweep file."""

    networks: Annotated[list[str | _OneNetwork], Field(min_length=1)]
    recipes: Annotated[list[str], Field(min_length=1)] = [DEFAULT_RECIPE]
    seeds: Annotated[list[int], Field(min_length=1)] = [0]


@dataclass(frozen=True)
class Build:
    """One dataset of a sweep."""

    folder: Location
    plan: Plan
    arguments: tuple[str, ...]
    """The arguments of the `amaxds build` that makes it."""


def read_sweep(file: Path, out: Location) -> list[Build]:
    """The builds that the sweep file describes, in its order, with their folders in `out`. Nothing is made yet.

    UsageError for a file that cannot be read, an unknown key, and options that no build could be started with.
    """
    try:
        said = _File.model_validate(tomllib.loads(file.read_text("utf-8-sig")))
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {in_words(error)}.", "Give a TOML file.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} is no TOML: {in_words(error)}.", "Correct it there.") from error
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        at = ".".join(str(part) for part in first["loc"] if not str(part).startswith(("str", "_One"))) or "it"
        problem = f"{file}: {at} is {abbreviate(first['input'])}: {first['msg']}."
        raise UsageError(problem, f"A sweep has networks, recipes, seeds, and {', '.join(_Options.model_fields)}.") from error
    found = list(_builds(said, file.parent, out))
    for build in found:
        require_loadable(build.folder)
        if sum(build.folder == each.folder for each in found) > 1:
            raise UsageError(f"{file} comes to {build.folder} twice.", "Name each network and each seed once.")
    return found


def _builds(said: _File, home: Path, out: Location) -> Iterator[Build]:
    shared = said.model_dump(include=set(_Options.model_fields), exclude_none=True)
    for each in said.networks:
        named = each if isinstance(each, _OneNetwork) else _OneNetwork(name=each)
        options = shared | named.model_dump(include=set(_Options.model_fields), exclude_none=True)
        choice = named.name if named.name in NETWORKS or named.name in APPLICATIONS else _beside(home, named.name)
        if "weights" in options and options["weights"] not in ("pretrained", "random"):
            options["weights"] = _beside(home, options["weights"])
        network = find_network(choice, options.get("canvas"), options.get("preprocessing"))
        planned = {key: options.get(key) for key in ("layers", "filters", "steps", "batch_size")}
        precision = options.get("precision", "float32")
        for seed in said.seeds:
            plan = make_plan(network, said.recipes, seed, precision=precision, **planned)
            name = f"{network.name}-filter-activations" + (f"-seed-{seed}" if len(said.seeds) > 1 else "")
            yield Build(out / name, plan, tuple(_arguments(out / name, choice, said.recipes, seed, options)))


def _beside(home: Path, choice: str) -> str:
    """The path of the file of that name beside the sweep file, if there is one; else the choice itself."""
    return str(home / choice) if (home / choice).is_file() else choice


def _arguments(folder: Location, network: str, recipes: Sequence[str], seed: int, options: dict[str, Any]) -> Iterator[str]:
    yield from ("--network", network, "--seed", str(seed))
    for recipe in recipes:
        yield from ("--recipe", recipe)
    for key, value in options.items():
        yield from (f"--{key.replace('_', '-')}", str(value))
    yield from ("--", str(folder))  # Which may begin with a dash.


def describe_sweep(builds: Sequence[Build], tflops: float, hours: float | None) -> Iterator[str]:
    """What the sweep will cost, as lines of text: for every dataset, and in all.

    tflops: how many 10¹² operations a GPU does in a second. hours: if given, how many GPUs finish the sweep in this time.
    """
    speed = measure_speed()
    costs = [estimate(build.plan, speed) for build in builds]
    least, most = (sum(seconds) for seconds in zip(*(cost.range for cost in costs), strict=True))
    for build, cost in zip(builds, costs, strict=True):
        yield f"{build.folder}: {cost.images} images, {_line(cost)}"
    operations, units = (sum(getattr(cost, name) for cost in costs) for name in ("operations", "units"))
    gpu_hours = operations / (tflops * 1e12) / 3600
    yield f"images     {sum(cost.images for cost in costs)} in {len(builds)} datasets"
    yield f"units      {units}"
    yield f"work       {operations:.3g} floating-point operations"
    disk = sum(cost.disk_bytes for cost in costs) / 1e6
    yield f"disk       {disk:.0f} MB while it runs, somewhat more than half of it afterwards"
    yield f"CPU time   {duration_range(least, most)} on this machine when nothing else runs (estimated)"
    yield f"GPU hours  {gpu_hours:.3g} where a GPU keeps up {tflops:g} TFLOP/s (--tflops), compilation not counted"
    if hours is not None:
        machines = max(1, math.ceil(gpu_hours / hours))
        most = f"; more than the {units} units cannot be used" if machines > units else ""
        yield f"machines   {machines} with one GPU each for {hours:g} h{most}"


def _line(cost: Estimate) -> str:
    return f"{cost.units} units, {cost.operations:.3g} operations, {cost.disk_bytes / 1e6:.0f} MB"
