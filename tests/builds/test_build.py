"""Builds of the demo network as a user runs them: resumed, subset, refused, and always the same bytes."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from amaxds.compute.networks import load_weights
from amaxds.image import decode_png
from amaxds.spec.network import VGG16
from support.commands import ROOT, SMALL, amaxds
from support.folders import files_of, hashes, read_rows

Check = Callable[..., None]


def test_an_unfinished_build_goes_on_to_the_same_bytes(unfinished: Path, tmp_path: Path, small: Path) -> None:
    folder = shutil.copytree(unfinished, tmp_path / small.name)
    again = amaxds("build", folder, *SMALL)
    assert "24 of 24 images are there already" in again.stderr
    assert files_of(folder) == files_of(small)
    assert not (folder / ".amaxds").exists()


CHANGES = {
    "seed": (("--seed", "9"), "seed 0, not 9 (--seed)"),
    "steps": (("--steps", "4"), "recipes[0].steps 3, not 4 (--steps)"),
    "seed of random weights": (("--weights", "random", "--seed", "9"), "seed 0, not 9 (--seed)"),
    "weights": (("--weights", "random"), 'network.weights "pretrained", not "random" (--weights)'),
    "batch size": (("--batch-size", "16"), "batch_size 8, not 16 (--batch-size)"),
    "precision": (("--precision", "bfloat16"), 'precision "float32", not "bfloat16" (--precision)'),
    "scope": (("--filters", "0-6"), 'scope.layers.block1_conv1 "0-7", not "0-6" (--layers or --filters)'),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("state", ["small", "unfinished"])
def test_another_build_in_the_same_folder_is_refused_by_what_differs(
    change: str, state: str, request: pytest.FixtureRequest, tmp_path: Path, assert_error: Check
) -> None:
    folder = shutil.copytree(request.getfixturevalue(state), tmp_path / "copy")
    before = {path: path.read_bytes() for path in folder.rglob("*.parquet")}
    arguments, words = CHANGES[change]
    assert_error(amaxds("build", folder, *SMALL, *arguments), 2, str(folder), words)
    assert {path: path.read_bytes() for path in folder.rglob("*.parquet")} == before


def test_another_network_in_the_same_folder_is_refused(small: Path, assert_error: Check) -> None:
    ended = amaxds("build", small, *SMALL, "--network", "vgg16", "--weights", "random")
    assert_error(ended, 2, 'network.name "demo", not "vgg16" (--network)')


@pytest.mark.system
def test_settings_that_change_rounding_are_part_of_a_build(unfinished: Path, tmp_path: Path, assert_error: Check) -> None:
    folder = shutil.copytree(unfinished, tmp_path / "copy")
    ended = amaxds("build", folder, *SMALL, XLA_FLAGS="--xla_cpu_max_isa=SSE4_2")
    assert_error(ended, 2, "software.settings.XLA_FLAGS", "xla_cpu_max_isa=SSE4_2")
    ended = amaxds("build", folder, *SMALL, ONEDNN_MAX_CPU_ISA="SSE41")
    assert_error(ended, 2, "software.settings.ONEDNN_MAX_CPU_ISA")
    assert amaxds("build", folder, *SMALL).returncode == 0


def test_a_renamed_weights_file_and_recipes_in_another_order_are_the_same_build(tmp_path: Path, small: Path) -> None:
    weights = ROOT / "builder" / "amaxds" / "data" / "demo.safetensors"
    shutil.copy(weights, tmp_path / "one.safetensors")
    shutil.copy(weights, tmp_path / "two.safetensors")
    few = ("--network", "demo", "--layers", "block1_conv1", "--filters", "2", "--steps", "1")
    folder = tmp_path / "out"
    first = amaxds(
        "build", folder, *few, "--recipe", "original", "--recipe", "clear", "--weights", tmp_path / "one.safetensors"
    )
    assert first.returncode == 0, first.stderr
    files = files_of(folder)
    again = amaxds(
        "build", folder, *few, "--recipe", "clear", "--recipe", "original", "--weights", tmp_path / "two.safetensors"
    )
    assert again.returncode == 0, again.stderr
    assert files_of(folder) == files


def test_both_recipes_side_by_side_are_two_configs_and_the_same_bits(small: Path, tmp_path: Path) -> None:
    folder = tmp_path / small.name
    ended = amaxds("build", folder, *SMALL, "--recipe", "clear", "--layers", "block1_conv2")
    assert ended.returncode == 0, ended.stderr
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == ["clear", "original"]
    full = hashes(small)
    assert hashes(folder) == {key: full[key] for key in full if key[0] == 1}
    assert {row["recipe"] for row in read_rows(folder, "clear").values()} == {"clear"}
    card = (folder / "README.md").read_text()
    assert re.search(r"config_name: clear\n(  .*\n)*  default: true", card)
    assert card.count("default: true") == 1
    alone = amaxds(
        "build", tmp_path / "alone", "--network", "demo", "--steps", "3", "--layers", "block1_conv2", "--filters", "3-5"
    )
    assert alone.returncode == 0, alone.stderr
    both = hashes(folder, "clear")
    assert hashes(tmp_path / "alone", "clear") == {(1, filter): both[1, filter] for filter in (3, 4, 5)}


def test_a_finished_folder_is_only_validated(small: Path) -> None:
    before = files_of(small)
    ended = amaxds("build", small, *SMALL)
    assert ended.returncode == 0
    assert ended.stderr == ""
    assert "block1_conv2" in ended.stdout
    assert files_of(small) == before


def test_the_recorded_command_with_other_workers_and_another_seed_of_the_process_makes_the_same_bytes(
    small: Path, tmp_path: Path
) -> None:
    command = json.loads((small / "build.json").read_text())["command"].split()
    folder = tmp_path / small.name
    ended = amaxds("build", folder, *command[2:], "--workers", "1", PYTHONHASHSEED="12", OMP_NUM_THREADS="1")
    assert ended.returncode == 0, ended.stderr
    assert files_of(folder) == files_of(small)


def test_build_json_tells_how_the_dataset_was_made(small: Path) -> None:
    stored = json.loads((small / "build.json").read_text())
    assert stored["network"]["name"] == "demo"
    assert len(stored["network"]["weights_sha256"]) == 64
    assert stored["recipes"][0]["steps"] == 3
    assert stored["scope"]["complete"] is False
    assert stored["images"] == 24
    assert {"tensorflow", "keras", "numpy", "pillow"} <= stored["software"].keys()
    assert stored["device"]["kind"] in ("cpu", "gpu")
    assert stored["command"].startswith("amaxds build --network demo")


def test_folders_that_cannot_be_used_are_refused_untouched(tmp_path: Path, assert_error: Check) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("mine")
    assert_error(amaxds("build", tmp_path / "thesis", *SMALL), 2, "is not empty", "'chapter.txt'")
    assert os.listdir(tmp_path / "thesis") == ["chapter.txt"]
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / ".amaxds").mkdir()
    (tmp_path / "page" / "README.md").write_text("mine")
    assert_error(amaxds("build", tmp_path / "page", *SMALL), 2, "is not empty and holds no build")
    assert (tmp_path / "page" / "README.md").read_text() == "mine"
    (tmp_path / "file").write_text("mine")
    assert_error(amaxds("build", tmp_path / "file", *SMALL), 2, "is not a folder")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / ".amaxds").write_text("mine")
    assert_error(amaxds("build", tmp_path / "odd", *SMALL), 2, ".amaxds is not a folder")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    assert_error(amaxds("build", tmp_path / "link", *SMALL), 2, "is not a folder")
    assert_error(amaxds("build", tmp_path / "two\nlines", *SMALL), 2, "cannot be printed")
    assert_error(amaxds("build", "/proc/nowhere", *SMALL), 3, "cannot write /proc/nowhere")
    assert_error(amaxds("build", tmp_path / ("n" * 300), *SMALL), 3, "File name too long")


def test_jax_makes_the_same_images_without_tensorflow(small: Path, tmp_path: Path) -> None:
    """Other software, other rounding: after three steps the images are the same but for single grey levels."""
    folder = tmp_path / small.name
    ended = amaxds("build", folder, *SMALL, KERAS_BACKEND="jax", TF_CPP_MIN_LOG_LEVEL="0")
    assert ended.returncode == 0, ended.stderr
    software = json.loads((folder / "build.json").read_text())["software"]
    assert software["backend"] == "jax"
    assert "tensorflow" not in software
    ours, theirs = (read_rows(each) for each in (folder, small))
    assert ours.keys() == theirs.keys()
    for key, row in ours.items():
        other = theirs[key]
        assert row["status"] == other["status"]
        assert row["activation"] == pytest.approx(other["activation"], rel=1e-3, abs=1e-6)
        apart = np.abs(decode_png(row["image"]["bytes"]).astype(int) - decode_png(other["image"]["bytes"]))
        assert (apart <= 1).mean() > 0.98


@pytest.mark.system
def test_jax_finds_compiled_programs_again_unless_they_are_damaged(tmp_path: Path) -> None:
    one = ("--network", "demo", "--recipe", "original", "--steps", "2", "--layers", "block1_conv1", "--filters", "0")

    def build(name: str, home: Path) -> tuple[dict[str, bytes], set[Path]]:
        ended = amaxds("build", tmp_path / name / "out", *one, KERAS_BACKEND="jax", XDG_CACHE_HOME=str(home))
        assert ended.returncode == 0, ended.stderr
        assert "Warning" not in ended.stderr
        return files_of(tmp_path / name / "out"), set(home.rglob("*-cache"))

    made, kept = build("made", tmp_path / "home")
    assert {"jit_step", "jit_score", "jit_render"} <= {path.name.partition("-")[0] for path in kept}
    assert build("found", tmp_path / "home") == (made, kept)
    for path in kept:
        path.write_bytes(path.read_bytes()[:-100])
    assert build("damaged", tmp_path / "home")[0] == made
    (tmp_path / "no folder").touch()
    assert build("not kept", tmp_path / "no folder")[0] == made


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "weird, name {{x}} é <b> _`|"
    ended = amaxds("build", folder, "--network", "demo", "--layers", "block1_conv1", "--filters", "2", "--steps", "1")
    assert ended.returncode == 0, ended.stderr
    assert "# weird, name {{x}} é \\<b\\> \\_\\`\\|\n" in (folder / "README.md").read_text()


@pytest.mark.long
def test_vgg16_with_random_weights_from_the_last_layer(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    arguments = (
        "--network",
        "vgg16",
        "--weights",
        "random",
        "--layers",
        "block5_conv3",
        "--filters",
        "2",
        "--steps",
        "1",
        "--recipe",
        "original",
    )
    ended = amaxds("build", tmp_path / "out", *arguments, "--seed", "3")
    assert ended.returncode == 0, ended.stderr
    (file,) = (tmp_path / "out" / "original").glob("*.parquet")
    (row,) = pq.read_table(file).to_pylist()
    assert decode_png(row["image"]["bytes"]).shape == (174, 174, 3)
    assert load_weights(VGG16, "random", 3).digest in (tmp_path / "out" / "build.json").read_text()
