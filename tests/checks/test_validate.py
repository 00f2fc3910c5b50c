"""Whatever is not as the dataset says is found, under the right rule; an untouched dataset has no findings."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from amaxds.checks.rules import RULES
from amaxds.checks.validate import validate
from amaxds.image import encode_png
from amaxds.spec.recipes import get_recipe
from support.commands import amaxds
from support.corruptions import (
    HIDDEN,
    TRAIN,
    append_chunk,
    append_to_png,
    call_a_result_dead,
    call_noise_a_result,
    cast_column,
    change_bytes,
    change_metadata,
    change_one_pixel,
    change_rows,
    change_table,
    declare_twice,
    edit_build,
    edit_outranked,
    edit_path,
    edit_recipe,
    exchange_rank,
    hide_before_footer,
    hide_in_image,
    hide_in_sheet,
    move_split,
    name_no_outranked,
    name_outranked_twice,
    nest_folders,
    plant_yaml_bomb,
    put_link,
    put_pipe,
    repeat_key,
    repeat_picture,
    replace_text,
    resize,
    set_image,
    set_value,
    store_sixteen_bits,
    swap_images,
    write_many_rows,
    write_text,
)

Row = dict[str, Any]


@pytest.fixture
def copy(small: Path, tmp_path: Path) -> Path:
    return shutil.copytree(small, tmp_path / small.name)


NOISE = encode_png(np.random.default_rng(0).integers(0, 256, (400, 400, 3)).astype(np.uint8))

CORRUPTIONS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "build.json deleted": ("build", lambda folder: (folder / "build.json").unlink()),
    "build.json truncated": ("build", lambda folder: (folder / "build.json").write_bytes(b'{"format": 1,')),
    "build.json is a list": ("build", lambda folder: (folder / "build.json").write_text("[]")),
    "unknown network": ("build", replace_text("build.json", '"name": "demo"', '"name": "demi"')),
    "unknown layer": ("build", replace_text("build.json", '"block1_conv1":', '"block1_conv7":')),
    "newer format": ("build", edit_build(format=2)),
    "recipe outside the folder": ("build", replace_text("build.json", '"name": "original"', '"name": "../original"')),
    "card deleted": ("card", lambda folder: (folder / "README.md").unlink()),
    "card without YAML": ("card", lambda folder: (folder / "README.md").write_text("# hello")),
    "card with broken YAML": ("card", lambda folder: (folder / "README.md").write_text("---\na: [\n---\n")),
    "a class renamed in the card": ("card", replace_text("README.md", "block1_conv2", "block1_conv9")),
    "a class dropped from the card": ("card", replace_text("README.md", "          '12': block5_conv3\n", "")),
    "a type changed in the card": ("card", replace_text("README.md", "dtype: int32", "dtype: int64")),
    "a split size changed in the card": ("card", replace_text("README.md", "num_examples: 1", "num_examples: 2")),
    "another licence in the card": ("card", replace_text("README.md", "license: cc-by-4.0", "license: mit")),
    "another path in the card": ("card", replace_text("README.md", "path: original/test-*", "path: original/train-*")),
    "build.json is a pipe": ("build", put_pipe("build.json")),
    "build.json is endless": ("build", put_link("build.json", "/dev/zero")),
    "a key twice in build.json": ("build", replace_text("build.json", '"dead": ', '"dead": 5, "dead": ')),
    "a name with a line break": ("build", edit_build(dataset="demo\n\n## Licence: none")),
    "a name that controls a terminal": ("build", edit_build(dataset="demo\x1b[2J")),
    "a name that is shown backwards": ("build", edit_build(dataset="demo\u202e")),
    "a name with half a character": ("build", edit_build(dataset="demo\ud800")),
    "a name of somebody else's dataset": ("build", edit_build(dataset="google/imagenet")),
    "a name that is no folder's": ("build", edit_build(dataset="..")),
    "a name without end": ("build", edit_build(dataset="a" * 100_000)),
    "a version with a line break": ("build", replace_text("build.json", '"numpy": "', '"numpy": "1\\n')),
    "a version that is a text": ("build", replace_text("build.json", '"numpy": "', '"numpy": "see https://example.org ')),
    "a library with a line break in its name": (
        "build",
        replace_text("build.json", '"numpy": "', '"num\\npy": "1", "numpy": "'),
    ),
    "a time in a zone that is none": ("build", replace_text("build.json", '+00:00"', '-23:59"')),
    "a file of a terabyte": ("files", lambda folder: os.truncate(folder / TRAIN, 1 << 40)),
    "a time of another zone": ("build", replace_text("build.json", '+00:00"', '+02:00"')),
    "a run that is longer than from start to end": (
        "build",
        edit_build(
            times={"started": "2026-01-01T00:00:00+00:00", "finished": "2026-01-01T00:00:09+00:00", "seconds_of_last_run": 11.0}
        ),
    ),
    "an end before the start": (
        "build",
        edit_build(
            times={"started": "2026-01-01T00:00:09+00:00", "finished": "2026-01-01T00:00:00+00:00", "seconds_of_last_run": 0.0}
        ),
    ),
    "a time that is none": ("build", replace_text("build.json", '"started": "', '"started": "banana ')),
    "no version of the backend": ("build", replace_text("build.json", '"backend": "tensorflow"', '"backend": "jax"')),
    "a card that is a pipe": ("card", put_pipe("README.md")),
    "a card of YAML that grows without end": ("card", plant_yaml_bomb),
    "a card of YAML that holds itself": ("card", replace_text("README.md", "license: cc-by-4.0", "license: &a [*a]")),
    "a number of 5000 digits in the card": (
        "card",
        replace_text("README.md", "license: cc-by-4.0", f"license: 0x{'f' * 5000}"),
    ),
    "other line ends in the card": ("card", replace_text("README.md", "\n## Limits", "\u2028## Limits")),
    "a parquet file that is a pipe": ("files", put_pipe(TRAIN)),
    "a parquet file numbered as one of more": (
        "files",
        lambda folder: (folder / TRAIN).rename(folder / TRAIN.replace("00000-of-00001", "00001-of-00003")),
    ),
    "a million empty rows": ("files", write_many_rows),
    "an empty folder": ("files", lambda folder: (folder / "more").mkdir()),
    "an empty folder among the data": ("files", lambda folder: (folder / "original" / "more").mkdir()),
    "a column twice": (
        "features",
        lambda folder: change_table(
            folder,
            lambda table: table.append_column("seed ", table.column("seed")).rename_columns([*table.column_names, "seed"]),
        ),
    ),
    "the contact sheet is no picture": ("sheet", write_text("contact-sheet-original.png", "hello")),
    "the contact sheet shows something else": (
        "sheet",
        lambda folder: (folder / "contact-sheet-original.png").write_bytes(NOISE),
    ),
    "text behind the image": ("image", append_to_png(b"hidden")),
    "an image with a broken profile": ("image", append_chunk(b"iCCP", b"")),
    "an image with a comment": ("image", append_chunk(b"tEXt", b"a\0b")),
    **{name: ("image", hide_in_image(change)) for name, change in HIDDEN.items()},
    **{f"{name} of the contact sheet": ("sheet", hide_in_sheet(change)) for name, change in HIDDEN.items()},
    "text behind the contact sheet": ("sheet", hide_in_sheet(lambda png: png + b"hidden")),
    "croissant.json deleted": ("croissant", lambda folder: (folder / "croissant.json").unlink()),
    "croissant.json is no JSON": ("croissant", write_text("croissant.json", "{")),
    "croissant.json is a list": ("croissant", write_text("croissant.json", "[1]")),
    "a checksum changed in croissant.json": ("croissant", replace_text("croissant.json", '"sha256": "', '"sha256": "0')),
    "a column renamed in croissant.json": (
        "croissant",
        replace_text("croissant.json", '"column": "filter"', '"column": "filters"'),
    ),
    "the number of images changed in croissant.json": ("croissant", replace_text("croissant.json", "24 images", "25 images")),
    "a split deleted": ("scope", lambda folder: (folder / TRAIN).unlink()),
    "all splits deleted": ("files", lambda folder: shutil.rmtree(folder / "original")),
    "parquet truncated": ("files", lambda folder: (folder / TRAIN).write_bytes((folder / TRAIN).read_bytes()[:-20])),
    "a split of another name": ("files", lambda folder: (folder / TRAIN).rename(folder / "original/dev-00000.parquet")),
    "a foreign parquet file": ("files", lambda folder: shutil.copy(folder / TRAIN, folder / "more.parquet")),
    "a column dropped": ("features", lambda folder: change_table(folder, lambda table: table.drop(["seed"]))),
    "a foreign column": (
        "features",
        lambda folder: change_table(folder, lambda table: table.append_column("note", pa.array(["x"] * len(table)))),
    ),
    "NaN activation": ("record", set_value("activation", float("nan"))),
    "negative activation": ("record", set_value("activation", -1.0)),
    "no activation": ("record", set_value("activation", None)),
    "another network": ("record", set_value("network", "vgg16")),
    "another recipe": ("record", set_value("recipe", "clear")),
    "another seed": ("record", set_value("seed", 1)),
    "a label beyond the layers": ("record", set_value("layer", 44)),
    "a status beyond the classes": ("record", set_value("status", 2)),
    "a hash in capitals": ("record", set_value("pixels_sha256", "A" * 64)),
    "a row twice": ("scope", lambda folder: change_rows(folder, lambda rows: [*rows[:3], *rows[2:]])),
    "a row missing": ("scope", lambda folder: change_rows(folder, lambda rows: rows[1:])),
    "a filter out of scope": ("scope", set_value("filter", 9, row=-1)),
    "fewer images claimed": ("counts", edit_build(images=23)),
    "no dead claimed": ("counts", edit_build(dead=24)),
    "a split's rows in another": ("split", move_split),
    "rows in another order": ("order", lambda folder: change_rows(folder, lambda rows: rows[::-1])),
    "no image": ("image", set_value("image", None)),
    "an image of another size": ("image", resize),
    "an image far too large": ("image", set_image(NOISE)),
    "an image cut off": ("image", set_image(NOISE[:200])),
    "index changed in the ninth digit": (
        "index",
        lambda folder: change_rows(folder, lambda rows: rows[2].update(uniformity_index=rows[2]["uniformity_index"] + 1e-9)),
    ),
    "one pixel changed": ("hash", change_one_pixel),
    "two images swapped": ("hash", swap_images),
    "a rank beyond the layer": ("rank", set_value("activation_rank", 9)),
    "a rank that build.json does not know": ("rank", exchange_rank),
    "an outranked image that build.json does not name": ("rank", name_no_outranked),
    "another rank in build.json": ("rank", edit_outranked(rank=lambda entry: entry["rank"] % 8 + 2)),
    "an outranked image named twice": ("build", name_outranked_twice),
    "an image outranked by itself": ("rank", edit_outranked(best=lambda entry: entry["filter"])),
    "an image outranked by one that was not made": ("rank", edit_outranked(best=8)),
    "a setting of the recipe changed, with a digest to match": (
        "build",
        edit_recipe(**dataclasses.replace(get_recipe("original", 3), step_size=20.0).settings()),
    ),
    "a setting of the recipe changed": ("build", edit_recipe(step_size=20.0)),
    "a setting of the recipe is text": ("build", edit_recipe(step_size="10")),
    "a setting of the recipe dropped": ("build", replace_text("build.json", '"cut"', '"cuts"')),
    "another digest of the recipe": ("build", edit_recipe(digest="0" * 64)),
    "another side of the images": ("build", edit_recipe(image_side=90)),
    "a side beyond all numbers": ("build", replace_text("build.json", '"image_side": 88', '"image_side": 1e999')),
    "a recipe twice": (
        "build",
        lambda folder: edit_build(recipes=json.loads((folder / "build.json").read_text())["recipes"] * 2)(folder),
    ),
    "a partial build called complete": ("build", replace_text("build.json", '"complete": false', '"complete": true')),
    "another canvas": ("build", replace_text("build.json", '"canvas": 112', '"canvas": 224')),
    "another command": ("build", replace_text("build.json", "--seed 0", "--seed 1")),
    "no weights digest": ("build", replace_text("build.json", '"weights_sha256": "', '"weights_sha256": "x')),
    "software is a number": ("build", edit_build(software=3)),
    "an unknown kind of device": ("build", replace_text("build.json", '"kind": "', '"kind": "t')),
    "a field that nobody knows": ("build", edit_build(note="hello")),
    "build.json nested beyond reading": ("build", write_text("build.json", "[" * 100_000)),
    "filter ranges written otherwise": ("build", replace_text("build.json", '"0-7"', '"0-3,4-7"')),
    "the default config dropped from the card": ("card", replace_text("README.md", "  default: true\n", "")),
    "num_bytes changed in the card": ("card", replace_text("README.md", "num_bytes: ", "num_bytes: 1")),
    "size category changed in the card": ("card", replace_text("README.md", "n<1K", "1K<n<10K")),
    "a sentence changed in the card": ("card", replace_text("README.md", "partial build", "complete build")),
    "a figure changed in the card": (
        "card",
        replace_text("README.md", "| original | block1_conv1 | 8 |", "| original | block1_conv1 | 9 |"),
    ),
    "data_files is text in the card": ("card", replace_text("README.md", "  data_files:\n", "  data_files: x\n  more:\n")),
    "config name is a number in the card": ("card", replace_text("README.md", "config_name: original", "config_name: 5")),
    "a program beside the data": ("files", write_text("load.py", "print(1)")),
    "a text among the parquet files": ("files", write_text("original/notes.txt", "hello")),
    "an unfinished build beside the data": ("shards", write_text(".amaxds/build.json", "{}")),
    "the contact sheet deleted": ("files", lambda folder: (folder / "contact-sheet-original.png").unlink()),
    "a link in place of a file": (
        "files",
        lambda folder: (
            (folder / TRAIN).rename(folder.parent / "elsewhere"),
            (folder / TRAIN).symlink_to(folder.parent / "elsewhere"),
        ),
    ),
    "no filter": ("record", set_value("filter", None)),
    "no layer": ("record", set_value("layer", None)),
    "features declared that cannot be read": ("features", change_metadata({"image": {"_type": "Nothing"}})),
    "features declared as a list": ("features", change_metadata([1])),
    "a key of another library in a footer": (
        "features",
        lambda folder: change_table(
            folder, lambda table: table.replace_schema_metadata({**table.schema.metadata, b"pandas": b"{}"})
        ),
    ),
    "features declared twice": ("features", declare_twice),
    "classes exchanged where the Hub reads them": (
        "features",
        change_bytes(TRAIN, lambda data: data.replace(b'"names": ["alive", "dead"]', b'"names": ["dead", "alive"]')),
    ),
    "a key twice in a footer": ("features", change_bytes(TRAIN, repeat_key)),
    "parquet written anew": ("files", lambda folder: change_table(folder, lambda table: table)),
    "bytes that belong to no column": ("files", change_bytes(TRAIN, hide_before_footer)),
    "a column stored in another type": ("features", cast_column("filter", pa.int64())),
    "an image of 16 bits": ("image", store_sixteen_bits),
    "an image under another path": ("image", edit_path),
    "the same picture twice": ("duplicate", repeat_picture),
    "starting noise called a result": ("status", call_noise_a_result),
    "a result called dead": ("status", call_a_result_dead),
    "a dead image that moved": (
        "status",
        lambda folder: change_rows(folder, lambda rows: rows[2].update(status=1, activation=rows[2]["activation"] + 1)),
    ),
}


def test_an_untouched_dataset_has_no_findings(small: Path) -> None:
    report = validate(small)
    assert report.findings == []
    assert report.images == 24
    assert [each.images for each in report.summaries] == [8, 8, 8]


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_every_corruption_is_found_under_its_rule(corruption: str, copy: Path) -> None:
    rule, corrupt = CORRUPTIONS[corruption]
    corrupt(copy)
    report = validate(copy)
    assert rule in {finding.rule for finding in report.findings}
    assert all(finding.rule in RULES and finding.place and finding.problem for finding in report.findings)
    assert report.summaries == []


def test_every_rule_is_tried() -> None:
    assert {rule for rule, _ in CORRUPTIONS.values()} == set(RULES) - {"kaggle"}


def test_findings_are_collected_sorted_and_printed_with_their_place(copy: Path) -> None:
    change_one_pixel(copy)
    set_value("seed", 5, row=0)(copy)
    edit_build(images=30)(copy)
    ended = amaxds("validate", copy)
    assert ended.returncode == 1
    lines = ended.stdout.splitlines()
    total = lines.index(f"{copy}: 24 images, {len(validate(copy).findings)} findings against these rules:")
    rules = [line.split()[0] for line in lines[:total]]
    assert rules == sorted(rules, key=list(RULES).index)
    assert {"card", "croissant", "record", "counts", "hash", "sheet"} == set(rules) - {"index"}
    assert f"record    {TRAIN} block1_conv1/0: seed is 5, build.json says 0" in lines
    assert "counts    build.json: images is 30, the data has 24" in lines
    assert lines[total + 1 :] == [f"{rule:9} {RULES[rule].sentence}" for rule in dict.fromkeys(rules)]


def test_the_report_as_json(copy: Path) -> None:
    ended = amaxds("validate", copy, "--json")
    assert ended.returncode == 0
    assert json.loads(ended.stdout) == {"path": str(copy), "valid": True, "images": 24, "findings": []}
    set_value("seed", 5)(copy)
    ended = amaxds("validate", copy, "--json")
    assert ended.returncode == 1
    findings = json.loads(ended.stdout)["findings"]
    assert {"rule": "record", "place": f"{TRAIN} block1_conv1/3", "problem": "seed is 5, build.json says 0"} in findings


def test_what_other_versions_made_and_was_not_compared_is_said(copy: Path) -> None:
    for library, other in (("amaxds", "9.9"), ("pyarrow", "1.0")):
        replace_text("build.json", f'"{library}": "{version(library)}"', f'"{library}": "{other}"')(copy)
    ended = amaxds("validate", copy)
    assert ended.returncode == 0
    said, *others = ended.stdout.splitlines()
    assert said == f"{copy}: 24 images, valid"
    assert [line.partition(";")[2] for line in others] == [
        f' amaxds is {version("amaxds")} here, and made the dataset as "9.9"',
        f' pyarrow is {version("pyarrow")} here, and was "1.0" there',
    ]
    assert all(line.startswith("not compared: ") for line in others)
    assert json.loads(amaxds("validate", copy, "--json").stdout)["not_compared"] == [
        line.removeprefix("not compared: ") for line in others
    ]


def test_a_snapshot_of_the_hubs_cache_and_pointers_of_git_are_named_as_what_they_are(
    small: Path, tmp_path: Path, assert_error: Callable[..., None]
) -> None:
    blobs, snapshot, clone = tmp_path / "blobs", tmp_path / "snapshots" / "0123", tmp_path / "clone"
    blobs.mkdir()
    shutil.copytree(small, snapshot)
    for number, file in enumerate([path for path in snapshot.rglob("*") if path.is_file()]):
        file.rename(blobs / str(number))
        file.symlink_to(os.path.relpath(blobs / str(number), file.parent))
    shutil.copytree(small, clone)
    for file in clone.rglob("*.parquet"):
        file.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 9\n")
    for command in (("validate",), ("diff", small)):
        assert_error(amaxds(*command, snapshot), 2, "a snapshot in the cache of the Hugging Face Hub", "owner/name")
        assert_error(amaxds(*command, clone), 2, "is a pointer of Git LFS", "git lfs pull")


@pytest.mark.parametrize("form", ["dataset", "bundle"])
def test_folders_nested_very_deeply_are_not_looked_into(form: str, small: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(small, tmp_path / small.name)
    if form == "bundle":
        assert amaxds("bundle", folder, tmp_path / "bundle").returncode == 0
        folder = tmp_path / "bundle"
    try:
        nest_folders(folder)
        ended = amaxds("validate", folder)
    finally:
        subprocess.run(["rm", "-rf", folder], check=True)  # Python's own way does not reach so deep.
    assert (ended.returncode, ended.stderr) == (1, "")
    assert f"files     {'deep-name: is no folder' if form == 'dataset' else 'deep-name/deep-name'}" in ended.stdout
    assert len(ended.stdout) < 10_000
