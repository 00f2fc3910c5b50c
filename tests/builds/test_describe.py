"""Describing images that were made elsewhere: what the files tell, judged and checked, and nothing made up."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from amaxds.checks.validate import validate
from amaxds.image import encode_png, is_stretched_noise
from amaxds.spec.network import VGG16
from amaxds.spec.recipes import ORIGINAL
from support.commands import amaxds
from support.folders import read_rows
from support.shared import made_once

UNKNOWN = ("seed", "activation_start", "activation", "activation_rank")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A dataset with dead filters, and its images as a plain folder."""
    scope = ("--layers", "block2_conv1,block5_conv1", "--filters", "0-15")
    arguments = ("--network", "demo", "--recipe", "original", "--steps", 4, *scope)

    def make(folder: Path) -> None:
        assert amaxds("build", folder / "built", *arguments).returncode == 0
        assert amaxds("bundle", folder / "built", folder / "bundle").returncode == 0

    folder = made_once(tmp_path_factory, "plain", make)
    return folder / "built", folder / "bundle" / "filterActivations"


@pytest.fixture(scope="module")
def described(plain: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plain folder, described. Not to be changed."""

    def make(folder: Path) -> None:
        ended = amaxds("describe", plain[1], folder / "described-filters", "--network", "demo")
        assert ended.returncode == 0, ended.stderr + ended.stdout

    return made_once(tmp_path_factory, "described", make) / "described-filters"


def test_images_from_elsewhere_may_be_equal(tmp_path: Path) -> None:
    (tmp_path / "images" / "block1_conv1").mkdir(parents=True)
    for filter in (0, 1):
        black = encode_png(np.zeros((64, 64, 3), np.uint8))
        (tmp_path / "images" / "block1_conv1" / f"filter-{filter}.png").write_bytes(black)
    ended = amaxds("describe", "images", "described", "--network", "demo", cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_pictures_that_are_shown_otherwise_than_their_pixels_are_refused(
    tmp_path: Path, assert_error: Callable[..., None]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    first, other = (Image.fromarray(each) for each in pixels)
    turned = Image.Exif()
    turned[0x0112] = 6
    kinds = {
        "an animation": {"save_all": True, "append_images": [other]},
        "an animation of the other alone": {"save_all": True, "append_images": [other], "default_image": True},
        "with a transparent colour": {"transparency": (1, 2, 3)},
        "turned or mirrored": {"exif": turned},
    }
    for place, (words, options) in enumerate(kinds.items()):
        folder = tmp_path / str(place) / "block1_conv1"
        folder.mkdir(parents=True)
        first.save(folder / "filter-0.png", **options)
        ended = amaxds("describe", folder.parent, tmp_path / "out", "--network", "demo")
        assert_error(ended, 2, "cannot be described", words.removesuffix(" of the other alone"))


def test_orientations_that_do_not_exist_turn_nothing(tmp_path: Path) -> None:
    folder, none = tmp_path / "images" / "block1_conv1", Image.Exif()
    folder.mkdir(parents=True)
    none[0x0112] = 9
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    picture.save(folder / "filter-0.png", exif=none)
    picture.save(folder / "filter-1.png", exif=b"nothing")
    assert amaxds("describe", folder.parent, tmp_path / "out", "--network", "demo").returncode == 0


@pytest.mark.parametrize("name", ["Filter-0.png", "filter_0.png", "filter-\u0663.png", "filter-0.PNG", "filter0.jpg"])
def test_pictures_with_nearly_right_names_are_not_passed_over(
    name: str, plain: tuple[Path, Path], tmp_path: Path, assert_error: Callable[..., None]
) -> None:
    folder = shutil.copytree(plain[1], tmp_path / "images")
    (folder / "block2_conv1" / name).write_bytes(b"")
    assert_error(amaxds("describe", folder, tmp_path / "out", "--network", "demo"), 2, f"{name} is named for no filter")


def test_a_pipe_in_place_of_a_picture_is_not_waited_for(tmp_path: Path, assert_error: Callable[..., None]) -> None:
    (tmp_path / "images" / "block1_conv1").mkdir(parents=True)
    os.mkfifo(tmp_path / "images" / "block1_conv1" / "filter-0.png")
    ended = amaxds("describe", tmp_path / "images", tmp_path / "out", "--network", "demo")
    assert_error(ended, 2, "filter-0.png cannot be described", "it is no file")


def test_what_else_is_in_a_picture_does_not_come_into_the_dataset(tmp_path: Path) -> None:
    (tmp_path / "images" / "block1_conv1").mkdir(parents=True)
    pixels, notes = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8), PngInfo()
    notes.add_text("Author", "Jane Doe")
    file = tmp_path / "images" / "block1_conv1" / "filter-0.png"
    Image.fromarray(pixels).save(file, pnginfo=notes, exif=Image.Exif())
    assert b"Jane Doe" in file.read_bytes()
    assert amaxds("describe", "images", "described", "--network", "demo", cwd=tmp_path).returncode == 0
    (row,) = read_rows(tmp_path / "described", "described").values()
    assert row["image"]["bytes"] == encode_png(pixels)
    assert "nobody's data" not in (tmp_path / "described" / "README.md").read_text()


def test_status_is_judged_from_the_pixels_as_the_ascent_knew_it(plain: tuple[Path, Path], described: Path) -> None:
    made, found = read_rows(plain[0]), read_rows(described, "described")
    assert found.keys() == made.keys()
    dead = {key for key, row in made.items() if row["status"] == 1}
    assert 0 < len(dead) < len(made)
    assert {key for key, row in found.items() if row["status"] == 1} == dead


def test_what_the_files_tell_is_there_and_nothing_else(plain: tuple[Path, Path], described: Path) -> None:
    made, found = read_rows(plain[0]), read_rows(described, "described")
    for key, row in found.items():
        for column in ("image", "network", "uniformity_index", "pixels_sha256"):
            assert row[column] == made[key][column]
        assert row["recipe"] == "described"
        assert all(row[column] is None for column in UNKNOWN)
    card = (described / "README.md").read_text()
    assert "**They were described, not made**" in card
    assert "license: unknown" in card
    assert "gradient ascent on a canvas" not in card


def test_a_described_dataset_validates_and_its_corruptions_are_found(described: Path, tmp_path: Path) -> None:
    report = validate(described)
    assert (report.findings, report.not_compared) == ([], [])
    for column, value, rule in (("status", 1, "status"), ("activation", 1.0, "record"), ("recipe", "clear", "record")):
        folder = shutil.copytree(described, tmp_path / column)
        file = folder / "described" / "train-00000-of-00001.parquet"
        table = pq.read_table(file)
        rows = table.to_pylist()
        next(row for row in rows if row["status"] == 0)[column] = value
        pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), file)
        assert rule in {finding.rule for finding in validate(folder).findings}


def test_an_image_without_a_seed_is_no_record_of_a_build(plain: tuple[Path, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(plain[0], tmp_path / "copy")
    file = folder / "original" / "train-00000-of-00001.parquet"
    table = pq.read_table(file)
    rows = table.to_pylist()
    rows[0] |= dict.fromkeys(UNKNOWN)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), file)
    assert "record" in {finding.rule for finding in validate(folder).findings}


def test_starting_noise_of_any_filter_is_recognised_and_pictures_are_not() -> None:
    for filter in range(5):
        assert is_stretched_noise(ORIGINAL.decode(VGG16, ORIGINAL.start(VGG16, 7, 12, filter)))
    rng = np.random.default_rng(0)
    for picture in (
        rng.integers(0, 256, (174, 174, 3)),
        rng.normal(128, 40, (174, 174, 3)).clip(0, 255),
        np.broadcast_to(np.arange(174)[:, None, None], (174, 174, 3)),
        np.zeros((174, 174, 3)),
    ):
        assert not is_stretched_noise(np.ascontiguousarray(picture, np.uint8))


def test_a_described_dataset_is_not_published_where_its_licence_has_no_name(
    described: Path, tmp_path: Path, assert_error: Callable[..., None]
) -> None:
    arguments = ("--to", "kaggle", "--repo", "owner/described-filters", "--allow-partial")
    assert_error(amaxds("publish", described, *arguments), 2, "kaggle takes no dataset under a licence that is not known")
    assert_error(amaxds("bundle", described, tmp_path / "bundle"), 2, "licence that is not known")
    assert not list(tmp_path.iterdir())


def test_folders_that_cannot_be_described_are_refused(tmp_path: Path, assert_error: Callable[..., None]) -> None:
    image = encode_png(np.zeros((8, 8, 3), np.uint8))

    def attempt(files: dict[str, bytes], *words: str) -> None:
        shutil.rmtree(tmp_path / "in", ignore_errors=True)
        for name, data in files.items():
            (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "in" / name).write_bytes(data)
        assert_error(amaxds("describe", tmp_path / "in", tmp_path / "out", "--network", "demo"), 2, *words)
        assert not (tmp_path / "out").exists()

    attempt({}, "is not a folder")
    assert_error(amaxds("describe", tmp_path, tmp_path), 2, "has the images themselves.\nChoose another OUT.")
    attempt({"notes.txt": b"hello"}, "holds no <layer>/filter-<n>.png")
    attempt({"conv9/filter-0.png": image}, "has no layer 'conv9'", "block1_conv1")
    attempt({"block1_conv1/filter-8.png": image}, "has filters 0 to 7")
    attempt({"block1_conv1/filter-x.png": image}, "is named for no filter")
    for other in ("filter-1.PNG", "filter-1.jpg"):
        attempt({"block1_conv1/filter-0.png": image, f"block1_conv1/{other}": image}, f"{other} is named for no filter")
    attempt({"block1_conv1/filter-1.png": image, "block1_conv1/filter-01.png": image}, "are of the same filter")
    attempt({"block1_conv1/filter-1.png": image[:40]}, "cannot be described")
    small = encode_png(np.zeros((9, 9, 3), np.uint8))
    attempt({"block1_conv1/filter-1.png": image, "block1_conv1/filter-2.png": small}, "different sizes: 8x8, 9x9")
    attempt({"block1_conv1/filter-1.png": encode_png(np.zeros((8, 9, 3), np.uint8))}, "8x9, not square")
