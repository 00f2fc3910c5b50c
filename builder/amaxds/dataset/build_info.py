"""Provenance: what a build was asked to do and on what, as build.json holds it.

The *identity* is everything that the pixels depend on. A folder goes on only under the identity it was begun with.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from amaxds.errors import AmaxdsError, UsageError, in_words
from amaxds.spec.applications import APPLICATIONS
from amaxds.spec.network import LAYER_NAME, PREPROCESSING, Network, description, network_of
from amaxds.spec.plan import Plan
from amaxds.spec.recipes import DESCRIBED, RECIPES, AscentRecipe, Recipe, get_recipe, read_recipe
from amaxds.spec.selection import Scope, make_scope, write_filters
from amaxds.storage.files import read_text
from amaxds.storage.values import differences, short, unique

BUILD_FILE = "build.json"
FORMAT = 1
DESCRIBE_COMMAND = "amaxds describe FOLDER OUT"
Identity = dict[str, Any]
_Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
_Words = Annotated[str, Field(min_length=1)]
_Count = Annotated[int, Field(ge=1)]
_Colour = Annotated[list[float], Field(min_length=3, max_length=3)]


def _moment(text: str) -> str:
    datetime.fromisoformat(text)
    return text


_Moment = Annotated[str, AfterValidator(_moment)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class LayerEntry(_Part):
    """A Conv2D layer, as `network.Layer` says."""

    name: Annotated[str, Field(pattern=LAYER_NAME, max_length=200)]
    channels: _Count
    filters: Annotated[int, Field(ge=1, le=65536)]
    stride: _Count
    receptive_field: _Count | None
    side: _Count
    operations: _Count
    values: Annotated[int, Field(ge=0)]


class DescribedNetwork(_Part):
    """A network that this tool does not know by heart."""

    model: _Words
    """Where its Keras model is from: `keras.applications.<Name>`, or the name of a file."""
    channel_order: Literal["rgb", "bgr"]
    channel_mean: _Colour
    channel_scale: _Colour
    layers: Annotated[list[LayerEntry], Field(min_length=1, max_length=4096)]

    @pydantic.model_validator(mode="after")
    def _bounded(self) -> DescribedNetwork:
        if len({layer.name for layer in self.layers}) < len(self.layers):
            raise ValueError("two layers have one name")
        if sum(layer.filters for layer in self.layers) > 1_000_000:
            raise ValueError("more than a million filters")
        return self


class NetworkEntry(_Part):
    name: _Words
    canvas: Annotated[int, Field(ge=1, le=4096)]
    weights: _Words
    weights_sha256: _Sha256 | None
    described: DescribedNetwork | None = None


class ScopeEntry(_Part):
    complete: bool
    layers: Annotated[dict[str, str], Field(min_length=1)]
    """Layer -> its filters, as `--filters` takes them."""


class OutrankedEntry(_Part):
    """An image that another image of its layer beats, by the filter whose image is the best for it."""

    layer: str
    filter: Annotated[int, Field(ge=0)]
    rank: Annotated[int, Field(ge=2)]
    best: Annotated[int, Field(ge=0)]


class Times(_Part):
    started: _Moment
    finished: _Moment
    seconds_of_last_run: Annotated[float, Field(ge=0)]


class Software(_Part):
    """Versions by library, and the settings that change rounding."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, _Words]
    python: _Words
    backend: Literal["tensorflow", "jax", "none"]
    amaxds: _Words
    settings: dict[str, str]


class Device(_Part):
    kind: Literal["cpu", "gpu"]
    model: _Words
    instructions: _Words | None = None


class IdentityFile(_Part):
    """The build.json that an unfinished build works with, field by field."""

    network: NetworkEntry
    recipes: Annotated[list[dict[str, Any]], Field(min_length=1)]
    """Each recipe's settings and digest, and the side of its images."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None
    scope: ScopeEntry
    batch_size: Annotated[int, Field(ge=1, le=4096)] | None
    precision: Literal["float32", "bfloat16"] | None
    software: Software
    device: Device | None


class BuildFile(IdentityFile):
    """build.json of a dataset, field by field."""

    format: int
    dataset: _Words
    images: Annotated[int, Field(ge=0)]
    dead: Annotated[int, Field(ge=0)]
    command: str
    times: Times
    outranked: dict[str, list[OutrankedEntry]]


@dataclass(frozen=True)
class BuildInfo:
    """What build.json says, in the program's own terms."""

    stored: dict[str, Any]
    network: Network
    recipes: Mapping[str, Recipe]
    scope: Scope

    @property
    def filters(self) -> int:
        return sum(map(len, self.scope.values()))


def make_identity(plan: Plan, weights_source: str, weights_digest: str) -> Identity:
    """What was asked for: the part of the identity that is the same on every machine."""
    return {
        "seed": plan.seed,
        "network": {
            "name": plan.network.name,
            "canvas": plan.network.canvas,
            "weights": weights_source,
            "weights_sha256": weights_digest,
            **description(plan.network),
        },
        "recipes": [recipe.settings() | {"image_side": recipe.image_side(plan.network)} for recipe in plan.recipes],
        "scope": {
            "complete": plan.complete,
            "layers": {name: write_filters(kept) for name, kept in plan.scope.items()},
        },
        "batch_size": plan.batch_size,
        "precision": plan.precision,
    }


def read_build_info(folder: Path) -> tuple[BuildInfo | None, list[str]]:
    """What a dataset folder's build.json says, unless it cannot be used; and what is wrong with it by itself."""
    try:
        text = read_text(folder / BUILD_FILE)
    except FileNotFoundError:
        return None, ["is missing: the folder is no finished dataset"]
    except (OSError, ValueError) as error:
        return None, [f"cannot be read: {in_words(error)}"]
    return parse_build_info(text)


def parse_build_info(text: str) -> tuple[BuildInfo | None, list[str]]:
    """What a build.json says, unless it cannot be used; and what is wrong with it by itself."""
    try:
        stored = json.loads(text, object_pairs_hook=unique)
        if isinstance(stored, dict) and stored.get("format") != FORMAT:
            return None, [f"format is {short(stored.get('format'))}, this version reads {FORMAT}"]
        said = BuildFile.model_validate(stored)
        network, recipes, scope = _meant(said)
        due = _expected(said, network, recipes, scope)
    except pydantic.ValidationError as error:
        return None, [_missing_or_wrong(each) for each in error.errors()]
    except AmaxdsError as error:
        return None, [error.problem]
    except (ValueError, RecursionError) as error:
        return None, [f"cannot be read: {in_words(error)}"]
    differing = differences({key: stored[key] for key in due}, due)
    problems = [f"{at} is {short(claimed)}, expected {short(expected)}" for at, claimed, expected in differing]
    names = [recipe.name for recipe in recipes]
    for name, entries in said.outranked.items():
        if len({(each.layer, each.filter) for each in entries}) < len(entries):
            problems.append(f"outranked.{name} names an image twice")
    if said.software.backend != "none" and said.software.backend not in (said.software.model_extra or {}):
        problems.append(f"software has no version of its backend, {said.software.backend}")
    if len(set(names)) < len(names):
        problems.append(f"recipes are {', '.join(names)}: one is there twice")
    if sorted(said.outranked) != sorted(set(names)):
        problems.append(f"outranked is of {', '.join(said.outranked) or 'no recipe'}, expected {', '.join(names)}")
    if said.software.amaxds == version("amaxds"):
        changed = [each.name for each in recipes if each.name in RECIPES and each != get_recipe(each.name, each.steps)]
        problems += [f"recipe {name} has other settings than in this version" for name in changed]
    return BuildInfo(stored, network, {recipe.name: recipe for recipe in recipes}, scope), problems


def parse_identity(text: str) -> tuple[Identity, Plan]:
    """The identity that a build was begun with, and its plan. ValueError or AmaxdsError where the text holds none."""
    stored = json.loads(text, object_pairs_hook=unique)
    said = IdentityFile.model_validate(stored)
    network, recipes, scope = _meant(said)
    plan = _plan(said, network, recipes, scope)
    due = make_identity(plan, said.network.weights, said.network.weights_sha256 or "a digest")
    for at, claimed, expected in differences({key: stored[key] for key in due}, due):
        raise ValueError(f"{at} is {short(claimed)}, expected {short(expected)}")
    return stored, plan


def _meant(said: IdentityFile) -> tuple[Network, tuple[Recipe, ...], Scope]:
    """What the file names, in the program's own terms. ValueError or AmaxdsError where there is no such thing."""
    network = network_of(said.network.model_dump())
    scope = {name: make_scope(network, network.layer(name).name, kept)[name] for name, kept in said.scope.layers.items()}
    return network, tuple(read_recipe({key: each[key] for key in each if key != "image_side"}) for each in said.recipes), scope


def _plan(said: IdentityFile, network: Network, recipes: tuple[Recipe, ...], scope: Scope) -> Plan:
    """The plan of the build. ValueError for recipes that this tool cannot run."""
    runnable = tuple(recipe for recipe in recipes if isinstance(recipe, AscentRecipe))
    if len(runnable) < len(recipes):
        raise ValueError("described images stand beside those of another recipe")
    return Plan(network, runnable, said.seed or 0, scope, said.batch_size or 1, said.precision or "float32")


def _expected(said: BuildFile, network: Network, recipes: tuple[Recipe, ...], scope: Scope) -> dict[str, Any]:
    """The part of build.json that follows from the rest."""
    if [recipe.name for recipe in recipes] == [DESCRIBED.name]:
        return described_identity(network, recipes[0], scope) | {"command": DESCRIBE_COMMAND}
    # Where one of these is missing, what is expected instead says so.
    plan = _plan(said, network, recipes, scope)
    identity = make_identity(plan, said.network.weights, said.network.weights_sha256 or "a digest")
    return identity | {"command": command_of(identity)} | ({} if said.device else {"device": "a device"})


def described_identity(network: Network, recipe: Recipe, scope: Scope) -> Identity:
    """The same part for images that were made elsewhere: what is not known is null."""
    return {
        "network": {
            "name": network.name,
            "canvas": network.canvas,
            "weights": "not known",
            "weights_sha256": None,
            **description(network),
        },
        "recipes": [recipe.settings() | {"image_side": recipe.image_side(network)}],
        "seed": None,
        "scope": {
            "complete": sum(map(len, scope.values())) == network.filters,
            "layers": {name: write_filters(kept) for name, kept in scope.items()},
        },
        "batch_size": None,
        "precision": None,
        "device": None,
    }


def require_build_info(folder: Path) -> BuildInfo:
    """What build.json of a dataset folder says; UsageError where it cannot be used."""
    info, problems = read_build_info(folder)
    if info is None:
        raise UsageError(f"{folder / BUILD_FILE} {problems[0]}.", "Give the folder that `amaxds build` made.")
    return info


def _missing_or_wrong(error: Mapping[str, Any]) -> str:
    at = ".".join(map(str, error["loc"])) or "it"
    return f"{at} is missing" if error["type"] == "missing" else f"{at} is {short(error['input'])}: {error['msg']}"


def digest_of(identity: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def require_same(folder: object, stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """UsageError naming the first thing in which the folder's build differs from the wanted one.

    Where weights came from does not count as long as they are the same.
    """
    network = stored.get("network")
    if isinstance(network, Mapping) and network.get("weights_sha256") == wanted["network"]["weights_sha256"]:
        wanted = {**wanted, "network": {**wanted["network"], "weights": network.get("weights")}}
    for path, before, now in differences(stored, wanted):
        raise UsageError(
            f"{folder} holds a build with {path} {short(before)}, not {short(now)}.",
            "Choose another OUT, or run the command that the folder was begun with (.amaxds/build.json or build.json).",
        )


def command_of(identity: Mapping[str, Any]) -> str:
    """The command that makes this build again."""
    network = network_of(identity["network"])
    words = ["amaxds", "build", *_network_options(network), "--weights", identity["network"]["weights"]]
    for recipe in identity["recipes"]:
        words += ["--recipe", recipe["name"]]
    words += ["--seed", str(identity["seed"]), "--batch-size", str(identity["batch_size"])]
    if identity["precision"] != "float32":
        words += ["--precision", identity["precision"]]
    steps = identity["recipes"][0]["steps"]
    if any(recipe["steps"] != RECIPES[recipe["name"]].steps for recipe in identity["recipes"]):
        words += ["--steps", str(steps)]
    layers = identity["scope"]["layers"]
    if list(layers) != [layer.name for layer in network.usable]:
        words += ["--layers", ",".join(layers)]
    filters = set(layers.values())
    if any(kept != f"0-{network.layer(name).filters - 1}" for name, kept in layers.items()) and len(filters) == 1:
        words += ["--filters", filters.pop()]
    return shlex.join(words)


def _network_options(network: Network) -> list[str]:
    if network.model is None:
        return ["--network", network.name]
    if network.name in APPLICATIONS:
        canvas = network.canvas if network.canvas != APPLICATIONS[network.name].canvas else None
        return ["--network", network.name, *(["--canvas", str(canvas)] if canvas else [])]
    mode = next((name for name, each in PREPROCESSING.items() if each == network.fed), "none")
    return ["--network", network.model, "--canvas", str(network.canvas), *(["--preprocessing", mode] if mode != "none" else [])]
