"""The rules that validation checks, and the report of its findings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from amaxds.dataset.summary import LayerSummary
from amaxds.errors import printable


@dataclass(frozen=True)
class Rule:
    """Something that must be true of every dataset."""

    sentence: str
    """The rule, as a statement that is true of a valid dataset."""
    meaning: str
    """What a finding means and what to do about it."""


RULES = {
    "build": Rule(
        "build.json is there, readable, and consistent in itself: network, recipes with their digests, scope, command",
        "Where it cannot be read, nothing else is checked: everything else is held against it. A folder without it is no "
        "finished build.",
    ),
    "shards": Rule(
        "the folder holds no unfinished build",
        "Run the command that it was begun with: it goes on from the finished units, and makes damaged shards again. They are "
        "named here.",
    ),
    "card": Rule(
        "README.md is the card that the data and build.json give, YAML and text",
        "The YAML is compared by value; the text line by line, where nothing else is wrong and this version made the dataset.",
    ),
    "croissant": Rule(
        "croissant.json is what the data and build.json give, sizes and checksums of the files included",
        "Of a dataset made by another version, only what it says of the files is compared.",
    ),
    "kaggle": Rule(
        "dataset-metadata.json is what the data and build.json give",
        "Of a bundle only, and only where it is there: Kaggle takes this file as settings, and does not hand it out again.",
    ),
    "sheet": Rule(
        "the contact sheets show the images, and hold nothing but pixels",
        "They are drawn again, where the same version of Pillow is there that drew them.",
    ),
    "files": Rule(
        "every file that is due is there and can be read, and nothing that is not the dataset's, beside them or in them",
        "A missing or damaged file: fetch or build it again. A foreign file, link, or entry of a zip that leads out of it: do "
        "not open it. Parquet files are written again and compared byte for byte, where the same versions of pyarrow and "
        "datasets are there that wrote them; the bytes of a zip must be its entries and nothing else.",
    ),
    "features": Rule(
        "the columns and their types are those of the definition, in parquet as stored and as declared, and in metadata.csv",
        "The file was written by something else than this tool, or edited.",
    ),
    "record": Rule(
        "every value is in its column's range, and network, recipe and seed are the build's",
        "The ranges are those of record.schema.json.",
    ),
    "scope": Rule(
        "there is one record for each filter of the scope in build.json, and none besides",
        "A row is missing, or there twice, or of another build.",
    ),
    "counts": Rule(
        "build.json's numbers of images and of dead ones are the data's",
        "Of a bundle of a dataset with several recipes, the number of dead images cannot be checked: it counts all recipes.",
    ),
    "split": Rule(
        "every record is in the split that its layer and filter decide",
        "Splits are the same for every recipe, seed and subset. A row in another split would leak between them.",
    ),
    "order": Rule("rows are in the order of layer and filter", "Rows were sorted otherwise, or files exchanged."),
    "image": Rule(
        "every image is an 8-bit RGB PNG of the recipe's size, under its filter's name, and holds nothing but pixels",
        "Sizes are read before anything is decoded; an image far too large is not decoded at all.",
    ),
    "index": Rule(
        "the uniformity index is the image's, within 1e-12",
        "The image or the number was changed after the record was made.",
    ),
    "hash": Rule("pixels_sha256 is the image's", "The image or the hash was changed after the record was made."),
    "rank": Rule(
        "no rank is beyond the layer's images, and build.json names every living image that another one beats, with its rank",
        "Ranks themselves need the network: `amaxds audit` computes them again.",
    ),
    "status": Rule(
        "a dead image's activation is its starting noise's; under `original` exactly the dead images are that noise, drawn "
        "again; under `described` exactly the dead images are stretched noise",
        "A living filter was called dead, or noise was called a result.",
    ),
    "duplicate": Rule(
        "no two records have the same pixels, unless the images were made elsewhere",
        "Two different ascents do not end in the same image: one was copied.",
    ),
}


@dataclass(frozen=True)
class Finding:
    """One place where a rule is broken."""

    rule: str
    """The rule's code, such as `hash`: one of those in `metadata/rules.md`."""
    place: str
    """File and record, as exactly as known: `README.md`, or `clear block3_conv1/5`."""
    problem: str
    """What is wrong there, as a sentence without a full stop."""


@dataclass
class ValidationReport:
    """What validation finds in a dataset: all findings, and a summary of the records that could be read.

    Examples:
        >>> report = amaxds.validate("edited")
        >>> report.valid, report.images
        (False, 528)
        >>> for finding in report.findings:
        ...     print(finding.rule, finding.place, finding.problem, sep=": ")
        card: README.md: line 200 is "edited", expected nothing
    """

    name: str
    """The dataset's name, as the caller gave it."""
    findings: list[Finding] = field(default_factory=list)
    """Where rules are broken, in the order of the rules; empty for a valid dataset."""
    images: int = 0
    """How many images could be read."""
    summaries: list[LayerSummary] = field(default_factory=list)
    """One for each recipe and layer, of the records that could be read."""
    not_compared: list[str] = field(default_factory=list)
    """What could not be written or drawn again and compared, because other versions made it, each with its reason."""

    @property
    def valid(self) -> bool:
        """Whether there are no findings."""
        return not self.findings

    def add(self, rule: str, place: str, problem: str) -> None:
        """Add a finding. KeyError for an unknown rule."""
        if rule not in RULES:
            raise KeyError(rule)
        self.findings.append(Finding(rule, printable(place), printable(problem)))

    def sort(self) -> None:
        """Sort the findings by rule, in the order of RULES, then by place and problem."""
        order = list(RULES)
        self.findings.sort(key=lambda each: (order.index(each.rule), each.place, each.problem))

    def as_json(self) -> dict[str, Any]:
        """What `amaxds validate --json` prints: path, valid, images, findings, and what was not compared if there is any."""
        found = [{"rule": each.rule, "place": each.place, "problem": each.problem} for each in self.findings]
        return {"path": self.name, "valid": self.valid, "images": self.images, "findings": found} | (
            {"not_compared": self.not_compared} if self.not_compared else {}
        )
