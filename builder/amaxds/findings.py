"""Findings: what validation looks for, and the report of what it found."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amaxds.errors import printable
from amaxds.summary import LayerSummary

RULES = {
    "build": "build.json is there, readable, and consistent in itself: network, recipes with their digests, scope, command",
    "card": "README.md is the card that the data and build.json give, YAML and text",
    "croissant": "croissant.json is what the data and build.json give, checksums included",
    "sheet": "the contact sheets show the images",
    "files": "every recipe has its parquet files, they can be read, and the folder holds nothing that is not the dataset's",
    "features": "the columns and their types are those of the definition",
    "record": "every value is in its column's range, and network, recipe and seed are the build's",
    "scope": "there is one record for each filter of the scope, and none besides",
    "counts": "build.json's numbers of images and dead are the data's",
    "split": "every record is in the split that its layer and filter decide",
    "order": "rows are in the order of layer and filter",
    "image": "every image is an 8-bit RGB PNG of the recipe's size, under its filter's name",
    "index": "the uniformity index is the image's",
    "hash": "the hash is the image's",
    "rank": "no rank is beyond the layer's images, and build.json names every living image that another one beats",
    "status": "a dead image's activation is its starting noise's; under `original` exactly the dead images are that noise",
    "duplicate": "no two records have the same pixels",
}


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be."""

    rule: str
    place: str
    """File and record, as exactly as it is known."""
    problem: str


@dataclass
class Report:
    """All findings in a dataset, and the summary of what could be read."""

    path: Path
    findings: list[Finding] = field(default_factory=list)
    images: int = 0
    summaries: list[LayerSummary] = field(default_factory=list)

    @property
    def valid(self) -> bool:
        return not self.findings

    def add(self, rule: str, place: str, problem: str) -> None:
        if rule not in RULES:
            raise KeyError(rule)
        self.findings.append(Finding(rule, printable(place), printable(problem)))

    def sort(self) -> None:
        """By rule, place and problem."""
        order = list(RULES)
        self.findings.sort(key=lambda each: (order.index(each.rule), each.place, each.problem))

    def as_json(self) -> dict[str, Any]:
        found = [{"rule": each.rule, "place": each.place, "problem": each.problem} for each in self.findings]
        return {"path": str(self.path), "valid": self.valid, "images": self.images, "findings": found}
