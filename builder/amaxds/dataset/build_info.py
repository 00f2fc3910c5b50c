"""build.json: what a build was asked to do, with what and on what, and what came of it.

Three objects, each one more than the one before it: a BuildRequest is what was asked for and the same on every machine; a
BuildIdentity adds software and device, and is everything that the pixels depend on; a BuildInfo adds what came out, and is the
build.json of a finished dataset. A folder goes on only under the identity that it was begun with.

The fields are those of the JSON file, checked when the object is made. What they mean in the program's own terms (the network
with its layers, the recipes, the filters asked for) is a property of the same object, so that nobody reads the JSON itself.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Annotated, Any, Literal, Self

import pydantic
from pydantic import AfterValidator, ConfigDict, Field

from amaxds.dataset.network_entry import NetworkEntry, Part, Words
from amaxds.errors import UsageError
from amaxds.spec.network import Network, description, network_of
from amaxds.spec.plan import Plan
from amaxds.spec.recipes import DESCRIBED, AscentRecipe, Recipe, read_recipe
from amaxds.spec.selection import Scope, make_scope, write_filters
from amaxds.storage.values import abbreviate, digest_of

BUILD_FILE = "build.json"
FORMAT = 1
_FIRST_IN_FILE = ("format", "dataset", "seed")


def _moment(text: str) -> str:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo != UTC or moment.isoformat(timespec="seconds") != text:
        raise ValueError("not written as 2026-01-31T23:59:59+00:00")
    return text


def _folder_name(text: str) -> str:
    if text != text.strip() or "/" in text or text in (".", ".."):
        raise ValueError("no name that a folder has")
    return text


_NAME = "^[A-Za-z0-9_.-]{1,100}$"
_Name = Annotated[str, Field(pattern=_NAME)]
_Version = Annotated[str, Field(pattern="^[A-Za-z0-9_.+!-]{1,100}$")]
_Moment = Annotated[str, AfterValidator(_moment)]
_FolderName = Annotated[Words, Field(max_length=255), AfterValidator(_folder_name)]


class ScopeEntry(Part):
    """The layers and filters that were asked for."""

    complete: bool
    layers: Annotated[dict[str, str], Field(min_length=1)]
    """Layer -> its filters, as `--filters` takes them."""


class OutrankedEntry(Part):
    """An alive image that is not the strongest for its own filter, with the filter whose image is."""

    layer: str
    filter: Annotated[int, Field(ge=0)]
    rank: Annotated[int, Field(ge=2)]
    best: Annotated[int, Field(ge=0)]


class Times(Part):
    """When the build ran, in UTC."""

    started: _Moment
    finished: _Moment
    seconds_of_last_run: Annotated[float, Field(ge=0)]

    @pydantic.model_validator(mode="after")
    def _in_order(self) -> Times:
        """The last run lies between start and end, which are cut to whole seconds."""
        whole = (datetime.fromisoformat(self.finished) - datetime.fromisoformat(self.started)).total_seconds()
        if whole < 0 or self.seconds_of_last_run > whole + 1.1:
            raise ValueError("the last run takes longer than from start to end")
        return self


class Software(Part):
    """Versions by library, and the settings that change rounding."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, _Version]
    python: _Version
    backend: Literal["tensorflow", "jax", "none"]
    amaxds: _Version
    settings: Annotated[dict[_Name, Annotated[str, Field(max_length=10_000)]], Field(max_length=100)]

    @pydantic.model_validator(mode="after")
    def _named(self) -> Software:
        names = list(self.model_extra or {})
        if len(names) > 100 or not all(re.fullmatch(_NAME, name) for name in names):
            raise ValueError("libraries without number, or with names that are none")
        return self

    def version_of(self, library: str) -> str | None:
        """The version of a library that was used; None if it was not."""
        return (self.model_extra or {}).get(library)


class Device(Part):
    """What the programs ran on."""

    kind: Literal["cpu", "gpu"]
    model: Words
    instructions: Words | None = None


class BuildRequest(Part):
    """What was asked for: the part of build.json that is the same on every machine."""

    network_entry: Annotated[NetworkEntry, Field(alias="network")]
    recipe_entries: Annotated[list[dict[str, Any]], Field(alias="recipes", min_length=1)]
    """Each recipe's settings and digest, and the side of its images."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None
    scope_entry: Annotated[ScopeEntry, Field(alias="scope")]
    batch_size: Annotated[int, Field(ge=1, le=4096)] | None
    precision: Literal["float32", "bfloat16"] | None

    @classmethod
    def of_plan(cls, plan: Plan, weights: str, weights_sha256: str, weights_file: str | None = None) -> BuildRequest:
        """What a plan asks for; weights: where they come from, the SHA-256 of their tensors, and the name of the file that
        pretrained ones were read from.

        UsageError for a network beyond the bounds of what build.json describes.
        """
        asked = {
            "seed": plan.seed,
            "network": _network_entry(plan.network, weights, weights_sha256, weights_file),
            "recipes": [_recipe_entry(recipe, plan.network) for recipe in plan.recipes],
            "scope": _scope_entry(plan.network, plan.scope),
            "batch_size": plan.batch_size,
            "precision": plan.precision,
        }
        return _request(asked, plan.network)

    @functools.cached_property
    def network(self) -> Network:
        """The network with its layers. UsageError or ValueError if there is no such network."""
        return network_of(self.network_entry.model_dump())

    @functools.cached_property
    def recipes(self) -> Mapping[str, Recipe]:
        """The recipes by name. ValueError for one that does not exist, or is not the one that its digest is of."""
        settings = ({key: each[key] for key in each if key != "image_side"} for each in self.recipe_entries)
        return {recipe.name: recipe for recipe in map(read_recipe, settings)}

    @functools.cached_property
    def scope(self) -> Scope:
        """Layer -> filters that were asked for, in network order. UsageError for what the network does not have."""
        network, layers = self.network, self.scope_entry.layers
        return {name: make_scope(network, network.layer(name).name, kept)[name] for name, kept in layers.items()}

    @property
    def filters(self) -> int:
        """How many filters were asked for, which is the number of images of each recipe."""
        return sum(map(len, self.scope.values()))

    @property
    def is_described(self) -> bool:
        """Whether the images were made elsewhere and only described."""
        return [each.get("name") for each in self.recipe_entries] == [DESCRIBED.name]

    @functools.cached_property
    def plan(self) -> Plan:
        """The plan of the build. ValueError where a recipe is among its recipes that this tool cannot run."""
        runnable = tuple(recipe for recipe in self.recipes.values() if isinstance(recipe, AscentRecipe))
        if len(runnable) < len(self.recipes):
            raise ValueError("described images stand beside those of another recipe")
        return Plan(self.network, runnable, self.seed or 0, self.scope, self.batch_size or 1, self.precision or "float32")

    def on(self, process: dict[str, Any]) -> BuildIdentity:
        """The identity of a build of this request in a process with this `software` and `device`, as JSON."""
        names = {field.alias or name for name, field in BuildRequest.model_fields.items()}
        return BuildIdentity.model_validate({key: each for key, each in self.as_json().items() if key in names} | process)

    def as_json(self) -> dict[str, Any]:
        """The object as build.json holds it."""
        said = self.model_dump(by_alias=True, exclude_unset=True)
        return {key: said[key] for key in _FIRST_IN_FILE if key in said} | said


class BuildIdentity(BuildRequest):
    """Everything that a build's pixels depend on. The build.json of an unfinished build."""

    software: Software
    device: Device | None

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 that names the build in its shards, in hexadecimal."""
        return digest_of(self.as_json())


class BuildInfo(BuildIdentity):
    """The build.json of a finished dataset."""

    format: int
    dataset: _FolderName
    images: Annotated[int, Field(ge=0)]
    dead: Annotated[int, Field(ge=0)]
    command: str
    times: Times
    outranked: dict[str, list[OutrankedEntry]]
    """Recipe -> its alive images that are not the strongest for their own filter."""
    _one_of_several: bool = pydantic.PrivateAttr(False)

    @property
    def by_this_version(self) -> bool:
        """Whether the installed version of this tool made the dataset, so that it renders the same descriptions again."""
        return self.software.amaxds == version("amaxds")

    @property
    def dead_images(self) -> int | None:
        """How many images are dead; None for one recipe out of several, because build.json counts all of them together."""
        return None if self._one_of_several else self.dead

    @functools.cached_property
    def best_of(self) -> dict[tuple[str, str, int], int]:
        """(recipe, layer, filter) of every image that is outranked -> the filter whose image excites its filter most."""
        return {(recipe, each.layer, each.filter): each.best for recipe, entries in self.outranked.items() for each in entries}

    def of_recipe(self, name: str) -> Self:
        """What build.json says of one of its recipes."""
        entries = [each for each in self.recipe_entries if each["name"] == name]
        several = len(self.recipe_entries) > 1
        changes: dict[str, Any] = {"recipe_entries": entries, "outranked": {name: self.outranked.get(name, [])}}
        part = self.model_copy(update=changes | ({"images": self.filters} if several else {}))
        for cached in ("recipes", "plan", "digest", "best_of"):
            part.__dict__.pop(cached, None)
        part._one_of_several = several
        return part


def described_request(network: Network, recipe: Recipe, scope: Scope) -> BuildRequest:
    """The request that stands in the build.json of images that were made elsewhere: what is not known is null.

    UsageError as for `BuildRequest.of_plan`.
    """
    known = {"network": _network_entry(network, "not known", None), "recipes": [_recipe_entry(recipe, network)]}
    unknown = {"seed": None, "batch_size": None, "precision": None}
    return _request(known | unknown | {"scope": _scope_entry(network, scope)}, network)


def _request(asked: dict[str, Any], network: Network) -> BuildRequest:
    try:
        return BuildRequest.model_validate(asked)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        at = ".".join(map(str, first["loc"]))
        raise UsageError(
            f"{network.name} cannot be described in build.json: {at} is {abbreviate(first['input'])}: "
            f"{first['msg'].removeprefix('Value error, ')}.",
            "Rename what is called so, or choose another network.",
        ) from error


def _network_entry(
    network: Network, weights: str, weights_sha256: str | None, weights_file: str | None = None
) -> dict[str, Any]:
    known = {"name": network.name, "canvas": network.canvas, "weights": weights, "weights_sha256": weights_sha256}
    file = {"weights_file": weights_file} if weights_file and weights == "pretrained" else {}
    return known | file | description(network)


def _recipe_entry(recipe: Recipe, network: Network) -> dict[str, Any]:
    return recipe.settings() | {"image_side": recipe.image_side(network)}


def _scope_entry(network: Network, scope: Scope) -> dict[str, Any]:
    return {"complete": network.is_complete(scope), "layers": {name: write_filters(kept) for name, kept in scope.items()}}
