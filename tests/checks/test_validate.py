"""Whatever is not as the dataset says is found, under the right rule; an untouched dataset has no findings."""

from __future__ import annotations

import json
import os
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from amaxds.checks.rules import RULES
from amaxds.checks.validate import validate
from amaxds.image import decode_png, encode_png, pixels_sha256, uniformity_index
from amaxds.spec.network import DEMO
from amaxds.spec.recipes import ORIGINAL
from support.commands import amaxds

Row = dict[str, Any]
TRAIN = "original/train-00000-of-00001.parquet"


@pytest.fixture
def copy(small: Path, tmp_path: Path) -> Path:
    return shutil.copytree(small, tmp_path / small.name)


def _change_rows(folder: Path, change: Callable[[list[Row]], list[Row] | None]) -> None:
    """Rewrite the training split with the same columns after a change to its rows."""
    table = pq.read_table(folder / TRAIN)
    rows = table.to_pylist()
    pq.write_table(pa.Table.from_pylist(change(rows) or rows, schema=table.schema), folder / TRAIN)


def _change_table(folder: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.read_table(folder / TRAIN)), folder / TRAIN)


def _set(column: str, value: Any, row: int = 2) -> Callable[[Path], None]:
    def change(rows: list[Row]) -> None:
        rows[row][column] = value

    return lambda folder: _change_rows(folder, change)


def _set_image(png: bytes) -> Callable[[Path], None]:
    return _set("image", {"bytes": png, "path": "x.png"})


def _edit_path(folder: Path) -> None:
    _change_rows(folder, lambda rows: rows[2]["image"].update(path="../../x.png"))


def _one_pixel(folder: Path) -> None:
    def change(rows: list[Row]) -> None:
        pixels = decode_png(rows[2]["image"]["bytes"])
        pixels[5, 5, 1] ^= 1
        rows[2]["image"]["bytes"] = encode_png(pixels)

    _change_rows(folder, change)


def _swap_images(folder: Path) -> None:
    def change(rows: list[Row]) -> None:
        rows[2]["image"], rows[3]["image"] = rows[3]["image"], rows[2]["image"]

    _change_rows(folder, change)


def _resize(folder: Path) -> None:
    def change(rows: list[Row]) -> None:
        pixels = decode_png(rows[2]["image"]["bytes"])[:80]
        rows[2] |= {
            "image": {"bytes": encode_png(pixels), "path": None},
            "uniformity_index": uniformity_index(pixels),
            "pixels_sha256": pixels_sha256(pixels),
        }

    _change_rows(folder, change)


def _wrong_split(folder: Path) -> None:
    test = folder / "original/test-00000-of-00001.parquet"
    moved = pq.read_table(test)
    pq.write_table(moved.slice(0, 0), test)
    _change_table(
        folder, lambda table: pa.concat_tables([moved, table]).sort_by([("layer", "ascending"), ("filter", "ascending")])
    )


def _edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return change


def _edit_recipe(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        stored = json.loads((folder / "build.json").read_text())
        stored["recipes"][0] |= changes
        (folder / "build.json").write_text(json.dumps(stored))

    return change


def _write(name: str, text: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)

    return change


def _change_metadata(features: Any) -> Callable[[Path], None]:
    """Other features than the columns', as `datasets` reads them from the file."""
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    return lambda folder: _change_table(folder, lambda table: table.replace_schema_metadata(metadata))


def _cast(column: str, kind: pa.DataType) -> Callable[[Path], None]:
    """Store a column in another type than the file's features declare."""

    def change(table: pa.Table) -> pa.Table:
        place = table.schema.get_field_index(column)
        return table.cast(table.schema.set(place, table.schema.field(place).with_type(kind)))

    return lambda folder: _change_table(folder, change)


def _pipe(name: str) -> Callable[[Path], None]:
    return lambda folder: ((folder / name).unlink(), os.mkfifo(folder / name))[1]


def _link(name: str, target: str) -> Callable[[Path], None]:
    return lambda folder: ((folder / name).unlink(), (folder / name).symlink_to(target))[1]


def _yaml_bomb(folder: Path) -> None:
    lines = ["x0: &x0 [a, a, a, a, a, a, a, a, a, a]"]
    lines += [f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 10)}]" for n in range(1, 10)]
    _edit("README.md", "license: cc-by-4.0", "\n".join([*lines, "license: *x9"]))(folder)


def _many_rows(folder: Path) -> None:
    schema = pq.read_schema(folder / TRAIN)
    nothing = pa.Table.from_arrays([pa.nulls(1_000_000, field.type) for field in schema], schema=schema)
    pq.write_table(nothing, folder / TRAIN)


def _append_to_png(data: bytes) -> Callable[[Path], None]:
    def change(rows: list[Row]) -> None:
        rows[2]["image"]["bytes"] += data

    return lambda folder: _change_rows(folder, change)


def _append_chunk(kind: bytes, data: bytes) -> Callable[[Path], None]:
    """Put a chunk before a PNG's end."""

    def change(rows: list[Row]) -> None:
        png = rows[2]["image"]["bytes"]
        rows[2]["image"]["bytes"] = png[:-12] + _chunk(kind, data) + png[-12:]

    return lambda folder: _change_rows(folder, change)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _sixteen_bits(folder: Path) -> None:
    """The same picture as a PNG of 16 bits a channel, which Pillow reads like one of 8."""

    def change(rows: list[Row]) -> None:
        pixels = decode_png(rows[2]["image"]["bytes"])
        height, width = pixels.shape[:2]
        lines = b"".join(b"\0" + (row.astype(">u2") * 257).tobytes() for row in pixels)
        header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
        signature = b"\x89PNG\r\n\x1a\n"
        rows[2]["image"]["bytes"] = (
            signature + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(lines)) + _chunk(b"IEND", b"")
        )

    _change_rows(folder, change)


def _same_picture_twice(folder: Path) -> None:
    def change(rows: list[Row]) -> None:
        for column in ("uniformity_index", "pixels_sha256"):
            rows[3][column] = rows[2][column]
        rows[3]["image"]["bytes"] = rows[2]["image"]["bytes"]

    _change_rows(folder, change)


def _starting_noise_as_result(folder: Path) -> None:
    """The image of a filter replaced by what it started from, with index and hash to match, and still called alive."""

    def change(rows: list[Row]) -> None:
        row = rows[2]
        layer = DEMO.layers[row["layer"]]
        pixels = ORIGINAL.decode(DEMO, ORIGINAL.start(DEMO, 0, layer.index, row["filter"]))
        row["image"]["bytes"] = encode_png(pixels)
        row |= {"uniformity_index": uniformity_index(pixels), "pixels_sha256": pixels_sha256(pixels), "status": 0}

    _change_rows(folder, change)


def _result_called_dead(folder: Path) -> None:
    def change(rows: list[Row]) -> None:
        row = next(row for row in rows if row["status"] == 0)
        row.update(status=1, activation=row["activation_start"])

    _change_rows(folder, change)


def _beaten_out_of_step(folder: Path) -> None:
    """A rank changed within its range, so that it is no longer what build.json says of it."""

    def change(rows: list[Row]) -> None:
        row = next(row for row in rows if row["status"] == 0)
        row["activation_rank"] = 2 if row["activation_rank"] == 1 else 1

    _change_rows(folder, change)


def _edit_build(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        stored = json.loads((folder / "build.json").read_text())
        (folder / "build.json").write_text(json.dumps(stored | changes))

    return change


NOISE = encode_png(np.random.default_rng(0).integers(0, 256, (400, 400, 3)).astype(np.uint8))

CORRUPTIONS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "build.json deleted": ("build", lambda folder: (folder / "build.json").unlink()),
    "build.json truncated": ("build", lambda folder: (folder / "build.json").write_bytes(b'{"format": 1,')),
    "build.json is a list": ("build", lambda folder: (folder / "build.json").write_text("[]")),
    "unknown network": ("build", _edit("build.json", '"name": "demo"', '"name": "demi"')),
    "unknown layer": ("build", _edit("build.json", '"block1_conv1":', '"block1_conv7":')),
    "newer format": ("build", _edit_build(format=2)),
    "recipe outside the folder": ("build", _edit("build.json", '"name": "original"', '"name": "../original"')),
    "card deleted": ("card", lambda folder: (folder / "README.md").unlink()),
    "card without YAML": ("card", lambda folder: (folder / "README.md").write_text("# hello")),
    "card with broken YAML": ("card", lambda folder: (folder / "README.md").write_text("---\na: [\n---\n")),
    "a class renamed in the card": ("card", _edit("README.md", "block1_conv2", "block1_conv9")),
    "a class dropped from the card": ("card", _edit("README.md", "          '12': block5_conv3\n", "")),
    "a type changed in the card": ("card", _edit("README.md", "dtype: int32", "dtype: int64")),
    "a split size changed in the card": ("card", _edit("README.md", "num_examples: 1", "num_examples: 2")),
    "another licence in the card": ("card", _edit("README.md", "license: cc-by-4.0", "license: mit")),
    "another path in the card": ("card", _edit("README.md", "path: original/test-*", "path: original/train-*")),
    "build.json is a pipe": ("build", _pipe("build.json")),
    "build.json is endless": ("build", _link("build.json", "/dev/zero")),
    "a key twice in build.json": ("build", _edit("build.json", '"dead": ', '"dead": 5, "dead": ')),
    "a time that is none": ("build", _edit("build.json", '"started": "', '"started": "banana ')),
    "no version of the backend": ("build", _edit("build.json", '"backend": "tensorflow"', '"backend": "jax"')),
    "a card that is a pipe": ("card", _pipe("README.md")),
    "a card of YAML that grows without end": ("card", _yaml_bomb),
    "a card of YAML that holds itself": ("card", _edit("README.md", "license: cc-by-4.0", "license: &a [*a]")),
    "a number of 5000 digits in the card": ("card", _edit("README.md", "license: cc-by-4.0", f"license: 0x{'f' * 5000}")),
    "other line ends in the card": ("card", _edit("README.md", "\n## Limits", "\u2028## Limits")),
    "a parquet file that is a pipe": ("files", _pipe(TRAIN)),
    "a parquet file numbered as one of more": (
        "files",
        lambda folder: (folder / TRAIN).rename(folder / TRAIN.replace("00000-of-00001", "00001-of-00003")),
    ),
    "a million empty rows": ("files", _many_rows),
    "an empty folder": ("files", lambda folder: (folder / "more").mkdir()),
    "an empty folder among the data": ("files", lambda folder: (folder / "original" / "more").mkdir()),
    "a column twice": (
        "features",
        lambda folder: _change_table(
            folder,
            lambda table: table.append_column("seed ", table.column("seed")).rename_columns([*table.column_names, "seed"]),
        ),
    ),
    "the contact sheet is no picture": ("sheet", _write("contact-sheet-original.png", "hello")),
    "the contact sheet shows something else": (
        "sheet",
        lambda folder: (folder / "contact-sheet-original.png").write_bytes(NOISE),
    ),
    "text behind the image": ("image", _append_to_png(b"hidden")),
    "an image with a broken profile": ("image", _append_chunk(b"iCCP", b"")),
    "an image with a comment": ("image", _append_chunk(b"tEXt", b"a\0b")),
    "croissant.json deleted": ("croissant", lambda folder: (folder / "croissant.json").unlink()),
    "croissant.json is no JSON": ("croissant", _write("croissant.json", "{")),
    "croissant.json is a list": ("croissant", _write("croissant.json", "[1]")),
    "a checksum changed in croissant.json": ("croissant", _edit("croissant.json", '"sha256": "', '"sha256": "0')),
    "a column renamed in croissant.json": ("croissant", _edit("croissant.json", '"column": "filter"', '"column": "filters"')),
    "the number of images changed in croissant.json": ("croissant", _edit("croissant.json", "24 images", "25 images")),
    "a split deleted": ("scope", lambda folder: (folder / TRAIN).unlink()),
    "all splits deleted": ("files", lambda folder: shutil.rmtree(folder / "original")),
    "parquet truncated": ("files", lambda folder: (folder / TRAIN).write_bytes((folder / TRAIN).read_bytes()[:-20])),
    "a split of another name": ("files", lambda folder: (folder / TRAIN).rename(folder / "original/dev-00000.parquet")),
    "a foreign parquet file": ("files", lambda folder: shutil.copy(folder / TRAIN, folder / "more.parquet")),
    "a column dropped": ("features", lambda folder: _change_table(folder, lambda table: table.drop(["seed"]))),
    "a foreign column": (
        "features",
        lambda folder: _change_table(folder, lambda table: table.append_column("note", pa.array(["x"] * len(table)))),
    ),
    "NaN activation": ("record", _set("activation", float("nan"))),
    "negative activation": ("record", _set("activation", -1.0)),
    "no activation": ("record", _set("activation", None)),
    "another network": ("record", _set("network", "vgg16")),
    "another recipe": ("record", _set("recipe", "clear")),
    "another seed": ("record", _set("seed", 1)),
    "a label beyond the layers": ("record", _set("layer", 44)),
    "a status beyond the classes": ("record", _set("status", 2)),
    "a hash in capitals": ("record", _set("pixels_sha256", "A" * 64)),
    "a row twice": ("scope", lambda folder: _change_rows(folder, lambda rows: [*rows[:3], *rows[2:]])),
    "a row missing": ("scope", lambda folder: _change_rows(folder, lambda rows: rows[1:])),
    "a filter out of scope": ("scope", _set("filter", 9, row=-1)),
    "fewer images claimed": ("counts", _edit_build(images=23)),
    "no dead claimed": ("counts", _edit_build(dead=24)),
    "a split's rows in another": ("split", _wrong_split),
    "rows in another order": ("order", lambda folder: _change_rows(folder, lambda rows: rows[::-1])),
    "no image": ("image", _set("image", None)),
    "an image of another size": ("image", _resize),
    "an image far too large": ("image", _set_image(NOISE)),
    "an image cut off": ("image", _set_image(NOISE[:200])),
    "index changed in the ninth digit": (
        "index",
        lambda folder: _change_rows(folder, lambda rows: rows[2].update(uniformity_index=rows[2]["uniformity_index"] + 1e-9)),
    ),
    "one pixel changed": ("hash", _one_pixel),
    "two images swapped": ("hash", _swap_images),
    "a rank beyond the layer": ("rank", _set("activation_rank", 9)),
    "a rank that build.json does not know": ("rank", _beaten_out_of_step),
    "a setting of the recipe changed": ("build", _edit_recipe(step_size=20.0)),
    "a setting of the recipe is text": ("build", _edit_recipe(step_size="10")),
    "a setting of the recipe dropped": ("build", _edit("build.json", '"cut"', '"cuts"')),
    "another digest of the recipe": ("build", _edit_recipe(digest="0" * 64)),
    "another side of the images": ("build", _edit_recipe(image_side=90)),
    "a side beyond all numbers": ("build", _edit("build.json", '"image_side": 88', '"image_side": 1e999')),
    "a recipe twice": (
        "build",
        lambda folder: _edit_build(recipes=json.loads((folder / "build.json").read_text())["recipes"] * 2)(folder),
    ),
    "a partial build called complete": ("build", _edit("build.json", '"complete": false', '"complete": true')),
    "another canvas": ("build", _edit("build.json", '"canvas": 112', '"canvas": 224')),
    "another command": ("build", _edit("build.json", "--seed 0", "--seed 1")),
    "no weights digest": ("build", _edit("build.json", '"weights_sha256": "', '"weights_sha256": "x')),
    "software is a number": ("build", _edit_build(software=3)),
    "an unknown kind of device": ("build", _edit("build.json", '"kind": "', '"kind": "t')),
    "a field that nobody knows": ("build", _edit_build(note="hello")),
    "build.json nested beyond reading": ("build", _write("build.json", "[" * 100_000)),
    "filter ranges written otherwise": ("build", _edit("build.json", '"0-7"', '"0-3,4-7"')),
    "the default config dropped from the card": ("card", _edit("README.md", "  default: true\n", "")),
    "num_bytes changed in the card": ("card", _edit("README.md", "num_bytes: ", "num_bytes: 1")),
    "size category changed in the card": ("card", _edit("README.md", "n<1K", "1K<n<10K")),
    "a sentence changed in the card": ("card", _edit("README.md", "partial build", "complete build")),
    "a figure changed in the card": (
        "card",
        _edit("README.md", "| original | block1_conv1 | 8 |", "| original | block1_conv1 | 9 |"),
    ),
    "data_files is text in the card": ("card", _edit("README.md", "  data_files:\n", "  data_files: x\n  more:\n")),
    "config name is a number in the card": ("card", _edit("README.md", "config_name: original", "config_name: 5")),
    "a program beside the data": ("files", _write("load.py", "print(1)")),
    "a text among the parquet files": ("files", _write("original/notes.txt", "hello")),
    "an unfinished build beside the data": ("shards", _write(".amaxds/build.json", "{}")),
    "the contact sheet deleted": ("files", lambda folder: (folder / "contact-sheet-original.png").unlink()),
    "a link in place of a file": (
        "files",
        lambda folder: (
            (folder / TRAIN).rename(folder.parent / "elsewhere"),
            (folder / TRAIN).symlink_to(folder.parent / "elsewhere"),
        ),
    ),
    "no filter": ("record", _set("filter", None)),
    "no layer": ("record", _set("layer", None)),
    "features declared that cannot be read": ("features", _change_metadata({"image": {"_type": "Nothing"}})),
    "features declared as a list": ("features", _change_metadata([1])),
    "a column stored in another type": ("features", _cast("filter", pa.int64())),
    "an image of 16 bits": ("image", _sixteen_bits),
    "an image under another path": ("image", _edit_path),
    "the same picture twice": ("duplicate", _same_picture_twice),
    "starting noise called a result": ("status", _starting_noise_as_result),
    "a result called dead": ("status", _result_called_dead),
    "a dead image that moved": (
        "status",
        lambda folder: _change_rows(folder, lambda rows: rows[2].update(status=1, activation=rows[2]["activation"] + 1)),
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
    _one_pixel(copy)
    _set("seed", 5, row=0)(copy)
    _edit_build(images=30)(copy)
    ended = amaxds("validate", copy)
    assert ended.returncode == 1
    lines = ended.stdout.splitlines()
    total = lines.index(f"{copy}: 24 images, {len(validate(copy).findings)} findings against these rules:")
    rules = [line.split()[0] for line in lines[:total]]
    assert rules == sorted(rules, key=list(RULES).index)
    assert {"card", "croissant", "record", "counts", "hash"} == set(rules) - {"index"}
    assert f"record    {TRAIN} block1_conv1/0: seed is 5, build.json says 0" in lines
    assert "counts    build.json: images is 30, the data has 24" in lines
    assert lines[total + 1 :] == [f"{rule:9} {RULES[rule].sentence}" for rule in dict.fromkeys(rules)]


def test_the_report_as_json(copy: Path) -> None:
    ended = amaxds("validate", copy, "--json")
    assert ended.returncode == 0
    assert json.loads(ended.stdout) == {"path": str(copy), "valid": True, "images": 24, "findings": []}
    _set("seed", 5)(copy)
    ended = amaxds("validate", copy, "--json")
    assert ended.returncode == 1
    findings = json.loads(ended.stdout)["findings"]
    assert {"rule": "record", "place": f"{TRAIN} block1_conv1/3", "problem": "seed is 5, build.json says 0"} in findings
