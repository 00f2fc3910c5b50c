"""The layers and filters that are asked for."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping

from amaxds.errors import UsageError, nearest
from amaxds.spec.network import LEAST_SIDE, Layer, Network

Scope = Mapping[str, tuple[int, ...]]
"""Layer name -> filters asked for, both in network order."""
MOST_FILTERS = 10**6
"""No layer has as many."""


def make_scope(network: Network, layers: str | None = None, filters: str | None = None) -> dict[str, tuple[int, ...]]:
    """The filters that `--layers GLOB,...` and `--filters 0-15,40` name; all of them where nothing is said.

    UsageError for a pattern that matches no layer, and for a filter that one of the chosen layers does not have.
    """
    chosen = _match_layers(network, "*" if layers is None else layers)
    if filters is None:
        return {layer.name: tuple(range(layer.filters)) for layer in chosen}
    numbers = _parse_filters(filters)
    for layer in chosen:
        if numbers[-1] >= layer.filters:
            raise UsageError(
                f"filter {numbers[-1]} is out of range for {layer.name} of {network.name}.",
                f"It has filters 0 to {layer.filters - 1}; choose others, or fewer layers (--layers).",
            )
    return {layer.name: numbers for layer in chosen}


def _match_layers(network: Network, patterns: str) -> list[Layer]:
    matched: set[str] = set()
    names, too_small = [layer.name for layer in network.usable], {layer.name for layer in network.layers if not layer.usable}
    for pattern in (part.strip() for part in patterns.split(",")):
        if pattern in too_small:
            raise UsageError(
                f"the canvas of {network.canvas} is too small for layer {pattern} of {network.name}: "
                f"it gives {network.layer(pattern).side} places a side, {LEAST_SIDE} are needed.",
                "Choose other layers, or a larger canvas (--canvas).",
            )
        hits = fnmatch.filter(names, pattern)
        if not hits:
            shown = ", ".join(names) if len(names) <= 20 else f"{', '.join(names[:20])}, … ({len(names)} in all)"
            raise UsageError(
                f"no layer of {network.name} matches {pattern!r}.",
                f"{nearest(pattern, names)}Its layers: {shown}; patterns such as 'block5_*' may be used.",
            )
        matched.update(hits)
    return [layer for layer in network.layers if layer.name in matched]


def _parse_filters(text: str) -> tuple[int, ...]:
    numbers: set[int] = set()
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,6})(?:-(\d{1,6}))?\s*", part, re.ASCII)
        if not found or int(found[2] or found[1]) < int(found[1]):
            raise UsageError(f"filters {text!r} cannot be read at {part!r}.", "Write numbers and ranges: 0-15,40.")
        numbers.update(range(int(found[1]), int(found[2] or found[1]) + 1))
    return tuple(sorted(numbers))


def write_filters(filters: Iterable[int]) -> str:
    """Filters as `--filters` takes them: (0, 1, 2, 5) -> `0-2,5`."""
    ranges: list[list[int]] = []
    for filter in filters:
        if ranges and filter == ranges[-1][1] + 1:
            ranges[-1][1] = filter
        else:
            ranges.append([filter, filter])
    return ",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in ranges)
