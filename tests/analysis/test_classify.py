"""Classification: models learn what can be learned and nothing else, scores are counted right, and all of it is repeatable."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amaxds.analysis.baselines import fit_index, fit_linear
from amaxds.analysis.classify import ClassificationSettings, classify
from amaxds.analysis.cnn import CnnSettings, train_cnn
from amaxds.analysis.score import score
from amaxds.errors import UsageError
from support.commands import amaxds
from support.folders import files_of
from support.forge import sorted_rows
from support.shared import made_once

Check = Callable[..., None]
LAYERS = ["block3_conv1", "block4_conv1", "block4_conv2"]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build with dead filters in every split. Not to be changed."""

    def make(folder: Path) -> None:
        build = ("--network", "demo", "--recipe", "original", "--steps", 2, "--layers", ",".join(LAYERS), "--filters", "0-15")
        assert amaxds("build", folder / "demo-filter-activations", *build).returncode == 0

    folder = made_once(tmp_path_factory, "dead", make) / "demo-filter-activations"
    statuses = {(row["split"], row["status"]) for row in sorted_rows(folder, "original")}
    assert len(statuses) == 6
    return folder


@pytest.fixture(scope="module")
def classification(small: Path, tmp_path_factory: pytest.TempPathFactory, _backend: str) -> Path:
    """The classification of that build, by a CNN of few epochs. Not to be changed."""

    def make(folder: Path) -> None:
        settings = ClassificationSettings(cnn=CnnSettings(epochs=2, batch_size=64))  # One batch: nothing is compiled twice.
        classify(small, "small", folder / "classification", settings=settings)

    return made_once(tmp_path_factory, "classification", make) / "classification"


def _stored(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "classification.json").read_text()))


def test_every_model_is_judged_on_the_images_of_the_test_split(small: Path, classification: Path) -> None:
    assert set(files_of(classification)) == {"classification.json", "confusion.png", "confusion.svg", "confusion.pdf"}
    stored, rows = _stored(classification), sorted_rows(small, "original")
    assert stored["layers"] == LAYERS
    made = [(each["model"], each["trained_on"]) for each in stored["results"]]
    assert made == [(model, images) for model in ("cnn", "linear", "index") for images in ("all", "living")]
    counts = Counter((row["split"], row["status"]) for row in rows)
    test = [LAYERS.index(row["layer"]) for row in rows if row["split"] == "test"]
    alive = [LAYERS.index(row["layer"]) for row in rows if (row["split"], row["status"]) == ("test", "alive")]
    for each in stored["results"]:
        dead_too = each["trained_on"] == "all"
        assert each["images"] == counts["train", "alive"] + dead_too * counts["train", "dead"]
        judged = {"living": alive} | ({"all": test} if dead_too else {})
        assert set(each["scores"]) == ({"all", "living", "dead"} if dead_too else {"living"})
        for kind, labels in judged.items():
            found = each["scores"][kind]
            assert [sum(row) for row in found["confusion"]] == [labels.count(label) for label in range(3)]
            assert found["correct"] == sum(found["confusion"][label][label] for label in range(3))
            assert found["accuracy"] == found["correct"] / len(labels)


@pytest.mark.system
def test_the_same_dataset_gives_the_same_bytes_with_any_number_of_workers_whatever_the_user_has_set(
    small: Path, tmp_path: Path
) -> None:
    out = tmp_path / "classification"
    ended = amaxds("classify", small, out)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.endswith(f"{out}: look at {out / 'confusion.png'}\n")
    again = shutil.copytree(out, tmp_path / "again")
    (again / "confusion.svg").unlink()
    settings = {"floatx": "float16", "image_data_format": "channels_first", "epsilon": 0.5}
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    ended = amaxds("classify", small, again, "--workers", 1, "--json", KERAS_HOME=str(tmp_path), MPLBACKEND="abacus")
    assert ended.returncode == 0, ended.stderr
    assert files_of(again) == files_of(out)
    assert ended.stdout == (again / "classification.json").read_text()


@pytest.mark.long
def test_without_tensorflow_the_same_images_are_judged(small: Path, classification: Path, tmp_path: Path) -> None:
    ended = amaxds("classify", small, tmp_path / "out", "--model", "linear", KERAS_BACKEND="jax")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.endswith(f"{tmp_path / 'out'}: look at {tmp_path / 'out' / 'confusion.png'}\n")
    here, there = (_stored(folder)["results"] for folder in (tmp_path / "out", classification))
    assert here == [each for each in there if each["model"] == "linear"]


def _patterns(random: np.random.Generator, count: int) -> tuple[Any, Any]:
    """Stripes of three widths at random places, (count, 24, 24, 3), and which width."""
    labels = random.integers(0, 3, count).astype(np.int32)
    along = np.arange(24) + random.integers(0, 24, (count, 1))
    waves = np.sin(2 * np.pi * along / np.array([3, 6, 12])[labels, None])
    images = 127 + 90 * waves[:, None, :, None] + random.normal(0, 20, (count, 24, 24, 3))
    return np.clip(images, 0, 255).astype(np.uint8), labels


@pytest.mark.usefixtures("_backend")
def test_the_cnn_learns_patterns_but_not_labels_without_meaning() -> None:
    random = np.random.default_rng(0)
    (images, labels), (others, theirs), (unseen, due) = (_patterns(random, count) for count in (192, 48, 96))
    settings = CnnSettings(epochs=8)
    learned = train_cnn(images, labels, (others, theirs), 3, 0, settings)(unseen)
    assert np.mean(learned == due) > 0.95
    shuffled = train_cnn(images, random.permutation(labels), (others, theirs), 3, 0, settings)(unseen)
    assert np.mean(shuffled == due) < 0.6


def test_the_linear_model_learns_what_features_tell_and_chooses_by_the_validation_images() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, 300).astype(np.int32)
    features = np.abs(random.normal(0, 1, (300, 40))).astype(np.float32)
    features[:, :4] += 3 * np.eye(4, dtype=np.float32)[labels]
    answer, chosen = fit_linear(features[:200], labels[:200], (features[200:250], labels[200:250]))
    assert np.mean(answer(features[250:]) == labels[250:]) > 0.85
    assert 1e-3 <= chosen["regularisation"] <= 10
    missing, _ = fit_linear(features[labels > 1], labels[labels > 1], (features, labels))
    assert set(missing(features)) == {2, 3}, "layers that were not seen are not answered"


def test_the_index_tells_what_ranges_of_it_tell_and_no_more() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 600).astype(np.int32)
    index = (np.array([0.2, 0.5, 0.52])[labels] + random.normal(0, 0.05, 600))[:, None]
    answer, _ = fit_index(index[:400], labels[:400], (index[400:500], labels[400:500]))
    right = answer(index[500:]) == labels[500:]
    assert np.mean(right[labels[500:] == 0]) > 0.95
    assert 0.4 < np.mean(right[labels[500:] != 0]) < 0.8, "two layers of nearly one index cannot be told apart"


def test_the_index_is_divided_as_finely_as_the_validation_images_bear() -> None:
    random = np.random.default_rng(0)
    index = random.uniform(0, 1, (900, 1))
    bands = (index[:, 0] * 40).astype(np.int32) % 3
    nothing = random.choice(3, 900, p=[0.7, 0.2, 0.1]).astype(np.int32)
    chosen = {}
    for name, labels, least in (("bands", bands, 0.9), ("nothing", nothing, 0.65)):
        answer, setting = fit_index(index[:600], labels[:600], (index[600:750], labels[600:750]))
        assert np.mean(answer(index[750:]) == labels[750:]) > least
        chosen[name] = setting["images_in_a_range"]
    assert chosen["bands"] <= 8
    assert chosen["nothing"] >= 64


def test_scores_are_counted_right() -> None:
    labels, answers = np.array([0, 0, 1, 1, 2], np.int32), np.array([0, 1, 1, 1, 0], np.int32)
    found = score(labels, answers, np.array([1, 1, 0, 2], np.int32), 4)
    assert (found.images, found.correct, found.accuracy, found.chance) == (5, 3, 0.6, 0.4)
    assert score(labels, answers, np.array([1, 0, 0, 1, 2], np.int32), 4).chance == 0.4, "the mean of naming 0 and naming 1"
    assert score(labels, answers, np.array([2, 2, 3, 3], np.int32), 4).chance == pytest.approx(0.1)
    assert found.macro_f1 == pytest.approx((2 * 1 / (2 * 1 + 1 + 1) + 2 * 2 / (2 * 2 + 1) + 0) / 3)
    assert found.confusion == ((1, 1, 0, 0), (0, 2, 0, 0), (1, 0, 0, 0), (0, 0, 0, 0))
    low, high = found.interval
    # Where the share lies z standard errors from the bound (Wilson 1927).
    for bound in (low, high):
        assert abs(0.6 - bound) == pytest.approx(1.959964 * np.sqrt(bound * (1 - bound) / 5), rel=1e-5)


def test_a_model_that_is_named_twice_is_trained_once(small: Path, tmp_path: Path) -> None:
    results, _ = classify(small, "small", tmp_path / "out", ["index", "index"])
    assert [(each.model, each.trained_on) for each in results] == [("index", "all"), ("index", "living")]


def test_what_cannot_be_classified_is_said(small: Path, tmp_path: Path, assert_error: Check) -> None:
    assert_error(amaxds("classify", small, tmp_path / "out", "--model", "forest"), 2, "'forest'", "cnn, linear, index")
    single = tmp_path / "single"
    build = ("--network", "demo", "--recipe", "original", "--steps", 1, "--layers", "block1_conv1", "--filters", "0-1")
    assert amaxds("build", single, *build).returncode == 0
    assert_error(amaxds("classify", single, tmp_path / "out"), 2, "one layer only", "Build more layers")
    (tmp_path / "mine").mkdir()
    with pytest.raises(UsageError, match="mine is already there and is no classification"):
        classify(small, "small", tmp_path / "mine")
    assert not (tmp_path / "out").exists()
