"""Two datasets are compared record by record and image by image, in whatever form they come."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import amaxds as library
from amaxds.builds.describe import describe
from amaxds.checks.diff import diff
from amaxds.compute.networks import find_network
from amaxds.dataset.build_reader import require_build_info
from amaxds.dataset.bundle import bundle
from amaxds.dataset.reader import DatasetReader, open_dataset
from amaxds.errors import UsageError
from amaxds.image import decode_png, encode_png, psnr
from amaxds.spec.network import Layer
from amaxds.spec.recipes import Recipe
from support.commands import SMALL, amaxds
from support.forge import forge, set_image

Row = dict[str, Any]
Check = Callable[..., None]


def test_nothing_differs_between_a_dataset_its_copy_and_its_bundle(small: Path, tmp_path: Path) -> None:
    bundle(small, require_build_info(small), tmp_path / "bundle")
    archive = shutil.make_archive(str(tmp_path / "archive"), "zip", tmp_path / "bundle")
    for other in (shutil.copytree(small, tmp_path / "copy"), tmp_path / "bundle", archive):
        ended = amaxds("diff", small, other)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert ended.stdout == "0 added, 0 removed, 0 changed, 24 the same\n"


def test_another_seed_changes_every_image_and_says_so(small: Path, tmp_path: Path) -> None:
    ended = amaxds("build", tmp_path / "other", *SMALL, "--layers", "block1_conv1", "--seed", "1")
    assert ended.returncode == 0, ended.stderr
    ended = amaxds("diff", small, tmp_path / "other", "--json")
    assert ended.returncode == 1
    found = json.loads(ended.stdout)
    assert found["settings"]["seed"] == [0, 1]
    assert found["same"] == 0
    kinds = {(each["layer"], each["kind"]) for each in found["changes"]}
    assert kinds == {("block1_conv1", "changed"), ("block1_conv2", "removed"), ("block2_conv1", "removed")}
    changed = [each for each in found["changes"] if each["kind"] == "changed"]
    assert len(changed) == 8
    assert all(0 < each["image"]["psnr"] < 60 for each in changed)
    assert all(each["columns"]["seed"] == [0, 1] for each in changed)


def test_what_changed_of_a_record_is_named_with_both_values(small: Path, tmp_path: Path) -> None:
    def change(rows: list[Row]) -> None:
        rows[2]["activation"] = 0.5
        pixels = decode_png(rows[3]["image"])
        pixels[5, 5, 1] ^= 1
        set_image(rows[3], encode_png(pixels))
        del rows[9]

    forged = forge(small, tmp_path, change)
    ended = amaxds("diff", small, forged)
    assert ended.returncode == 1
    before = require_build_info(small)
    lines = ended.stdout.splitlines()
    assert lines[0].startswith("changed  original block1_conv1/2: activation ")
    assert lines[0].endswith("-> 0.5")
    decibel = 10 * math.log10(255**2 / (1 / (88 * 88 * 3)))
    assert lines[1].startswith(f"changed  original block1_conv1/3: image (PSNR {decibel:.1f} dB, index ")
    assert lines[2] == "removed  original block1_conv2/1"
    assert lines[3] == f"0 added, 1 removed, 2 changed, {before.images - 3} the same"
    assert amaxds("diff", forged, small).stdout.splitlines()[2] == "added    original block1_conv2/1"


def test_the_same_pixels_in_other_bytes_are_named_as_that(small: Path, tmp_path: Path) -> None:
    bundle(small, require_build_info(small), tmp_path / "bundle")
    image = tmp_path / "bundle/filterActivations/block1_conv1/filter-0.png"
    data = image.read_bytes()
    image.write_bytes(data[:-12] + b"\0\0\0\x01tIMEx\xef\x0e\xb8\xdc" + data[-12:])
    ended = amaxds("diff", small, tmp_path / "bundle")
    assert ended.stdout.splitlines()[0] == "changed  original block1_conv1/0: image (the same pixels, index +0.0000)"
    image.write_bytes(data[:300])
    ended = amaxds("diff", small, tmp_path / "bundle")
    assert "block1_conv1/0: image (one cannot be decoded," in ended.stdout


def test_images_of_another_size_are_named_by_both_sizes(small: Path) -> None:
    with open_dataset(small) as dataset:

        def rows(recipe: Recipe, layer: Layer) -> list[Row]:
            return [row | {"image": encode_png(decode_png(row["image"])[:87, :86])} for row in dataset.rows(recipe, layer)]

        found = diff(dataset, DatasetReader(dataset.info, rows))
    assert (len(found.changes), found.same) == (24, 0)
    assert {(change.image.psnr, change.image.note) for change in found.changes if change.image} == {(None, "88x88 -> 86x87")}
    assert found.lines()[0] == "changed  original block1_conv1/0: image (88x88 -> 86x87, index +0.0000)"


def test_what_cannot_be_compared_is_refused(small: Path, tmp_path: Path, assert_error: Check) -> None:
    assert_error(amaxds("diff", small, tmp_path / "nowhere"), 2, "nowhere is no folder and no file")
    (tmp_path / "empty").mkdir()
    assert_error(amaxds("diff", small, tmp_path / "empty"), 2, "build.json is missing")
    (tmp_path / "text.zip").write_text("hello")
    assert_error(amaxds("diff", small, tmp_path / "text.zip"), 2, "text.zip cannot be read", "amaxds validate")
    broken = shutil.copytree(small, tmp_path / "broken")
    parquet = next(broken.rglob("train-*.parquet"))
    parquet.write_bytes(parquet.read_bytes()[:-40])
    assert_error(amaxds("diff", small, broken), 2, "broken cannot be read", "amaxds validate")


def test_a_filter_that_is_there_twice_is_no_equality(small: Path, tmp_path: Path) -> None:
    twice = forge(small, tmp_path / "twice", lambda rows: rows.append(dict(rows[0])))
    words = pytest.raises(UsageError, match="a dataset has filter 0 of block1_conv1 under original twice")
    with open_dataset(small, "small") as one, open_dataset(twice, "twice") as other, words:
        diff(one, other)


def test_a_bundle_without_records_cannot_be_compared_and_says_what_is_wrong(
    small: Path, tmp_path: Path, assert_error: Check
) -> None:
    bundle(small, require_build_info(small), tmp_path / "bundle")
    table = tmp_path / "bundle" / "metadata.csv"
    header = table.read_text().splitlines(keepends=True)[0]
    for text, words in ((header, "it has no records"), ("file_name\n", "metadata.csv its columns are ")):
        table.write_text(text)
        assert_error(amaxds("diff", small, tmp_path / "bundle"), 2, words)


def test_an_index_that_is_not_stored_is_no_number(small: Path) -> None:
    with open_dataset(small, "small") as one:

        def without(recipe: Recipe, layer: Layer, images: bool = True) -> list[Row]:
            rows = one.rows(recipe, layer, images)
            if layer.name == "block1_conv1":
                set_image(rows[3], encode_png(255 - decode_png(rows[3]["image"])))
                rows[3]["uniformity_index"] = None
            return rows

        found = diff(one, DatasetReader(one.info, without))
    assert [each.image and each.image.index for each in found.changes] == [None]
    assert found.changes[0].image is not None
    assert "index unknown" in found.lines()[-2]


@pytest.mark.usefixtures("_backend")
def test_what_differs_between_networks_of_one_name_is_said(tmp_path: Path) -> None:
    inputs = keras.Input((None, None, 3))
    keras.Model(inputs, keras.layers.Conv2D(2, 3, name="c1")(inputs)).save(tmp_path / "mine.keras")
    (tmp_path / "in/c1").mkdir(parents=True)
    for filter in (0, 1):
        noise = np.random.default_rng(filter).integers(0, 256, (8, 8, 3), np.uint8)
        (tmp_path / f"in/c1/filter-{filter}.png").write_bytes(encode_png(noise))
    for canvas in (40, 48):
        describe(tmp_path / "in", tmp_path / str(canvas), find_network(str(tmp_path / "mine.keras"), canvas))
    words = pytest.raises(UsageError, match=r"of different networks \(mine\): canvas 40 and 48")
    with open_dataset(tmp_path / "40") as one, open_dataset(tmp_path / "48") as other, words:
        diff(one, other)
    build = tmp_path / "48" / "build.json"
    stored = json.loads(build.read_text())
    described = stored["network"]["described"]
    shutil.copytree(tmp_path / "48", tmp_path / "earlier")
    due = described.pop("architecture_sha256")
    (tmp_path / "earlier" / "build.json").write_text(json.dumps(stored))
    with open_dataset(tmp_path / "48") as one, open_dataset(tmp_path / "earlier") as other:
        assert diff(one, other).settings == {"network.described.architecture_sha256": (due, None)}
        assert diff(one, other).changes == []


@pytest.mark.usefixtures("_backend")
def test_checkpoints_of_one_model_are_compared_whatever_their_files_are_called(tmp_path: Path) -> None:
    """The weights of the first filter stay as they were, those of the second change."""
    inputs = keras.Input((32, 32, 3))
    layer = keras.layers.Conv2D(2, 3, name="c1", kernel_initializer=keras.initializers.GlorotUniform(0))
    model = keras.Model(inputs, layer(inputs))
    out = [library.build(model, tmp_path / "first", steps=1)]
    kernel, bias = layer.get_weights()
    kernel[..., 1] *= -1
    layer.set_weights([kernel, bias])
    model.save(tmp_path / "later.keras")
    out.append(library.build(tmp_path / "later.keras", tmp_path / "second", steps=1))
    found = library.diff(*out)
    assert {"network.name", "network.weights_sha256"} <= found.settings.keys()
    assert [(each.filter, "network" in each.columns) for each in found.changes] == [(1, False)]
    assert found.same == 1


def test_psnr_is_ten_times_the_logarithm_of_the_peaks_square_over_the_mean_square_error() -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    other = image.copy()
    other[0, 0] = 10
    assert psnr(image, other) == pytest.approx(10 * math.log10(255**2 / 25))
    assert psnr(image, image) == math.inf
    assert psnr(image, image + 255) == pytest.approx(0, abs=1e-9)
