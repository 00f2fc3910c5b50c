"""The Kaggle bundle: the study's own layout, the same bytes, and metadata that says what is there."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from amaxds.dataset.build_info import BuildInfo
from amaxds.dataset.bundle_files import kaggle_metadata
from amaxds.dataset.record import STATUSES, descriptions
from amaxds.spec.network import DEMO
from support.commands import amaxds, run_program
from support.folders import read_rows


@pytest.fixture(scope="module")
def bundled(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundle") / "bundle"
    ended = amaxds("bundle", small, out, "--repo", "owner/demo-filters")
    assert ended.returncode == 0, ended.stderr
    return out


def test_images_are_the_datasets_own_bytes_in_the_published_layout(small: Path, bundled: Path) -> None:
    due = {
        f"{DEMO.layers[layer].name}/filter-{filter}.png": row["image"]["bytes"]
        for (layer, filter), row in read_rows(small).items()
    }
    images = bundled / "filterActivations"
    assert {file.relative_to(images).as_posix(): file.read_bytes() for file in images.rglob("*.png")} == due


def test_metadata_csv_has_every_column_of_every_record(small: Path, bundled: Path) -> None:
    stored = read_rows(small)
    with (bundled / "metadata.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(stored) == 24
    names = [layer.name for layer in DEMO.layers]
    for line in lines:
        row = stored[names.index(line["layer"]), int(line["filter"])]
        assert line["file_name"] == f"filterActivations/{line['layer']}/filter-{line['filter']}.png"
        assert line["status"] == STATUSES[row["status"]]
        for column in ("activation_start", "activation", "uniformity_index"):
            assert float(line[column]) == row[column]
        for column in ("network", "recipe", "seed", "activation_rank", "pixels_sha256"):
            assert line[column] == str(row[column])
    assert {line["split"] for line in lines} == {"train", "validation", "test"}


def test_kaggles_metadata_keeps_kaggles_limits_and_describes_every_column(bundled: Path) -> None:
    said = json.loads((bundled / "dataset-metadata.json").read_text())
    assert said["id"] == "owner/demo-filters"
    assert 6 <= len(said["title"]) <= 50
    assert 20 <= len(said["subtitle"]) <= 80
    assert said["licenses"] == [{"name": "CC-BY-4.0"}]
    top = {path.name for path in bundled.iterdir() if path.is_file()} - {"dataset-metadata.json"}
    assert {each["path"] for each in said["resources"]} == top
    table = next(each for each in said["resources"] if each["path"] == "metadata.csv")
    header = (bundled / "metadata.csv").read_text().splitlines()[0].split(",")
    assert [field["name"] for field in table["schema"]["fields"]] == header
    assert set(descriptions()) - {"image"} <= set(header)
    assert all(field["description"] and field["type"] in ("string", "integer", "number") for field in table["schema"]["fields"])


def test_croissants_own_reader_finds_the_pictures_that_the_table_names(bundled: Path, tmp_path: Path) -> None:
    ended = run_program("read_bundle_croissant.py", bundled / "croissant.json", HOME=str(tmp_path))
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == [[], 24, True]


def test_a_bundle_is_made_whole_of_valid_data_only(
    small: Path, bundled: Path, tmp_path: Path, assert_error: Callable[..., None]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in bundled.rglob("*")}
    assert_error(amaxds("bundle", small, bundled), 2, "is already there")
    assert {path: path.stat().st_mtime_ns for path in bundled.rglob("*")} == before
    assert_error(amaxds("bundle", small, tmp_path / "out", "--recipe", "clear"), 2, "has no recipe 'clear'", "original")
    assert_error(amaxds("bundle", small, small / "bundle"), 2, "is inside the dataset")
    assert_error(amaxds("bundle", small, small), 2, "is the dataset itself", "another OUT")
    assert_error(amaxds("bundle", small, small.parent), 2, "holds the dataset itself", "another OUT")
    assert_error(amaxds("bundle", small, tmp_path / "out", "--repo", "not a name"), 2, "'not a name' is no repository")
    assert_error(amaxds("bundle", small, "/proc/out"), 3, "cannot write /proc/out")
    (tmp_path / "broken").mkdir()
    ended = amaxds("bundle", tmp_path / "broken", tmp_path / "out")
    assert ended.returncode == 1
    assert "build.json: is missing" in ended.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["broken"]


@pytest.mark.system
def test_keras_and_pandas_open_a_bundle_with_the_names_of_layers(bundled: Path) -> None:
    ended = run_program("open_bundle.py", bundled)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    layers = ["block1_conv1", "block1_conv2", "block2_conv1"]
    assert found == {"classes": layers, "images": 24, "shape": [88, 88, 3], "layers": dict.fromkeys(layers, 8), "there": 24}


def test_load_dataset_opens_a_bundle_with_its_records(bundled: Path, tmp_path: Path) -> None:
    ended = run_program("load_bundle.py", bundled, tmp_path)
    assert ended.stdout == "24 24\n", ended.stderr


def test_load_dataset_takes_no_layer_for_a_split(bundled: Path, tmp_path: Path) -> None:
    shutil.copytree(bundled, tmp_path / "bundle")
    images, table = tmp_path / "bundle" / "filterActivations", tmp_path / "bundle" / "metadata.csv"
    for before, after in (("block1_conv1", "test_conv"), ("block1_conv2", "train_conv")):
        (images / before).rename(images / after)
        table.write_text(table.read_text().replace(before, after))
    ended = run_program("load_bundle.py", tmp_path / "bundle", tmp_path / "cache")
    assert ended.stdout == "24 24\n", ended.stderr


def test_kaggle_is_told_how_many_images_are_dead_and_that_filters_are_missing(bundled: Path) -> None:
    whole = BuildInfo.model_validate_json((bundled / "build.json").read_text())
    said = json.loads((bundled / "dataset-metadata.json").read_text())
    assert said == kaggle_metadata(whole, whole.dead, "owner/demo-filters")
    assert said["subtitle"].startswith("Images of some filters of DEMO")
    assert "are dead" not in kaggle_metadata(whole, 0)["description"]
    assert "3 of the 24 images are dead" in kaggle_metadata(whole, 3)["description"]
