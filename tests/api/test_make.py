"""The public functions that make images and datasets, and what they refuse."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

import amaxds
from amaxds.compute import apart
from support.commands import PROGRAMS, run_program

SETTINGS = {"recipe": "original", "steps": 3, "progress": False}
"""Those of the small build."""


def test_an_image_has_the_bits_and_the_record_of_the_one_in_a_dataset(small: Path, here: None) -> None:
    dataset = amaxds.open_dataset(small)
    made = amaxds.synthesise("demo", ["block1_conv2", "block2_conv1"], [5, 2], **SETTINGS)
    assert [(each.layer, each.filter) for each in made] == [
        *(("block1_conv2", 2), ("block1_conv2", 5)),
        *(("block2_conv1", 2), ("block2_conv1", 5)),
    ]
    for each in made:
        stored = dataset[each.layer, each.filter]
        assert each.png == stored.png
        for name in ("network", "recipe", "seed", "status", "uniformity_index", "pixels_sha256"):
            assert getattr(each, name) == getattr(stored, name), name
        for name in ("activation_start", "activation"):
            assert np.float32(getattr(each, name)) == np.float32(getattr(stored, name)), name


def test_frames_lead_from_the_noise_to_the_same_image(small: Path, here: None) -> None:
    made = amaxds.synthesise("demo", "block1_conv2", 5, frames=3, **SETTINGS)[0]
    assert made.png == amaxds.open_dataset(small)["block1_conv2", 5].png
    frames = [np.asarray(each) for each in made.frames]
    assert len(frames) == 3
    assert np.array_equal(frames[-1], made.pixels)
    assert not np.array_equal(frames[0], frames[1])
    assert len(amaxds.synthesise("demo", "block1_conv2", 5, frames=99, **SETTINGS)[0].frames) == 4


@pytest.mark.system
def test_a_process_is_kept_for_calls_with_the_same_settings_of_libraries_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def process() -> int:
        amaxds.synthesise("demo", "block1_conv1", 0, steps=1, progress=False)
        assert apart._kept is not None
        return apart._kept[1]._popen.pid

    first = process()
    monkeypatch.setenv("COLUMNS", "50")
    assert process() == first
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert process() != first
    amaxds.release()


def test_several_recipes_and_seeds_make_an_image_each(here: None) -> None:
    made = amaxds.synthesise("demo", "block1_conv1", 3, recipe=["clear", "original"], seed=[1, 2], steps=1, progress=False)
    assert [(each.seed, each.recipe) for each in made] == [(1, "clear"), (1, "original"), (2, "clear"), (2, "original")]
    assert len({each.pixels_sha256 for each in made}) == 4


REFUSED = {
    "network": ({"network": "vgg61"}, "unknown network 'vgg61'", "'vgg16'?"),
    "layer": ({"layers": "blok3_conv1"}, "no layer of demo matches 'blok3_conv1'", "Did you mean 'block3_conv1'"),
    "filter": ({"layers": "block1_conv1", "filters": 8}, "filter 8 is out of range", "filters 0 to 7"),
    "half a step": ({"steps": 2.5}, "steps 2.5 is no whole number", "such as 5"),
    "frames in words": ({"frames": "3"}, "frames '3' is no whole number", "such as 5"),
    "half a filter": ({"filters": 1.5}, "filter 1.5 is no whole number", "such as 5"),
    "recipe": ({"recipe": "Clear"}, "unknown recipe 'Clear'", "Did you mean 'clear'?"),
    "seed": ({"seed": -1}, "seed -1 is out of range", "from 0"),
    "frames": ({"frames": -1}, "frames -1 is out of range", "number of images"),
    "no network": ({"network": 5}, "int is no network", "keras.Model"),
    "network in bytes": ({"network": b"demo"}, "bytes is no network", "keras.Model"),
    "no weights": ({"weights": None}, "NoneType is no file of weights", "keras.Model"),
    "path with a zero": ({"weights": "a\0b"}, "is no path", "pathlib.Path"),
    "layers in a number": ({"layers": 5}, "layers 5 is no name", "as a string"),
    "layers in numbers": ({"layers": [5]}, "layers 5 is no name", "as a string"),
    "layers in bytes": ({"layers": b"block1_conv1"}, "layers b'block1_conv1' is no name", "as a string"),
    "no layers": ({"layers": []}, "layers [] has nothing in it", "at least one"),
    "no filters": ({"filters": []}, "filter [] has nothing in it", "at least one"),
    "empty text": ({"filters": ""}, "filters '' cannot be read", "0-15,40"),
    "filter before the first": ({"filters": -1}, "filter -1 is out of range", "from 0"),
    "filter far out": ({"filters": 10**40}, "is out of range", "from 0"),
    "true filter": ({"filters": True}, "filter True is no whole number", "such as 5"),
    "no recipe": ({"recipe": None}, "recipe None is no name", "as a string"),
    "recipe in a number": ({"recipe": [5]}, "recipe 5 is no name", "as a string"),
    "no recipes": ({"recipe": ()}, "recipe () has nothing in it", "at least one"),
    "no seeds": ({"seed": []}, "seed [] has nothing in it", "at least one"),
    "seed in words": ({"seed": "5"}, "seed '5' is no whole number", "such as 5"),
    "no seed": ({"seed": None}, "seed None is no whole number", "such as 5"),
    "true steps": ({"steps": True}, "steps True is no whole number", "such as 5"),
    "batch size": ({"batch_size": 0}, "batch size 0 is out of range", "from 1 to 4096"),
    "batch size in words": ({"batch_size": "4"}, "batch_size '4' is no whole number", "such as 5"),
    "no frames": ({"frames": None}, "frames None is no whole number", "such as 5"),
    "workers": ({"workers": 0}, "workers 0 is out of range", "from 1 to 4096"),
    "true workers": ({"workers": True}, "workers True is no whole number", "such as 5"),
    "canvas in words": ({"canvas": "64"}, "canvas '64' is no whole number", "such as 5"),
    "precision in a list": ({"precision": []}, "precision [] is no string", "as a string"),
    "preprocessing in a list": ({"preprocessing": []}, "preprocessing [] is no string", "as a string"),
    "objective in a number": ({"objective": 5}, "int is no objective", "amaxds.objectives"),
    "no objectives": ({"objective": []}, "objective [] has nothing in it", "at least one"),
    "batch size with an objective": (
        {"objective": amaxds.objectives.channel("block1_conv1", 1), "batch_size": 4},
        "in a program of their own",
        "Leave out batch_size",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_wrong_names_and_numbers_are_two_lines_that_name_the_nearest(case: str, here: None) -> None:
    options, problem, remedy = REFUSED[case]
    with pytest.raises(amaxds.errors.UsageError) as raised:
        amaxds.synthesise(**({"network": "demo", "steps": 1, "progress": False} | options))
    assert problem in raised.value.problem
    assert remedy in raised.value.remedy
    assert len(str(raised.value).splitlines()) == 2


def call(function: str, *args: object, **options: object) -> Callable[[], object]:
    return lambda: getattr(amaxds, function)(*args, **options)


REFUSED_BY_OTHERS = {
    "out of build": (call("build", "demo", 5), "out 5 is no path"),
    "out in no characters": (call("build", "demo", "\ud800"), "out '\\ud800' is no path"),
    "empty dataset": (call("validate", ""), "path '' is no path"),
    "empty weights": (call("audit", "demo", weights=""), "file of weights '' is no path"),
    "out in bytes": (call("build", "demo", b"out"), "out b'out' is no path"),
    "recipes of build": (call("build", "demo", recipes=None), "recipes None is no name"),
    "seed of build": (call("build", "demo", seed=True), "seed True is no whole number"),
    "engine": (call("build", "demo", engine=None), "engine None is no string"),
    "address": (call("build", "demo", address=5), "address 5 is no string"),
    "weights of build": (call("build", "demo", weights=5), "int is no file of weights"),
    "folder": (call("describe", 5, "out", "demo"), "folder 5 is no path"),
    "out of describe in a store": (call("describe", "images", "s3://a/b", "demo"), "out s3://a/b is in a store"),
    "out of report in a store": (call("report", "demo", "s3://a/b"), "out s3://a/b is in a store"),
    "out of classify in a store": (call("classify", "demo", "s3://a/b"), "out s3://a/b is in a store"),
    "out of bundle in a store": (call("bundle", "demo", "s3://a/b"), "out s3://a/b is in a store"),
    "out of describe": (call("describe", "images", None, "demo"), "out None is no path"),
    "dataset": (call("open_dataset", None), "NoneType is no dataset"),
    "dataset of validate": (call("validate", 5), "int is no dataset"),
    "dataset of diff": (call("diff", "demo", b"demo"), "bytes is no dataset"),
    "sample": (call("audit", "demo", "13"), "sample '13' is no whole number"),
    "no sample": (call("audit", "demo", None), "sample None is no whole number"),
    "seed of audit": (call("audit", "demo", seed=-1), "seed -1 is out of range"),
    "half a seed": (call("audit", "demo", seed=0.5), "seed 0.5 is no whole number"),
    "workers of audit": (call("audit", "demo", workers=-1), "workers -1 is out of range"),
    "weights of audit": (call("audit", "demo", weights=5), "int is no file of weights"),
    "out of report": (call("report", "demo", 5), "out 5 is no path"),
    "neighbours": (call("report", "demo", neighbours="no"), "neighbours 'no' is neither True nor False"),
    "workers of report": (call("report", "demo", workers="2"), "workers '2' is no whole number"),
    "out of classify": (call("classify", "demo", 5), "out 5 is no path"),
    "models": (call("classify", "demo", models=None), "models None is no name"),
    "models in an array": (call("classify", "demo", models=np.array([1, 2])), "is no name"),
    "models in a number": (call("classify", "demo", models=[5]), "models 5 is no name"),
    "seed of classify": (call("classify", "demo", seed=2**32), "seed 4294967296 is out of range"),
    "no seed of classify": (call("classify", "demo", seed=None), "seed None is no whole number"),
    "workers of classify": (call("classify", "demo", workers=0), "workers 0 is out of range"),
    "out of bundle": (call("bundle", "demo", 5), "out 5 is no path"),
    "recipe of bundle": (call("bundle", "demo", "out", recipe=5), "recipe 5 is no string"),
    "repo of bundle": (call("bundle", "demo", "out", repo=5), "repo 5 is no string"),
    "hub": (call("publish", "demo", 5, "owner/name"), "to 5 is no name"),
    "no hub": (call("publish", "demo", [], "owner/name"), "to [] has nothing in it"),
    "repo": (call("publish", "demo", "kaggle", 5), "repo 5 is no string"),
    "public in words": (call("publish", "demo", "kaggle", "owner/name", public="private"), "public 'private' is neither"),
    "dry run in words": (call("publish", "demo", "kaggle", "owner/name", dry_run="no"), "dry_run 'no' is neither True"),
    "message": (call("publish", "demo", "kaggle", "owner/name", message=5), "message 5 is no string"),
    "show": (call("publish", "demo", "kaggle", "owner/name", show=None), "show None is no function"),
}


@pytest.mark.parametrize("case", REFUSED_BY_OTHERS)
def test_values_of_wrong_types_are_refused_before_anything_else(case: str) -> None:
    called, problem = REFUSED_BY_OTHERS[case]
    with pytest.raises(amaxds.errors.UsageError) as raised:
        called()
    assert problem in raised.value.problem
    assert len(str(raised.value).splitlines()) == 2


def test_another_backend_of_keras_is_refused_in_two_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with pytest.raises(amaxds.errors.UsageError, match=r"Keras is set to run on 'torch'\.\nSet KERAS_BACKEND=tensorflow"):
        amaxds.synthesise("demo", "block1_conv1", 1, steps=1, progress=False)


def test_a_path_may_begin_with_the_home_folder(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: None
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    options = {"recipes": "original", "steps": 1, "filters": "0", "layers": "block1_conv1", "progress": False}
    assert amaxds.build("demo", "~/built", **options).name == str(tmp_path / "built")
    assert amaxds.validate("~/built").valid
    assert amaxds.diff("~/built", amaxds.open_dataset("~/built")).nothing
    amaxds.bundle(Path("~/built"), "~/bundle")
    assert amaxds.report("~/bundle", "~/report", neighbours=False, progress=False).folder == tmp_path / "report"
    amaxds.open_dataset("~/built")["block1_conv1", 0].save("~/bundle/filterActivations/saved.png")
    (tmp_path / "bundle" / "filterActivations" / "saved.png").unlink()
    assert amaxds.describe("~/bundle/filterActivations", "~/described", "demo", progress=False).name == str(
        tmp_path / "described"
    )
    model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Conv2D(2, 3, name="first")])
    model.save(tmp_path / "model.keras")
    assert len(amaxds.synthesise("~/model.keras", steps=1, progress=False)) == 2
    with pytest.raises(amaxds.errors.UsageError, match=f"no weights file '{tmp_path}/w.h5'"):
        amaxds.synthesise("demo", weights="~/w.h5", progress=False)
    assert not (Path.cwd() / "~").exists()


def test_a_built_dataset_is_opened(small: Path, tmp_path: Path, here: None) -> None:
    """The build is finished already: it is looked at, validated and opened."""
    copy = tmp_path / small.name
    shutil.copytree(small, copy)
    options = {"recipes": "original", "steps": 3, "filters": range(8), "progress": False}
    dataset = amaxds.build("demo", copy, layers=["block1_conv1", "block1_conv2", "block2_conv1"], **options)
    assert len(dataset) == 24
    assert dataset["block2_conv1", 5] == amaxds.open_dataset(small)["block2_conv1", 5]
    assert [each.images for each in dataset.summary] == [8, 8, 8]
    with pytest.raises(amaxds.errors.UsageError, match="holds a build with seed 0, not 1"):
        amaxds.build("demo", copy, seed=1, **options)
    (copy / "README.md").write_text("Another.")
    with pytest.raises(amaxds.errors.InvalidDataset) as raised:
        amaxds.build("demo", copy, layers="block1_conv1,block1_conv2,block2_conv1", **options)
    assert {each.rule for each in raised.value.report.findings} == {"card"}


def test_a_dataset_has_one_seed(here: None) -> None:
    with pytest.raises(amaxds.errors.UsageError, match=r"seed \[3, 4\] is no whole number"):
        amaxds.build("demo", seed=[3, 4])  # type: ignore[arg-type]


def test_numbers_of_numpy_are_taken(here: None, tmp_path: Path) -> None:
    two = np.int64(2)
    dataset = amaxds.build(
        "demo", tmp_path / "out", layers="block1_conv1", filters=np.array(1), seed=two, steps=two, workers=two
    )
    assert (len(dataset), dataset.info.seed) == (1, 2)


def test_described_images_are_a_dataset(small: Path, tmp_path: Path, here: None) -> None:
    for image in amaxds.open_dataset(small).layer("block1_conv1"):
        folder = tmp_path / "images" / image.layer
        folder.mkdir(parents=True, exist_ok=True)
        image.save(folder / f"filter-{image.filter}.png")
    dataset = amaxds.describe(tmp_path / "images", tmp_path / "described", "demo")
    assert dataset["block1_conv1", 5].png == amaxds.open_dataset(small)["block1_conv1", 5].png
    assert dataset["block1_conv1", 5].activation is None


@pytest.mark.system
def test_a_process_that_has_used_tensorflow_makes_the_same_images_of_its_models(tmp_path: Path) -> None:
    ended = run_program("after_tensorflow.py", cwd=tmp_path, timeout=500)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == "done"


@pytest.mark.system
def test_an_interrupted_build_raises_keyboard_interrupt_and_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    folders = [tmp_path / name / "demo-filter-activations" for name in ("stopped", "whole")]
    program = [sys.executable, "-W", "ignore", str(PROGRAMS / "interrupted_in_the_library.py")]
    process = subprocess.Popen([*program, str(folders[0])], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    while "images/s" not in process.stderr.readline():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert out == "KeyboardInterrupt\nthe handlers are as before\n6 images\n"
    assert "images are there already" in err
    amaxds.build("demo", folders[1], recipes="original", layers="block4_conv1", batch_size=1, filters="0-5", progress=False)
    assert amaxds.diff(*folders).nothing
    for file in sorted(folders[1].rglob("*.p*")):
        assert (folders[0] / file.relative_to(folders[1])).read_bytes() == file.read_bytes()
