"""Provenance: what a build was asked to do and on what, as build.json holds it.

The *identity* is everything that the pixels depend on. A folder goes on only under the identity it was begun with.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from amaxds.errors import UsageError
from amaxds.network import get_network
from amaxds.plan import Plan
from amaxds.recipe import RECIPES

FORMAT = 1
Identity = dict[str, Any]


def make_identity(plan: Plan, weights_source: str, weights_digest: str) -> Identity:
    """What was asked for: the part of the identity that is the same on every machine."""
    return {
        "network": {
            "name": plan.network.name,
            "canvas": plan.network.canvas,
            "weights": weights_source,
            "weights_sha256": weights_digest,
        },
        "recipes": [recipe.settings() | {"image_side": recipe.image_side(plan.network)} for recipe in plan.recipes],
        "seed": plan.seed,
        "scope": {
            "complete": plan.complete,
            "layers": {name: write_filters(kept) for name, kept in plan.scope.items()},
        },
        "batch_size": plan.batch_size,
    }


def digest_of(identity: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def require_same(folder: Path, stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """UsageError naming the first thing in which the folder's build differs from the wanted one."""
    for path, before, now in _differences(stored, wanted):
        raise UsageError(
            f"{folder} holds a build with {path} {_short(before)}, not {_short(now)}.",
            "Choose another OUT, or run the command that the folder was begun with (.amaxds/build.json or build.json).",
        )


def _differences(stored: Any, wanted: Any, path: str = "") -> Iterable[tuple[str, Any, Any]]:
    if isinstance(stored, Mapping) and isinstance(wanted, Mapping):
        for key in wanted:
            yield from _differences(stored.get(key), wanted[key], f"{path}.{key}".lstrip("."))
        for key in stored.keys() - wanted.keys():
            yield f"{path}.{key}".lstrip("."), stored[key], None
    elif isinstance(stored, list) and isinstance(wanted, list) and len(stored) == len(wanted):
        for index, (before, now) in enumerate(zip(stored, wanted, strict=True)):
            yield from _differences(before, now, f"{path}[{index}]")
    elif stored != wanted:
        yield path, stored, wanted


def _short(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def write_filters(filters: Iterable[int]) -> str:
    """Filters as `--filters` takes them: (0, 1, 2, 5) -> `0-2,5`."""
    ranges: list[list[int]] = []
    for filter in filters:
        if ranges and filter == ranges[-1][1] + 1:
            ranges[-1][1] = filter
        else:
            ranges.append([filter, filter])
    return ",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in ranges)


def command_of(identity: Mapping[str, Any]) -> str:
    """The command that makes this build again."""
    network = get_network(identity["network"]["name"])
    words = ["amaxds", "build", "--network", network.name, "--weights", identity["network"]["weights"]]
    for recipe in identity["recipes"]:
        words += ["--recipe", recipe["name"]]
    words += ["--seed", str(identity["seed"]), "--batch-size", str(identity["batch_size"])]
    steps = identity["recipes"][0]["steps"]
    if any(recipe["steps"] != RECIPES[recipe["name"]].steps for recipe in identity["recipes"]):
        words += ["--steps", str(steps)]
    layers = identity["scope"]["layers"]
    if list(layers) != [layer.name for layer in network.layers]:
        words += ["--layers", ",".join(layers)]
    filters = set(layers.values())
    if any(kept != f"0-{network.layer(name).filters - 1}" for name, kept in layers.items()) and len(filters) == 1:
        words += ["--filters", filters.pop()]
    return shlex.join(words)
