"""A bundle is what its dataset folder says, as a folder and as a zip; whatever is not is found under its rule."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from amaxds.checks.rules import RULES
from amaxds.checks.validate import validate
from amaxds.dataset.build_reader import require_build_info
from amaxds.dataset.bundle import bundle
from amaxds.image import decode_png, encode_png
from support.commands import SMALL, amaxds
from support.corruptions import HIDDEN
from support.folders import zipped

Corruption = Callable[[Path], object]
IMAGE = "filterActivations/block1_conv2/filter-3.png"
OTHER = "filterActivations/block1_conv2/filter-4.png"


@pytest.fixture
def copy(bundled: Path, tmp_path: Path) -> Path:
    return shutil.copytree(bundled, tmp_path / "bundle")


def _edit(name: str, old: str, new: str) -> Corruption:
    """Replace what a pattern matches first."""

    def change(folder: Path) -> None:
        text = (folder / name).read_text()
        changed = re.sub(old, new, text, count=1)
        assert changed != text
        (folder / name).write_text(changed)

    return change


def _lines(change: Callable[[list[str]], list[str]]) -> Corruption:
    return lambda folder: (folder / "metadata.csv").write_text(
        "".join(change((folder / "metadata.csv").read_text().splitlines(keepends=True)))
    )


def _column(name: str, value: str, line: int = 5) -> Corruption:
    """Set one value of metadata.csv."""

    def change(lines: list[str]) -> list[str]:
        place, values = lines[0].strip().split(",").index(name), lines[line].strip().split(",")
        values[place] = value
        return [*lines[:line], ",".join(values) + "\n", *lines[line + 1 :]]

    return _lines(change)


def _image(change: Callable[[bytes], bytes]) -> Corruption:
    return lambda folder: (folder / IMAGE).write_bytes(change((folder / IMAGE).read_bytes()))


def _one_pixel(png: bytes) -> bytes:
    pixels = decode_png(png)
    pixels[5, 5, 1] ^= 1
    return encode_png(pixels)


def _bomb(png: bytes) -> bytes:
    """A small PNG that says it has 30000 x 30000 pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    return png[:12] + header + struct.pack(">I", zlib.crc32(header)) + png[33:]


def _swap(folder: Path) -> None:
    (folder / IMAGE).rename(folder / "kept")
    (folder / OTHER).rename(folder / IMAGE)
    (folder / "kept").rename(folder / OTHER)


def _copy_of_another(folder: Path) -> None:
    """The image of one filter put in the place of another's, with index and hash to match."""

    def change(lines: list[str]) -> list[str]:
        at, other = (next(i for i, line in enumerate(lines) if line.startswith(name)) for name in (IMAGE, OTHER))
        lines[at] = ",".join(lines[at].split(",")[:-2] + lines[other].split(",")[-2:])
        return lines

    shutil.copy(folder / OTHER, folder / IMAGE)
    _lines(change)(folder)


CORRUPTIONS: dict[str, tuple[str, Corruption]] = {
    "build.json deleted": ("build", lambda folder: (folder / "build.json").unlink()),
    "build.json cut off": ("build", _edit("build.json", '"seed": 0', "")),
    "build.json of another seed": ("build", _edit("build.json", '"seed": 0', '"seed": 1')),
    "metadata.csv deleted": ("files", lambda folder: (folder / "metadata.csv").unlink()),
    "metadata.csv is no text": ("files", lambda folder: (folder / "metadata.csv").write_bytes(b"\xff\xfe\0")),
    "metadata.csv is empty": ("features", _lines(lambda lines: [])),
    "metadata.csv has a foreign column": ("features", _lines(lambda lines: [line.replace("\n", ",\n") for line in lines])),
    "metadata.csv has columns in another order": ("features", _edit("metadata.csv", "file_name,split", "split,file_name")),
    "metadata.csv ends in the middle of a line": ("features", _lines(lambda lines: [*lines[:-1], lines[-1].rstrip()])),
    "metadata.csv has other line ends": ("features", _lines(lambda lines: [line.replace("\n", "\r\n") for line in lines])),
    "metadata.csv has an open quote": ("features", _column("file_name", '"x')),
    "metadata.csv has a line of three values": ("features", _lines(lambda lines: [*lines[:5], "a,b,c\n", *lines[6:]])),
    "metadata.csv has a million lines": ("files", _lines(lambda lines: [*lines, *["\n"] * 100_000])),
    "a number that is a word": ("features", _column("filter", "three")),
    "a number with a fraction for a filter": ("features", _column("filter", "3.0")),
    "a number written otherwise": ("features", _column("activation", "1_0.0")),
    "a number finer than its type": ("features", _column("activation", "0.1")),
    "NaN activation": ("record", _column("activation", "nan")),
    "negative activation": ("record", _column("activation", "-1.0")),
    "no activation": ("features", _column("activation", "")),
    "another network": ("record", _column("network", "vgg16")),
    "another seed": ("record", _column("seed", "1")),
    "another recipe": ("record", _column("recipe", "clear")),
    "an unknown status": ("record", _column("status", "asleep")),
    "an unknown layer": ("record", _column("layer", "block9_conv1")),
    "another filter": ("scope", _column("filter", "9")),
    "an image without a byte": ("image", lambda folder: (folder / IMAGE).write_bytes(b"")),
    "images without a byte": ("image", lambda folder: [file.write_bytes(b"") for file in folder.glob("*/*/*.png")]),
    **{name: ("image", _image(change)) for name, change in HIDDEN.items()},
    "another split": ("split", _edit("metadata.csv", ",train,", ",test,")),
    "an index changed in the ninth digit": ("index", _edit("metadata.csv", r"(,0\.\d{8})\d+(,\w{64}\n)", r"\g<1>\g<2>")),
    "another hash": ("hash", _column("pixels_sha256", "0" * 64)),
    "a rank beyond the layer": ("rank", _column("activation_rank", "9")),
    "a result called dead": ("status", _edit("metadata.csv", ",alive,", ",dead,")),
    "a line twice": ("scope", _lines(lambda lines: [*lines[:5], lines[4], *lines[5:-1]])),
    "a line missing": ("scope", _lines(lambda lines: [*lines[:5], *lines[6:]])),
    "lines in another order": ("order", _lines(lambda lines: [lines[0], *lines[:0:-1]])),
    "an image deleted": ("files", lambda folder: (folder / IMAGE).unlink()),
    "an image under another name": ("files", lambda folder: (folder / IMAGE).rename(folder / f"{IMAGE}.png")),
    "an image that leaves the folder": ("image", _column("file_name", "../../../etc/passwd")),
    "build.json for an image": ("image", _column("file_name", "build.json")),
    "two images swapped": ("hash", _swap),
    "a record and its image twice": ("duplicate", _copy_of_another),
    "an image twice": ("hash", lambda folder: shutil.copy(folder / OTHER, folder / IMAGE)),
    "one pixel changed": ("hash", _image(_one_pixel)),
    "an image cut off": ("image", _image(lambda png: png[:300])),
    "an image that grows without end": ("image", _image(_bomb)),
    "an image of a hundred megabytes": ("image", _image(lambda png: png + bytes(100_000_000))),
    "text behind an image": ("image", _image(lambda png: png + b"hidden")),
    "an image of another size": ("image", _image(lambda png: encode_png(np.ascontiguousarray(decode_png(png)[:80])))),
    "a foreign file": ("files", lambda folder: (folder / "load.py").write_text("print(1)")),
    "an image that no line names": ("files", lambda folder: shutil.copy(folder / IMAGE, folder / IMAGE.replace("3", "99"))),
    "an empty folder": ("files", lambda folder: (folder / "more").mkdir()),
    "a link for an image": ("files", lambda folder: ((folder / IMAGE).unlink(), (folder / IMAGE).symlink_to("/etc/passwd"))),
    "a pipe for an image": ("files", lambda folder: ((folder / IMAGE).unlink(), os.mkfifo(folder / IMAGE))),
    "a pipe for build.json": ("build", lambda folder: ((folder / "build.json").unlink(), os.mkfifo(folder / "build.json"))),
    "fewer images claimed": ("counts", _edit("build.json", '"images": 24', '"images": 23')),
    "croissant.json deleted": ("croissant", lambda folder: (folder / "croissant.json").unlink()),
    "croissant.json is no JSON": ("croissant", lambda folder: (folder / "croissant.json").write_text("{")),
    "a stale checksum in croissant.json": ("croissant", _edit("croissant.json", '"sha256": "', '"sha256": "0')),
    "another column in croissant.json": ("croissant", _edit("croissant.json", '"column": "filter"', '"column": "filters"')),
    "dataset-metadata.json is a list": ("kaggle", lambda folder: (folder / "dataset-metadata.json").write_text("[1]")),
    "dataset-metadata.json has another licence": ("kaggle", _edit("dataset-metadata.json", "CC-BY-4.0", "CC0-1.0")),
    "dataset-metadata.json has no name": ("kaggle", _edit("dataset-metadata.json", '"id": "owner/', '"id": "')),
    "dataset-metadata.json lacks a column": ("kaggle", _edit("dataset-metadata.json", '"name": "status"', '"name": "state"')),
}


@pytest.mark.parametrize("top", ["", "my bundle/"])
def test_an_untouched_bundle_has_no_findings_as_folder_and_as_zip(bundled: Path, copy: Path, top: str) -> None:
    for path in (bundled, zipped(copy, top)):
        report = validate(path)
        assert report.findings == []
        assert report.images == 24
        assert [each.images for each in report.summaries] == [8, 8, 8]


def test_each_recipe_of_a_dataset_makes_a_valid_bundle(tmp_path: Path) -> None:
    folder = tmp_path / "both"
    few = ("--layers", "block1_conv1", "--filters", "0-3")
    assert amaxds("build", folder, *SMALL, *few, "--recipe", "clear").returncode == 0
    for recipe in ("clear", "original"):
        bundle(folder, require_build_info(folder), tmp_path / recipe, recipe)
        ended = amaxds("validate", tmp_path / recipe)
        assert (ended.returncode, ended.stdout) == (0, f"{tmp_path / recipe}: 4 images, valid\n")
    _edit("build.json", '"images": 8', '"images": 9')(tmp_path / "clear")
    assert {finding.rule for finding in validate(tmp_path / "clear").findings} == {"counts"}


def test_a_bundle_as_kaggle_hands_it_out_has_no_settings_file_and_is_valid(copy: Path) -> None:
    (copy / "dataset-metadata.json").unlink()
    assert validate(copy).valid
    assert validate(zipped(copy)).valid


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_every_corruption_of_a_bundle_is_found_under_its_rule(corruption: str, copy: Path) -> None:
    rule, corrupt = CORRUPTIONS[corruption]
    corrupt(copy)
    forms = [copy] if corruption.startswith(("a link", "a pipe")) else [copy, zipped(copy)]
    for path in forms:
        report = validate(path)
        assert rule in {finding.rule for finding in report.findings}
        assert report.summaries == []


def test_lines_of_the_table_that_are_too_many_are_counted(copy: Path) -> None:
    _lines(lambda lines: [*lines, lines[-1]])(copy)
    found = [(each.place, each.problem) for each in validate(copy).findings]
    assert ("metadata.csv", "has 25 records, for a scope of 24 filters") in found


def test_every_rule_that_a_bundle_can_break_is_tried() -> None:
    rules = {rule for rule, _ in CORRUPTIONS.values()}
    assert rules == set(RULES) - {"shards", "card", "sheet"}


def test_findings_in_a_zip_are_printed_with_their_rules(copy: Path) -> None:
    _column("seed", "1")(copy)
    ended = amaxds("validate", zipped(copy))
    assert ended.returncode == 1
    lines = ended.stdout.splitlines()
    assert "record    metadata.csv line 6 block1_conv1/4: seed is 1, build.json says 0" in lines
    assert "record    every value is in its column's range, and network, recipe and seed are the build's" in lines
    ended = amaxds("validate", zipped(copy), "--json")
    assert json.loads(ended.stdout)["valid"] is False
