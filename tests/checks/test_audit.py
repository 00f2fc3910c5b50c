"""An audit passes what a build made, and finds what validation alone cannot."""

from __future__ import annotations

import functools
import json
import shutil
from collections import Counter
from collections.abc import Callable
from operator import add, mul
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from amaxds.checks.audit import AuditReport, Remade, audit, draw_sample
from amaxds.dataset.build_info import BuildInfo
from amaxds.dataset.build_reader import require_build_info
from amaxds.dataset.bundle import bundle
from amaxds.dataset.reader import DatasetReader, open_dataset
from amaxds.spec.network import Layer
from amaxds.spec.recipes import RECIPES, Recipe
from support.commands import ROOT, amaxds
from support.folders import files_of
from support.forge import forge, set_image, sorted_rows
from support.shared import made_once

Row = dict[str, Any]
Check = Callable[..., None]
DEMO_WEIGHTS = ROOT / "builder" / "amaxds" / "data" / "demo.safetensors"
ONE = ("--network", "demo", "--layers", "block1_conv1", "--filters", "2", "--steps", "1")
TINY = ("--network", "demo", "--layers", "block1_conv2,block2_conv2", "--filters", "0-3", "--steps", "4")
ALL = ("--sample", "99", "--seed", "1")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build of four filters of two layers under both recipes."""

    def make(folder: Path) -> None:
        ended = amaxds("build", folder / "demo-filter-activations", *TINY, "--recipe", "original", "--recipe", "clear")
        assert ended.returncode == 0, ended.stderr

    return made_once(tmp_path_factory, "both", make) / "demo-filter-activations"


@pytest.mark.parametrize("form", ["folder", pytest.param("bundle", marks=pytest.mark.system), "zip"])
def test_what_was_built_here_has_the_same_bits_in_every_form(both: Path, tmp_path: Path, form: str) -> None:
    path = both
    if form != "folder":
        bundle(both, require_build_info(both), path := tmp_path / "bundle")
    if form == "zip":
        path = Path(shutil.make_archive(str(tmp_path / "archive"), "zip", path))
    ended = amaxds("audit", path, *ALL)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    lines = ended.stdout.splitlines()
    images = 16 if form == "folder" else 8
    assert lines[-2:] == [
        "the software and device of the build: bits must match",
        f"{images} images made again (--seed 1): {images} the same bits, 0 failed",
    ]
    assert all(line.startswith("ok ") and line.endswith(": same bits") for line in lines[:-2])


def test_the_sample_has_every_layer_alike_and_is_decided_by_its_seed(both: Path) -> None:
    info = require_build_info(both)
    for count in (1, 3, 4, 7, 12, 16, 40):
        drawn = draw_sample(info, count, seed=5)
        assert sum(map(len, drawn.values())) == min(count, 16)
        sizes = [len(drawn.get((recipe, layer), ())) for recipe in info.recipes for layer in info.scope]
        assert max(sizes) - min(sizes) <= 1
        assert drawn == draw_sample(info, count, seed=5)
    often = Counter(
        (stratum, filter) for seed in range(400) for stratum, kept in draw_sample(info, 4, seed).items() for filter in kept
    )
    assert len(often) == 16
    assert min(often.values()) > 60, "of 400 draws of one in four"


def test_a_small_sample_has_as_many_layers_as_images(both: Path) -> None:
    info = require_build_info(both)
    for seed in range(30):
        assert {layer for _, layer in draw_sample(info, 2, seed)} == {"block1_conv2", "block2_conv2"}


def test_false_ranks_of_images_beside_the_sample_are_found(both: Path, tmp_path: Path) -> None:
    info = require_build_info(both)
    (place, entry), *_ = ((n, each) for n, each in enumerate(info.outranked["original"]) if each.layer == "block2_conv2")
    drawn = (draw_sample(info, 4, seed)["original", entry.layer] for seed in range(99))
    seed = next(seed for seed, filters in enumerate(drawn) if entry.filter not in filters)
    forged = forge(both, tmp_path / "rank", _exchange_ranks)
    renamed = shutil.copytree(both, tmp_path / "best")
    stored = json.loads((renamed / "build.json").read_text())
    other = next(each for each in range(4) if each not in (entry.best, entry.filter))
    stored["outranked"]["original"][place]["best"] = other
    (renamed / "build.json").write_text(json.dumps(stored, indent=2) + "\n")
    image = f"original {entry.layer}/{entry.filter}"
    for folder, words in (
        (forged, f"{image}: activation_rank is 1, the stored images give {entry.rank}"),
        (renamed, f"{image}: outranked by filter {other}, says build.json, the stored images say by {entry.best}"),
    ):
        assert amaxds("validate", folder).returncode == 0
        ended = amaxds("audit", folder, "--sample", 4, "--seed", seed)
        assert ended.returncode == 1, ended.stdout
        *_, result = lines = ended.stdout.splitlines()
        assert f"failed {words}" in lines
        assert result.endswith(
            f", 0 failed; {sum(each.startswith('failed') for each in lines)} false of the ranks of other images"
        )
        assert amaxds("audit", folder, "--sample", 4, "--seed", seed, "--json").returncode == 1
    ended = amaxds("diff", both, renamed)
    assert f"best {entry.best} -> {other}" in ended.stdout


def test_another_sample_is_drawn_each_time_and_can_be_repeated(both: Path) -> None:
    def audited(*arguments: object) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(amaxds("audit", both, "--sample", "1", "--json", *arguments).stdout)
        return found

    one, other = audited(), audited()
    assert one["seed"] != other["seed"]
    assert audited("--seed", one["seed"]) == one


def _row(rows: list[Row]) -> Row:
    return next(row for row in rows if row["status"] == "alive")


def _raise_activation(rows: list[Row]) -> None:
    _row(rows)["activation"] *= 2


def _raise_start(rows: list[Row]) -> None:
    _row(rows)["activation_start"] *= 1.01


def _exchange_ranks(rows: list[Row]) -> None:
    """Every image of the last layer is said to be the best for its filter."""
    for row in rows[4:]:
        row["activation_rank"] = 1


FORGERIES: dict[str, tuple[Callable[[list[Row]], None], str, int]] = {
    "activation": (_raise_activation, "activation is", 2),
    "start": (_raise_start, "activation_start is", 2),
    "ranks": (_exchange_ranks, "activation_rank is 1, the stored images give", 1),
}
"""What is changed, what the audit says of it, and for how many images: under `clear` all ranks were 1 before."""


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same filters of one layer under `clear` with another seed."""

    def make(folder: Path) -> None:
        ended = amaxds("build", folder / "other", *TINY, "--layers", "block1_conv2", "--recipe", "clear", "--seed", "7")
        assert ended.returncode == 0, ended.stderr

    return made_once(tmp_path_factory, "other", make) / "other"


def _forged(both: Path, other: Path, out: Path, image_of: int, forgeries: tuple[str, ...]) -> Path:
    """The dataset with these forgeries, and with another seed's image of a filter in the place of filter 1's, under `clear`."""

    def exchange(rows: list[Row]) -> None:
        if rows[1]["recipe"] == "clear":
            set_image(rows[1], sorted_rows(other, "clear")[image_of]["image"])

    forged = forge(both, out / "image", exchange)
    for forgery in forgeries:
        forged = forge(forged, out / forgery, FORGERIES[forgery][0])
    assert amaxds("validate", forged).returncode == 0
    return forged


@pytest.mark.parametrize("forgeries", [("activation", "ranks"), pytest.param(("start",), marks=pytest.mark.long)])
def test_forged_evidence_and_an_image_of_another_seed_are_found_on_the_same_software(
    both: Path, other: Path, tmp_path: Path, forgeries: tuple[str, ...]
) -> None:
    forged = _forged(both, other, tmp_path, 1, forgeries)
    ended = amaxds("audit", forged, *ALL, "--json")
    assert ended.returncode == 1, ended.stderr
    report = json.loads(ended.stdout)
    assert report["passed"] is False
    failed = {(each["recipe"], each["layer"], each["filter"]): each for each in report["images"] if each["problems"]}
    problems = "\n".join(problem for each in failed.values() for problem in each["problems"])
    assert len(failed) == sum(FORGERIES[forgery][2] for forgery in forgeries) + 1
    assert all(problems.count(words) >= times for words, times in (FORGERIES[forgery][1:] for forgery in forgeries))
    exchanged = failed["clear", "block1_conv2", 1]
    assert exchanged["psnr"] < 40
    assert any("pixels_sha256 is" in problem for problem in exchanged["problems"])


@pytest.mark.parametrize("forgeries", [("start",), pytest.param(("activation", "ranks"), marks=pytest.mark.long)])
def test_forged_evidence_and_an_image_of_another_filter_are_found_on_other_software(
    both: Path, other: Path, tmp_path: Path, forgeries: tuple[str, ...]
) -> None:
    """By what the image excites; all other images are within their tolerances."""
    ended = amaxds("audit", _forged(both, other, tmp_path, 2, forgeries), *ALL, KERAS_BACKEND="jax")
    assert ended.returncode == 1, ended.stderr
    assert "other software or device than the build's (backend tensorflow, here jax" in ended.stdout
    assert "but the stored image excites" in ended.stdout
    assert all(ended.stdout.count(f"       {words}") >= times for words, times in (FORGERIES[each][1:] for each in forgeries))
    failed = [line for line in ended.stdout.splitlines() if line.startswith("failed")]
    assert len(failed) == sum(FORGERIES[forgery][2] for forgery in forgeries) + 1
    assert sum(line.startswith("failed clear block1_conv2/1: ") for line in failed) == 1


Change = tuple[str, Callable[[Any], Any]]
"""A column, and what becomes of its value."""


def _audited(
    both: Path, changes: dict[tuple[str, str, int], Change], elsewhere: bool, only: str | None = None
) -> dict[tuple[str, str, int], Remade]:
    """The audit in this process of the dataset with these changes, as if made here, or on another device."""
    with open_dataset(both) as dataset:

        def rows(recipe: Recipe, layer: Layer) -> list[Row]:
            found = dataset.rows(recipe, layer)
            for row in found:
                column, changed = changes.get((recipe.name, layer.name, row["filter"]), ("status", str))
                row[column] = changed(row[column])
            return found

        info = _on_device(dataset.info, elsewhere)
        report = audit(DatasetReader(info.of_recipe(only) if only else info, rows), 99, 1, workers=2)
    assert report.passed == (not any(each.problems for each in report.images))
    assert len(report.differs) == elsewhere
    return {(each.recipe, each.layer, each.filter): each for each in report.images}


def _on_device(info: BuildInfo, elsewhere: bool) -> BuildInfo:
    """As if the build had run in this process, whose variables are its own, or on another processor."""
    from amaxds.compute import environment

    said = info.as_json() | {"software": environment.software(), "device": environment.device()}
    if elsewhere:
        said["device"]["model"] = "Babbage"
    return BuildInfo.model_validate(said)


@pytest.mark.usefixtures("_backend")
def test_on_other_software_each_value_has_its_own_tolerance(both: Path) -> None:
    """Relative, but for the index: 0.001 of the start, 0.1 of the activation, and 0.01 of what the image itself excites."""
    stored = {(row["recipe"], row["layer"], row["filter"]): row for recipe in RECIPES for row in sorted_rows(both, recipe)}
    living = [key for key, row in stored.items() if key[0] == "original" and row["status"] == "alive"]
    clear = [[("clear", layer, filter) for filter in range(4)] for layer in ("block1_conv2", "block2_conv2")]
    strong = [max(keys, key=lambda key: stored[key]["activation"]) for keys in clear]
    indices, (status, rank, *_) = ([key for key in keys if key not in strong] for keys in clear)
    by = [("activation_start", 1.0005), ("activation_start", 1.002), ("activation", 1.09), ("activation", 1.13)]
    changes = {key: (column, functools.partial(mul, by)) for key, (column, by) in zip(living[:4], by, strict=True)}
    changes |= {key: ("activation", functools.partial(mul, by)) for key, by in zip(strong, (1.008, 1.02), strict=True)}
    changes |= {
        key: ("uniformity_index", functools.partial(add, by)) for key, by in zip(indices, (-0.09, 0.11, 0.09), strict=True)
    }
    changes |= {status: ("status", lambda value: "dead"), rank: ("activation_rank", functools.partial(add, 1))}
    found = {key: each.problems for key, each in _audited(both, changes, elsewhere=True).items() if each.problems}
    expected = {
        living[1]: "activation_start is ",
        living[3]: "activation is ",
        strong[1]: "activation is ",
        indices[1]: "uniformity_index is ",
        status: "status is dead, made again alive",
        rank: f"activation_rank is {stored[rank]['activation_rank'] + 1}, the stored images give ",
    }
    assert found.keys() == expected.keys()
    for key, words in expected.items():
        assert [problem.startswith(words) for problem in found[key]] == [True]
    assert found[strong[1]][0].partition(", ")[2].startswith("but the stored image excites ")


@pytest.mark.usefixtures("_backend")
@pytest.mark.parametrize("elsewhere", [True, False])
def test_two_images_that_excite_a_filter_alike_may_have_either_rank_elsewhere_only(both: Path, elsewhere: bool) -> None:
    """The image of filter 0 stands in the place of filter 1, too, and one of them is said to be second for filter 0."""
    first = {row["filter"]: row["image"] for row in sorted_rows(both, "clear")[:4]}[0]
    at = ("clear", "block1_conv2")
    assert sorted_rows(both, "clear")[0]["activation_rank"] == 1
    changes: dict[tuple[str, str, int], Change] = {
        (*at, 0): ("activation_rank", lambda rank: rank + 1),
        (*at, 1): ("image", lambda image: first),
    }
    found = _audited(both, changes, elsewhere, only="clear")[(*at, 0)]
    assert found.made["activation_rank"] == 1
    assert found.problems == (() if elsewhere else ("activation_rank is 2, the stored images give 1",))


def test_the_report_says_what_was_found_image_by_image() -> None:
    stored = {"status": "alive", "activation_start": 1.0, "activation": 2.0, "activation_rank": 1, "uniformity_index": 0.5}
    same = Remade("clear", "conv", 3, None, stored, stored, 2.0, ())
    apart = Remade("clear", "conv", 14, 23.456, stored, stored | {"activation": 2.5}, 2.0, ("activation is wrong",))
    assert AuditReport(7, (), [same], []).passed
    assert not AuditReport(7, (), [same], ["clear block1_conv1/3: activation_rank is 1"]).passed
    report = AuditReport(7, ("device.model A, here B", "keras 1, here 2"), [same, apart], [])
    assert not report.passed
    assert report.as_json()["passed"] is False
    assert report.lines() == [
        "ok     clear conv/3: same bits",
        "failed clear conv/14: PSNR 23.5 dB, activation 2 -> 2.5",
        "       activation is wrong",
        "other software or device than the build's (device.model A, here B, keras 1, here 2): compared within tolerances",
        "2 images made again (--seed 7): 1 the same bits, 1 failed",
    ]


def test_what_validation_finds_ends_the_audit(both: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(both, tmp_path / "copy")
    (folder / "croissant.json").unlink()
    ended = amaxds("audit", folder)
    assert ended.returncode == 1
    assert "croissant croissant.json: is missing" in ended.stdout
    for command in (("audit", folder), ("classify", folder, tmp_path / "out")):
        ended = amaxds(*command, "--json")
        assert (ended.returncode, ended.stderr) == (1, "")
        assert json.loads(ended.stdout) == json.loads(amaxds("validate", folder, "--json").stdout)


def test_a_dataset_of_a_weights_file_is_audited_with_that_file_only(tmp_path: Path, assert_error: Check) -> None:
    tensors = {name: tensor * np.float32(1.25) for name, tensor in load_file(DEMO_WEIGHTS).items()}
    weights, folder = tmp_path / "mine.safetensors", tmp_path / "out"
    save_file(tensors, weights)
    assert amaxds("build", folder, *ONE, "--weights", weights).returncode == 0
    assert json.loads((folder / "build.json").read_text("utf-8"))["network"]["weights"] == "mine.safetensors"
    assert_error(amaxds("audit", folder), 2, "built with a weights file, mine.safetensors", "--weights FILE")
    assert amaxds("audit", folder, "--weights", weights).returncode == 0
    assert_error(amaxds("audit", folder, "--weights", "random"), 2, "these weights have the digest", "--weights FILE")


def test_a_file_of_the_pretrained_tensors_is_recorded_as_these_and_audited_without_it(tmp_path: Path) -> None:
    weights, folder = shutil.copy(DEMO_WEIGHTS, tmp_path / "mine.safetensors"), tmp_path / "out"
    assert amaxds("build", folder, *ONE, "--weights", weights).returncode == 0
    stored = json.loads((folder / "build.json").read_text("utf-8"))
    assert (stored["network"]["weights"], stored["network"]["weights_file"]) == ("pretrained", "mine.safetensors")
    assert "--weights pretrained" in stored["command"]
    before = files_of(folder)
    assert amaxds("audit", folder).returncode == 0
    assert amaxds("build", folder, *ONE).returncode == 0  # The same build, whose files stay as they are.
    assert files_of(folder) == before
    forged = (folder / "build.json").read_text("utf-8").replace('"weights": "pretrained"', '"weights": "random"')
    (folder / "build.json").write_text(forged, "utf-8")
    assert 'network.weights_file is "mine.safetensors", expected nothing' in amaxds("validate", folder).stdout


def test_what_cannot_be_audited_is_refused(both: Path, tmp_path: Path, assert_error: Check) -> None:
    assert_error(amaxds("audit", both, "--sample", "0"), 2, "sample 0 is out of range")
    bundle(both, require_build_info(both), tmp_path / "bundle")
    assert amaxds("describe", tmp_path / "bundle/filterActivations", tmp_path / "out", "--network", "demo").returncode == 0
    assert_error(amaxds("audit", tmp_path / "out"), 2, "were made elsewhere")
