"""Compares two datasets setting by setting, record by record and image by image."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from amaxds.dataset.reader import DatasetReader
from amaxds.dataset.record import Row
from amaxds.errors import UsageError
from amaxds.image import Pixels, decode_png, psnr
from amaxds.spec.network import Layer, Network, description
from amaxds.storage.values import abbreviate, differences

_NOT_SETTINGS = ("dataset", "times", "outranked", "command", "images", "dead")
_COLUMNS = ("split", "network", "seed", "status", "activation_start", "activation", "activation_rank", "uniformity_index")


@dataclass(frozen=True)
class ImageChange:
    """How much two images of one filter differ."""

    psnr: float | None
    """Peak signal-to-noise ratio in dB; None where the pixels are the same or the sizes differ."""
    index: float | None
    """Uniformity index of the second image minus that of the first, as stored; None where one is not stored."""
    note: str
    """Why there is no PSNR; empty where there is one."""


@dataclass(frozen=True)
class Change:
    """What differs between the two records of one filter under one recipe, or which of them is missing."""

    kind: str
    """`added`, `removed` or `changed`."""
    recipe: str
    """The recipe's name."""
    layer: str
    """The layer's name."""
    filter: int
    """The filter's number, from 0."""
    columns: Mapping[str, tuple[Any, Any]] = dataclasses.field(default_factory=dict)
    """Column -> its values before and after, for the columns that changed. `best` is no column of the data: the filter whose
    image excites this one most, as build.json has it of images that are outranked."""
    image: ImageChange | None = None
    """How the images differ; None where they are the same, or one is missing."""


@dataclass(frozen=True)
class Difference:
    """All differences between two datasets.

    Examples:
        >>> for seed in (0, 1):
        ...     amaxds.build("demo", f"seed-{seed}", layers="block3_conv1", filters=range(8), seed=seed)
        >>> difference = amaxds.diff("seed-0", "seed-1")
        >>> difference.nothing, difference.same, len(difference.changes)
        (False, 0, 8)
        >>> difference.settings["seed"]
        (0, 1)
        >>> round(difference.changes[0].image.psnr)
        9
    """

    settings: Mapping[str, tuple[Any, Any]]
    """Setting in build.json, by its path there -> its values before and after."""
    changes: list[Change]
    """The records that differ or are in one dataset only, in the order of recipe, layer and filter."""
    same: int
    """How many records are in both datasets and equal, including their images."""

    @property
    def nothing(self) -> bool:
        """Whether there are no differences."""
        return not self.settings and not self.changes

    def as_json(self) -> dict[str, Any]:
        """What `amaxds diff --json` prints: settings, same and changes."""
        return {
            "settings": dict(self.settings),
            "same": self.same,
            "changes": [dataclasses.asdict(each) for each in self.changes],
        }

    def lines(self) -> list[str]:
        """The lines that `amaxds diff` prints: one for each setting and record that differs, and their numbers."""
        lines = [
            f"build.json {at}: {abbreviate(before)} -> {abbreviate(after)}" for at, (before, after) in self.settings.items()
        ]
        for each in self.changes:
            lines.append(f"{each.kind:8} {each.recipe} {each.layer}/{each.filter}{_details(each)}")
        counts = ", ".join(
            f"{sum(each.kind == kind for each in self.changes)} {kind}" for kind in ("added", "removed", "changed")
        )
        return [*lines, f"{counts}, {self.same} the same"]


def _details(change: Change) -> str:
    found = []
    if change.image is not None:
        decibel = f"PSNR {change.image.psnr:.1f} dB" if change.image.psnr is not None else change.image.note
        index = "unknown" if change.image.index is None else f"{change.image.index:+.4f}"
        found.append(f"image ({decibel}, index {index})")
    found += [f"{column} {_value(before)} -> {_value(after)}" for column, (before, after) in change.columns.items()]
    return f": {', '.join(found)}" * bool(found)


def _value(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else abbreviate(value)


def diff(before: DatasetReader, after: DatasetReader) -> Difference:
    """Compare two datasets of the same network; UsageError where the networks differ in more than name, file and weights.

    One layer of each dataset is in memory at a time.
    """
    infos = before.info, after.info
    networks = [_comparable(each.network) for each in infos]
    if len({each.software.version_of("keras") for each in infos}) > 1 or None in {each.architecture for each in networks}:
        networks = [dataclasses.replace(each, architecture=None) for each in networks]  # As in `own_weights`.
    if networks[0] != networks[1]:
        told = [
            {"canvas": each.canvas, "layers": [layer.name for layer in each.layers]} | description(each).get("described", {})
            for each in networks
        ]
        place, one, other = next(differences(told[0], told[1]), ("their preprocessing", "one", "another"))
        names = " and ".join(dict.fromkeys(each.network.name for each in infos))
        raise UsageError(
            f"the datasets are of different networks ({names}): {place} {abbreviate(one)} and {abbreviate(other)}.",
            "Compare two of one network.",
        )
    settings = {at: (old, new) for at, old, new in differences(_settings(before), _settings(after))}
    changes: list[Change] = []
    same = 0
    for recipe in dict.fromkeys((*before.info.recipes, *after.info.recipes)):
        for layer in networks[0].layers:
            old, new = (_records(each, recipe, layer) for each in (before, after))
            for filter in sorted(old.keys() | new.keys()):
                at = (recipe, layer.name, filter)
                if filter not in old or filter not in new:
                    changes.append(Change("added" if filter in new else "removed", *at))
                    continue
                columns, image = _compare(old[filter], new[filter])
                if infos[0].network.name != infos[1].network.name:
                    columns.pop("network", None)  # It is among the settings.
                winners = [each.best_of.get(at) for each in infos]
                if winners[0] != winners[1]:
                    columns["best"] = winners[0], winners[1]
                if columns or image:
                    changes.append(Change("changed", *at, columns, image))
                else:
                    same += 1
    return Difference(settings, changes, same)


def _comparable(network: Network) -> Network:
    """The network without what is not of what it computes: its name, where it is from, and what its weights may be."""
    scale = network.channel_scale
    scales = scale if isinstance(scale, tuple) else (scale, scale, scale)
    return dataclasses.replace(network, name="", model=None, weights_choices="", pretrained_sha256=None, channel_scale=scales)


def _settings(dataset: DatasetReader) -> dict[str, Any]:
    return {key: value for key, value in dataset.info.as_json().items() if key not in _NOT_SETTINGS}


def _records(dataset: DatasetReader, recipe: str, layer: Layer) -> dict[int, Row]:
    known, found = dataset.info.recipes.get(recipe), dict[int, Row]()
    for row in dataset.rows(known, layer) if known else []:
        if row["filter"] in found:
            raise UsageError(
                f"a dataset has filter {row['filter']} of {layer.name} under {recipe} twice.",
                "`amaxds validate` says which, and what else is wrong with it.",
            )
        found[row["filter"]] = row
    return found


def _compare(old: Row, new: Row) -> tuple[dict[str, tuple[Any, Any]], ImageChange | None]:
    image = None
    if old["image"] != new["image"]:
        indices = old["uniformity_index"], new["uniformity_index"]
        index = None if None in indices else indices[1] - indices[0]
        try:
            pixels = decode_png(old["image"]), decode_png(new["image"])
        except ValueError:
            image = ImageChange(None, index, "one cannot be decoded")
        else:
            image = _compare_pixels(*pixels, index)
    columns = _COLUMNS if image else (*_COLUMNS, "pixels_sha256")
    return {column: (old[column], new[column]) for column in columns if old[column] != new[column]}, image


def _compare_pixels(old: Pixels, new: Pixels, index: float | None) -> ImageChange:
    if old.shape != new.shape:
        return ImageChange(None, index, f"{old.shape[1]}x{old.shape[0]} -> {new.shape[1]}x{new.shape[0]}")
    decibel = psnr(old, new)
    return ImageChange(None, index, "the same pixels") if math.isinf(decibel) else ImageChange(decibel, index, "")
