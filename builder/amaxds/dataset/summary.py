"""The summary of each layer under each recipe, for the dataset card and the table after a build."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from amaxds.spec.network import Network


@dataclass(frozen=True)
class LayerSummary:
    """The summary of one layer under one recipe."""

    recipe: str
    """The recipe's name."""
    layer: str
    """The layer's name."""
    images: int
    """How many images there are."""
    dead: int
    """How many of them are dead."""
    mean_index: float
    """Mean uniformity index of all of them."""
    median_gain: float | None
    """Final minus starting activation, median over the living images; None where all are dead or activations not known."""
    ranked_first: int | None
    """How many living images excite their own filter at least as much as any other image of the layer; None where ranks are
    not known."""


def summarise(rows: Sequence[Mapping[str, Any]], network: Network) -> list[LayerSummary]:
    """Summaries of records, for each recipe in the order of the rows and each layer in the order of the network."""
    groups: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    for row in rows:
        groups.setdefault(row["recipe"], {}).setdefault(row["layer"], []).append(row)
    return [
        _summary(recipe, layer.name, found[layer.name])
        for recipe, found in groups.items()
        for layer in network.layers
        if layer.name in found
    ]


def _summary(recipe: str, layer: str, group: Sequence[Mapping[str, Any]]) -> LayerSummary:
    living = [row for row in group if row["status"] == "alive"]
    gains = [row["activation"] - row["activation_start"] for row in living if row["activation"] is not None]
    return LayerSummary(
        recipe=recipe,
        layer=layer,
        images=len(group),
        dead=len(group) - len(living),
        mean_index=statistics.fmean(row["uniformity_index"] for row in group),
        median_gain=statistics.median(gains) if gains else None,
        ranked_first=sum(row["activation_rank"] == 1 for row in living) if group[0]["activation_rank"] is not None else None,
    )
