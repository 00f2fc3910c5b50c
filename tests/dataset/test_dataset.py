"""The dataset folder as its users meet it: `load_dataset`, the card, the published contract."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pydantic import ValidationError

from amaxds.dataset.build_info import described_request
from amaxds.dataset.build_reader import require_build_info
from amaxds.dataset.card import render_card
from amaxds.dataset.hf_builder import FilterActivations
from amaxds.dataset.parquet import dataset_info, read_records, split_writer
from amaxds.dataset.record import Record, descriptions, features, stored_types
from amaxds.dataset.summary import summarise
from amaxds.errors import DamagedShard, UsageError
from amaxds.spec.network import DEMO
from amaxds.spec.recipes import DESCRIBED
from amaxds.spec.splits import SPLITS, split_of
from amaxds.storage.values import digest_of
from support.commands import run_program
from support.folders import read_rows


@pytest.mark.parametrize("how", [["whole"], ["stream"], ["whole", "original"]], ids=" ".join)
def test_load_dataset_works_from_the_folders_parent(small: Path, tmp_path: Path, how: list[str]) -> None:
    ended = run_program("load_dataset.py", *how, cwd=small.parent, HF_HOME=str(tmp_path), HF_HUB_OFFLINE="1")
    assert ended.returncode == 0, ended.stderr
    loaded = json.loads(ended.stdout)
    assert list(loaded) == ["train", "validation", "test"]
    for layer in ("block1_conv1", "block1_conv2", "block2_conv1"):
        due = split_of(DEMO.layer(layer))
        for split, rows in loaded.items():
            assert [row[1] for row in rows if row[0] == layer] == [n for n in range(8) if due[n] == split]
    every = [row for rows in loaded.values() for row in rows]
    assert len(every) == 24
    assert all(row[2:] == ["RGB", [88, 88], True] for row in every)


def test_card_says_what_the_data_is(small: Path) -> None:
    card = (small / "README.md").read_text()
    assert "license: cc-by-4.0" in card
    assert "**This is a partial build**" in card
    assert 'load_dataset("demo-filter-activations", "original")' in card
    assert "| original | block1_conv2 | 8 |" in card
    for column, meaning in descriptions().items():
        assert f"| `{column}` |" in card
        assert meaning in card


def test_the_card_says_of_weights_only_what_is_known_of_them(small: Path) -> None:
    info, infos = require_build_info(small), {"original": dataset_info(DEMO, "original", small)}
    nothing = "the network has learned nothing"
    textures, unknown = "trained on procedural textures only", "Whose weights they are, and under what licence"
    for weights, due in (
        ("pretrained", textures),
        ("random", nothing),
        ("faces.safetensors", unknown),
    ):
        entry = info.network_entry.model_copy(update={"weights": weights})
        card = render_card(info.model_copy(update={"network_entry": entry}), infos, [])
        assert [words for words in (textures, nothing, unknown) if words in card] == [due]


def test_croissants_own_reader_finds_no_fault_and_reads_the_same_records(small: Path, tmp_path: Path) -> None:
    """In a process of its own: the reader sets up logging, and copies files into a cache under the home directory."""
    ended = run_program("read_croissant.py", small / "croissant.json", HOME=str(tmp_path))
    assert ended.returncode == 0, ended.stderr
    read = json.loads(ended.stdout)
    assert read["errors"] == []
    assert read["layers"] == [layer.name for layer in DEMO.layers]
    stored = read_rows(small)
    assert {(row["layer"], row["filter"]) for row in read["records"]} == set(stored)
    for row in read["records"]:
        due = stored[row["layer"], row["filter"]]
        assert row.pop("image") == due["pixels_sha256"]
        assert row == {name: value for name, value in due.items() if name != "image"}


def test_the_card_counts_the_records_and_bytes_of_each_split(small: Path) -> None:
    info = dataset_info(DEMO, "original", small)
    files = {split: list((small / "original").glob(f"{split}-*.parquet")) for split in SPLITS}
    for split, (file,) in files.items():
        assert info.splits[split].num_examples == len(pq.read_table(file)) > 0
    assert info.download_size == sum(file.stat().st_size for (file,) in files.values())
    assert info.dataset_size == sum(each.num_bytes for each in info.splits.values()) > info.download_size / 2


def test_contact_sheet_shows_every_layer(small: Path) -> None:
    with Image.open(small / "contact-sheet-original.png") as sheet:
        pixels = np.asarray(sheet)
    # Where tiles stand, a line of the sheet is never all paper; two rows of tiles with their headings have fewer lines.
    assert pixels[:, 4:68].std(axis=(1, 2)).astype(bool).sum() >= 3 * 64, "there are not three rows of tiles"


def test_the_definition_of_a_record_is_complete() -> None:
    assert list(stored_types()) == list(descriptions()) == list(features(DEMO)) == list(Record.model_fields)
    assert all(descriptions().values())


def test_summary_counts_the_dead_apart() -> None:
    common = {"recipe": "r", "layer": "block1_conv1", "activation_start": 1.0, "activation_rank": 1}
    rows = [
        common | {"status": "dead", "activation": 1.0, "uniformity_index": 0.4},
        common | {"status": "alive", "activation": 5.0, "uniformity_index": 0.6},
        common | {"status": "alive", "activation": 3.0, "uniformity_index": 0.5, "activation_rank": 2},
    ]
    (summary,) = summarise(rows, DEMO)
    assert (summary.images, summary.dead, summary.ranked_first, summary.median_gain) == (3, 1, 1, 3.0)
    assert summary.mean_index == pytest.approx(0.5)


def test_the_datasets_builder_writes_the_files_of_the_build(small: Path, tmp_path: Path) -> None:
    def rows() -> list[dict[str, Any]]:
        found = [{name: row[name] for name in Record.model_fields} for row in read_records(small, "original", DEMO)]
        return sorted(found, key=lambda row: (DEMO.layer(row["layer"]).index, row["filter"]))

    builder = FilterActivations(cache_dir=str(tmp_path), dataset_name="images", config_name="original", network=DEMO, rows=rows)
    builder.download_and_prepare(str(tmp_path / "out"), file_format="parquet")
    for split in ("train", "validation", "test"):
        (made,) = (tmp_path / "out").glob(f"images-{split}*.parquet")
        (due,) = (small / "original").glob(f"{split}-*.parquet")
        assert made.read_bytes() == due.read_bytes()


def test_a_damaged_shard_that_is_read_while_files_are_written_is_said_as_that(tmp_path: Path) -> None:
    def write() -> None:
        with split_writer(tmp_path / "original", DEMO):
            try:
                (tmp_path / "gone").read_bytes()
            except FileNotFoundError as error:
                raise DamagedShard(tmp_path / "gone", "cannot be read") from error

    with pytest.raises(DamagedShard, match="cannot be read"):
        write()


def test_a_network_that_build_json_cannot_describe_is_refused() -> None:
    large = dataclasses.replace(DEMO, name="large", canvas=5000, model="large.keras")
    with pytest.raises(UsageError, match=r"large cannot be described in build\.json: network\.canvas is 5000"):
        described_request(large, DESCRIBED, {"block1_conv1": (0,)})


def test_a_network_whose_layers_could_not_be_told_apart_or_held_is_refused() -> None:
    wide = dataclasses.replace(DEMO.layers[0], filters=65536)
    many = tuple(dataclasses.replace(wide, name=f"wide{place}", index=place) for place in range(16))
    for layers, words in (((DEMO.layers[0],) * 2, "two layers have one name"), (many, "more than a million filters")):
        network = dataclasses.replace(DEMO, name="other", model="other.keras", layers=layers, channel_scale=(1.0, 1.0, 1.0))
        with pytest.raises(UsageError, match=words):
            described_request(network, DESCRIBED, {layers[0].name: (0,)})


def test_the_digest_of_an_identity_does_not_depend_on_the_order_of_its_keys(small: Path) -> None:
    stored = json.loads((small / "build.json").read_text())
    assert digest_of(dict(reversed(stored.items()))) == digest_of(stored)
    assert digest_of(stored | {"seed": 1}) != digest_of(stored)


def test_build_json_is_read_only(small: Path) -> None:
    info = require_build_info(small)
    for part in (info, info.network_entry, info.scope_entry, info.software, info.times):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(part, next(iter(type(part).model_fields)), "other")
