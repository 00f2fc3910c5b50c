"""An opened dataset: its records by place, by name and as a table."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import amaxds as amaxds_library
from amaxds.dataset.build_reader import require_build_info
from amaxds.dataset.bundle import bundle
from amaxds.errors import UsageError
from amaxds.hubs.opened import Dataset
from support.commands import amaxds


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One step of both recipes, two filters of one layer."""
    folder = tmp_path_factory.mktemp("both") / "both"
    options = ("--recipe", "original", "--recipe", "clear", "--layers", "block1_conv1", "--filters", "2-3", "--steps", "1")
    ended = amaxds("build", folder, "--network", "demo", *options)
    assert ended.returncode == 0, ended.stderr
    return folder


def test_records_come_in_order_with_everything_that_is_stored(small: Path) -> None:
    with Dataset(small) as dataset:
        images = list(dataset)
        assert len(images) == len(dataset) == 24
        assert [(each.layer, each.filter) for each in images] == [
            (layer, filter) for layer in ("block1_conv1", "block1_conv2", "block2_conv1") for filter in range(8)
        ]
        assert dataset["block1_conv2", 5] == images[13] == dataset.layer("block1_conv2")[5]
        stored = {row["pixels_sha256"]: row for file in small.rglob("*.parquet") for row in pq.read_table(file).to_pylist()}
        for each in images:
            row = stored[each.pixels_sha256]
            assert (each.png, each.filter, each.activation) == (row["image"]["bytes"], row["filter"], row["activation"])
            assert each.activation_rank == row["activation_rank"]
            assert each.split in ("train", "validation", "test")
        assert (dataset.network, dataset.recipes) == ("demo", ("original",))
        assert repr(dataset) == f"<Dataset {small}: 24 images of demo, original>"


def test_it_is_the_same_dataset_from_another_folder(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where one of its name is there."""
    monkeypatch.chdir(small.parent)
    dataset = pickle.loads(pickle.dumps(Dataset(small.name)))
    assert dataset.place == small.name
    (tmp_path / small.name).mkdir()
    monkeypatch.chdir(tmp_path)
    assert dataset.place == str(small)
    assert amaxds_library.validate(dataset).valid
    assert amaxds_library.diff(dataset, small).nothing
    assert Dataset("owner/name").place == "owner/name"


def test_an_image_that_is_missing_is_not_another(small: Path, tmp_path: Path) -> None:
    bundle(small, require_build_info(small), tmp_path / "bundle")
    table = tmp_path / "bundle" / "metadata.csv"
    lines = table.read_text("utf-8").splitlines(keepends=True)
    table.write_text("".join([lines[0], *lines[2:]]), "utf-8")
    dataset = Dataset(tmp_path / "bundle")
    assert dataset["block1_conv1", 1].filter == 1
    with pytest.raises(UsageError, match="lacks the image of filter 0 of block1_conv1"):
        dataset["block1_conv1", 0]
    for read in (list, Dataset.to_pandas, lambda whole: whole.layer("block1_conv1"), lambda whole: whole.summary):
        with pytest.raises(UsageError, match="lacks the image of filter 0 of block1_conv1"):
            read(dataset)


def test_a_folder_that_is_gone_is_not_an_empty_dataset(small: Path, tmp_path: Path) -> None:
    dataset = Dataset(shutil.copytree(small, tmp_path / small.name))
    assert len(dataset.layer("block1_conv1")) == 8
    (tmp_path / small.name).rename(tmp_path / "moved")
    assert len(dataset.layer("block1_conv1")) == 8, "what was read stays"
    for read in (list, Dataset.to_pandas, lambda whole: whole.layer("block1_conv2")):
        with pytest.raises(UsageError, match=r"lacks the image of filter 0 of block1_conv\d and 7 more"):
            read(dataset)
    (tmp_path / "moved").rename(tmp_path / small.name)
    assert len(list(dataset)) == 24, "it is back"


def test_as_a_table_it_has_the_columns_of_the_dataset(small: Path) -> None:
    with Dataset(small) as dataset:
        table = dataset.to_pandas()
        assert len(table) == 24
        assert list(table.columns[:4]) == ["network", "layer", "filter", "recipe"]
        assert table["layer"].value_counts().to_dict() == dict.fromkeys(dataset.layers, 8)
        pictured = dataset.to_pandas(images=True)
        assert np.array_equal(np.asarray(pictured["image"][13]), dataset["block1_conv2", 5].pixels)
        assert pictured.drop(columns="image").equals(table)
        assert sum(each.images for each in dataset.summary) == 24


def test_what_is_not_there_is_said_with_the_nearest(small: Path) -> None:
    dataset = Dataset(small)
    with pytest.raises(
        UsageError, match=r"no image of filter 9 of block1_conv1\.\nIt has those of 8 filters; the nearest is 7"
    ):
        dataset["block1_conv1", 9]
    with pytest.raises(
        UsageError, match=r"no images of a layer 'block3_conv2'\.\nDid you mean 'block1_conv2' or 'block2_conv1'"
    ):
        dataset["block3_conv2", 5]
    with pytest.raises(UsageError, match=r"no recipe 'clear'\.\nIt has original"):
        dataset.recipe("clear")
    with pytest.raises(UsageError, match="5 is no layer and filter"):
        dataset[5]  # type: ignore[index]
    for filter in (True, 5.0, "5"):
        with pytest.raises(UsageError, match=f"filter {filter!r} is no whole number"):
            dataset["block1_conv1", filter]  # type: ignore[index]
    with pytest.raises(UsageError, match="no recipe 5"):
        dataset.recipe(5)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no images of a layer None"):
        dataset.layer(None)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="dataset 5 is no path"):
        Dataset(5)  # type: ignore[arg-type]


def test_of_several_recipes_one_is_chosen(both: Path) -> None:
    with Dataset(both) as dataset:
        assert (len(dataset), dataset.recipes) == (4, ("clear", "original"))
        with pytest.raises(UsageError, match=r'Choose one: dataset.recipe\("clear"\)\["block1_conv1", 3\]'):
            dataset["block1_conv1", 3]
        clear = dataset.recipe("clear")
        assert (len(clear), clear["block1_conv1", 3].recipe) == (2, "clear")
        assert [each.recipe for each in dataset.layer("block1_conv1")] == ["clear", "clear", "original", "original"]
        assert set(clear.to_pandas()["recipe"]) == {"clear"}


def test_a_closed_dataset_is_not_read_again(small: Path) -> None:
    with Dataset(small) as dataset:
        pass
    with pytest.raises(UsageError, match="was closed"):
        len(dataset)
    with Dataset(small) as dataset:
        assert len(dataset) == 24
    for read in (list, Dataset.to_pandas):
        with pytest.raises(UsageError, match="was closed"):
            read(dataset)


def test_a_part_is_not_taken_for_the_whole(both: Path, tmp_path: Path) -> None:
    part = Dataset(both).recipe("original")
    assert amaxds_library.open_dataset(part) is part
    with pytest.raises(UsageError, match=r"no recipe 'clear'\.\nIt has original"):
        amaxds_library.bundle(part, tmp_path / "other", recipe="clear")
    assert len(part) == 2
    assert amaxds_library.bundle(part, tmp_path / "bundle") == "original"
    for function in (amaxds_library.validate, amaxds_library.audit, lambda dataset: amaxds_library.diff(both, dataset)):
        with pytest.raises(UsageError, match=r"this is the part of .* under original alone\.\nGive the whole dataset"):
            function(part)
    alone = Dataset(tmp_path / "bundle").recipe("original")
    assert amaxds_library.validate(alone).valid


def test_what_is_asked_for_is_in_it(small: Path) -> None:
    dataset = Dataset(small)
    assert ("block1_conv1", np.int64(7)) in dataset
    assert ("block1_conv1", 8) not in dataset
    assert ("block9_conv1", 0) not in dataset
    assert "block1_conv1" not in dataset
    assert ("block1_conv1", True) not in dataset
    assert ("block1_conv1", "5") not in dataset


def test_from_the_end_it_has_the_same_images(both: Path) -> None:
    dataset = Dataset(both)
    assert list(reversed(dataset)) == list(dataset)[::-1]


def test_pickled_it_is_opened_again_by_its_name(both: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(both.parent)
    whole = Dataset(both.name)
    clear = whole.recipe("clear")
    data = pickle.dumps((whole, clear))
    whole.close()
    monkeypatch.chdir(tmp_path)
    again, part = pickle.loads(data)
    assert (again.name, part.recipes, len(part)) == (both.name, ("clear",), 2)
    assert list(again) == list(Dataset(both))
    assert part["block1_conv1", 3] == Dataset(both).recipe("clear")["block1_conv1", 3]


def test_it_is_read_from_where_it_was_opened(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(small.parent)
    dataset = Dataset(small.name)
    monkeypatch.chdir(tmp_path)
    assert dataset["block1_conv2", 5] == Dataset(small)["block1_conv2", 5]
