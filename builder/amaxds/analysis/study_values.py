"""The values that the original study published for VGG16, to stand beside a dataset's own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from amaxds.dataset.build_info import BuildInfo
from amaxds.spec.network import VGG16


@dataclass(frozen=True)
class StudyValues:
    """The study's values for the layers of one dataset."""

    source: str
    """Where in the study they are from, in words."""
    mean_index: Mapping[str, float]
    """Layer -> mean uniformity index of its images."""
    dead_share_estimated: Mapping[str, float]
    """Layer -> share of its filters that are dead, as estimated from the study's figure."""


def read_study_values(info: BuildInfo) -> StudyValues | None:
    """The study's values for a dataset's layers; None where the dataset is of another network than VGG16."""
    if info.network != VGG16:
        return None
    stored = json.loads((files("amaxds") / "data" / "study_values.json").read_text(encoding="utf-8"))
    by_layer = (
        {layer: value for layer, value in stored[name].items() if layer in info.scope}
        for name in ("mean_index", "dead_share_estimated")
    )
    return StudyValues(stored["source"], *by_layer)
