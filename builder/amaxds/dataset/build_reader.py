"""build.json read from a file that is not trusted: what it says, and what is wrong with it by itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pydantic

from amaxds.dataset.build_command import command_of
from amaxds.dataset.build_info import BUILD_FILE, FORMAT, BuildIdentity, BuildInfo, BuildRequest, described_request
from amaxds.errors import AmaxdsError, UsageError, WrongData, in_words
from amaxds.spec.recipes import RECIPES, get_recipe
from amaxds.storage.files import read_text
from amaxds.storage.values import abbreviate, differences, reject_duplicate_keys


def read_build_info(folder: Path) -> tuple[BuildInfo | None, list[str]]:
    """What a dataset folder's build.json says, or None where it cannot be used; and what is wrong with it by itself."""
    try:
        text = read_text(folder / BUILD_FILE)
    except FileNotFoundError:
        return None, ["is missing: the folder is no finished dataset"]
    except (OSError, ValueError) as error:
        return None, [f"cannot be read: {in_words(error)}"]
    return parse_build_info(text)


def require_build_info(folder: Path) -> BuildInfo:
    """What build.json of a dataset folder says; UsageError where it cannot be used."""
    info, problems = read_build_info(folder)
    if info is None:
        raise UsageError(f"{folder / BUILD_FILE} {problems[0]}.", "Give the folder that `amaxds build` made.")
    return info


def parse_build_info(text: str) -> tuple[BuildInfo | None, list[str]]:
    """What a build.json says, or None where it cannot be used; and what is wrong with it by itself."""
    try:
        stored = json.loads(text, object_pairs_hook=reject_duplicate_keys)
        if isinstance(stored, dict) and stored.get("format") != FORMAT:
            return None, [f"format is {abbreviate(stored.get('format'))}, this version reads {FORMAT}"]
        info = BuildInfo.model_validate(stored)
        problems = [f"{at} is {abbreviate(said)}, expected {abbreviate(due)}" for at, said, due in _not_as_due(info, stored)]
    except pydantic.ValidationError as error:
        return None, [_missing_or_wrong(each) for each in error.errors()]
    except AmaxdsError as error:
        return None, [error.problem]
    except (ValueError, RecursionError) as error:
        return None, [f"cannot be read: {in_words(error)}"]
    return info, [*problems, *_contradictions(info)]


def parse_identity(text: str) -> BuildIdentity:
    """The identity that a build was begun with. ValueError or AmaxdsError where the text holds none."""
    stored = json.loads(text, object_pairs_hook=reject_duplicate_keys)
    identity = BuildIdentity.model_validate(stored)
    for at, claimed, expected in _differing(stored, _request_due(identity)):
        raise WrongData(f"{at} is {abbreviate(claimed)}, expected {abbreviate(expected)}")
    return identity


_OPTIONS = {
    r"seed": "--seed",
    r"network\.canvas": "--canvas",
    r"network\.weights": "--weights",
    r"network": "--network",
    r"recipes(\[\d+\]\.steps)": "--steps",
    r"recipes": "--recipe",
    r"scope": "--layers or --filters",
    r"batch_size": "--batch-size",
    r"precision": "--precision",
}
"""Which option of `amaxds build` decides a place in build.json, by how the place begins."""


def require_same(folder: object, stored: Mapping[str, Any], wanted: BuildRequest) -> None:
    """UsageError naming the first thing in which the build.json of a folder's build differs from the wanted build.

    Where weights came from does not count as long as they are the same.
    """
    due, network = wanted.as_json(), stored.get("network")
    if isinstance(network, Mapping) and network.get("weights_sha256") == wanted.network_entry.weights_sha256:
        origin = ("weights", "weights_file")
        due["network"] = {key: each for key, each in due["network"].items() if key not in origin}
        due["network"] |= {key: network[key] for key in origin if key in network}
    for path, before, now in _differing(stored, due):
        option = next((f" ({option})" for start, option in _OPTIONS.items() if re.match(start, path)), "")
        raise UsageError(
            f"{folder} holds a build with {path} {abbreviate(before)}, not {abbreviate(now)}{option}.",
            "Choose another OUT, or run the command that the folder was begun with (.amaxds/build.json or build.json).",
        )


def _differing(stored: Mapping[str, Any], due: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """The differences in what is due; whatever else is stored does not count."""
    return differences({key: stored.get(key) for key in due}, due)


def _not_as_due(info: BuildInfo, stored: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Place, stored value and value that is due, of what follows from the rest of a build.json and is otherwise."""
    if info.is_described:
        due = described_request(info.network, next(iter(info.recipes.values())), info.scope).as_json() | {"device": None}
    else:
        due = _request_due(info) | ({} if info.device else {"device": "a device"})
    return _differing(stored, due | {"command": command_of(info)})


def _request_due(identity: BuildIdentity) -> dict[str, Any]:
    """The request that such an identity comes from, made anew from the plan that it means, as JSON."""
    entry = identity.network_entry
    digest = entry.weights_sha256 or "0" * 64
    due = BuildRequest.of_plan(identity.plan, entry.weights, digest, entry.weights_file).as_json()
    if entry.weights_sha256 is None:
        due["network"]["weights_sha256"] = "a digest"
    return due


def _contradictions(info: BuildInfo) -> Iterator[str]:
    """What the parts of a build.json say against one another."""
    names = [each["name"] for each in info.recipe_entries]
    for name, entries in info.outranked.items():
        if len({(each.layer, each.filter) for each in entries}) < len(entries):
            yield f"outranked.{name} names an image twice"
    if info.software.backend != "none" and info.software.version_of(info.software.backend) is None:
        yield f"software has no version of its backend, {info.software.backend}"
    if len(set(names)) < len(names):
        yield f"recipes are {', '.join(names)}: one is there twice"
    if sorted(info.outranked) != sorted(set(names)):
        yield f"outranked is of {', '.join(info.outranked) or 'no recipe'}, expected {', '.join(names)}"
    if info.by_this_version:
        for name, recipe in info.recipes.items():
            if name in RECIPES and recipe != get_recipe(name, recipe.steps):
                yield f"recipe {name} has other settings than in this version"


def _missing_or_wrong(error: Mapping[str, Any]) -> str:
    at = ".".join(map(str, error["loc"])) or "it"
    return f"{at} is missing" if error["type"] == "missing" else f"{at} is {abbreviate(error['input'])}: {error['msg']}"
