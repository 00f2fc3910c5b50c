"""A report's numbers are those of the dataset, it is made of the same bytes again, and it overwrites nothing else."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from amaxds.analysis.gallery import write_layer
from amaxds.analysis.measures import BINS, FREQUENCIES, histogram_shares, power, radial
from amaxds.analysis.report import write_report
from amaxds.builds.own_weights import weights_or_reason
from amaxds.dataset.build_reader import require_build_info
from amaxds.dataset.bundle import bundle
from amaxds.errors import UsageError
from amaxds.image import decode_png
from amaxds.spec.recipes import Described
from support.commands import amaxds
from support.folders import files_of
from support.forge import sorted_rows

Check = Callable[..., None]
LAYERS = ("block1_conv1", "block1_conv2", "block2_conv1")


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A described dataset of VGG16: a layer with one ramp among noise that never moved, and a layer of such noise alone."""
    folder = tmp_path_factory.mktemp("described")
    random = np.random.default_rng(0)
    images = {f"{layer}/filter-{filter}": _dead(random) for layer in ("block1_conv2", "block4_conv3") for filter in (0, 3)}
    images["block1_conv2/filter-7"] = np.repeat(np.arange(64, dtype=np.uint8)[None, :, None], 64, 0).repeat(3, 2)
    for name, pixels in images.items():
        (folder / name).parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    ended = amaxds("describe", folder, folder / "dataset")
    assert ended.returncode == 0, ended.stderr
    return folder / "dataset"


@pytest.mark.parametrize("side", [1, 16])
def test_images_of_one_colour_have_a_report_without_a_spectrum(side: int, tmp_path: Path) -> None:
    for filter in (0, 1):
        (tmp_path / "in/block1_conv1").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (side, side), (filter, 99, 0)).save(tmp_path / f"in/block1_conv1/filter-{filter}.png")
    for command in (("describe", tmp_path / "in", tmp_path / "grey"), ("report", tmp_path / "grey", tmp_path / "report")):
        ended = amaxds(*command, *(("--network", "demo") if command[0] == "describe" else ()))
        assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "report/spectrum.png").exists()


@pytest.mark.usefixtures("_backend")
def test_small_images_can_be_compared_and_tiny_ones_are_said(described: Path) -> None:
    info = require_build_info(described)  # Of images of 64x64, of which VGG16's last block makes 4x4.
    assert weights_or_reason(info, "random", insist=True)[1] is None
    tiny = type(info).model_validate(info.as_json() | {"recipes": [Described(side=8).settings() | {"image_side": 8}]})
    with pytest.raises(UsageError, match="images of 8x8 are too small for layer block5_conv1"):
        weights_or_reason(tiny, "random", insist=True)


def _dead(random: np.random.Generator) -> Any:
    """Uniform noise as the original recipe saves it where nothing moved: 133 levels."""
    return (random.integers(0, 133, (64, 64, 3)) * (255 / 132)).astype(np.uint8)


def _summary(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "summary.json").read_text()))


def _table(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((folder / "summary.csv").read_text())))


def test_every_figure_is_there_for_print_and_for_screen(report: Path) -> None:
    names = ("index", "histograms-original", "depth", "spectrum")
    beside = {path.name for path in report.iterdir() if path.is_file()}
    figures = {f"{name}.{kind}" for name in names for kind in ("png", "svg", "pdf")}
    assert beside == {"index.html", "summary.json", "summary.csv"} | figures
    for name in names:
        width = 180 if name == "histograms-original" else 85
        with Image.open(report / f"{name}.png") as image:
            assert abs(image.width / 300 * 25.4 - width) < 0.2, "mm at 300 dots per inch"
        svg, pdf = (report / f"{name}.svg").read_text(), (report / f"{name}.pdf").read_bytes()
        assert any(f">{text}" in svg for text in ("uniformity index</text>", "block1_conv2", "recipe original")), "text is text"
        assert pdf.startswith(b"%PDF")
        assert not [word for word in ("Date", "Matplotlib") if f"<dc:{word}" in svg or f"/{word}".encode() in pdf]


def test_the_numbers_are_those_of_the_records(small: Path, report: Path) -> None:
    summary, rows = _summary(report), sorted_rows(small, "original")
    assert (summary["network"], summary["seed"], summary["complete"]) == ("demo", 0, False)
    assert "published" not in summary
    assert list(summary["recipes"]["original"]) == list(LAYERS)
    for layer, found in summary["recipes"]["original"].items():
        due = [row for row in rows if row["layer"] == layer]
        alive = [row["status"] == "alive" for row in due]
        assert found["filters"] == [row["filter"] for row in due]
        assert found["status"] == [row["status"] for row in due]
        assert found["uniformity_index"] == [row["uniformity_index"] for row in due]
        gains = [row["activation"] - row["activation_start"] if lives else None for row, lives in zip(due, alive, strict=True)]
        assert found["activation_gain"] == pytest.approx(gains)
        ranks = [row["activation_rank"] if lives else None for row, lives in zip(due, alive, strict=True)]
        assert found["activation_rank"] == ranks
        assert found["mean_index"] == pytest.approx(sum(found["uniformity_index"]) / len(due))
        assert (found["dead"], found["dead_share"]) == (alive.count(False), alive.count(False) / len(due))
        assert found["ranked_first_share"] == ranks.count(1) / len(due)


def test_histograms_and_spectra_are_those_of_the_images(small: Path, report: Path) -> None:
    rows = [row for row in sorted_rows(small, "original") if row["status"] == "alive"]
    for layer, found in _summary(report)["recipes"]["original"].items():
        images = [np.array(Image.open(io.BytesIO(row["image"]))) for row in rows if row["layer"] == layer]
        for colour, name in enumerate(("red", "green", "blue")):
            values = np.concatenate([image[..., colour].ravel() for image in images])
            shares = [float((values == level).mean()) for level in range(256)]
            assert found["histogram"][name] == pytest.approx(shares)
            assert found["coarse_histogram"][name][0] == pytest.approx(np.mean(shares[1:8]))
            assert found["coarse_histogram"][name][5] == pytest.approx(np.mean(shares[40:48]))
        assert found["power"] == pytest.approx(_naive_power(np.array(images)), rel=1e-4)


def _naive_power(images: Any) -> list[float]:
    """Radial mean of the power of (n, side, side, 3) uint8 from the whole plane of frequencies, in double precision."""
    side = images.shape[1]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(side) + 0.5) / side)
    window = hann[:, None] * hann
    values = images / 255
    values = (values - values.mean(axis=(1, 2), keepdims=True)) * window[..., None]
    plane = (np.abs(np.fft.fft2(values, axes=(1, 2))) ** 2).mean(axis=(0, 3)) / (window**2).sum()
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
    return [float(plane[(radius > k / 64) & (radius <= (k + 1) / 64)].mean()) for k in range(32)]


def test_the_table_holds_the_numbers_of_the_nested_summary(report: Path) -> None:
    table, layers = _table(report), _summary(report)["recipes"]["original"]

    def column(figure: str, layer: str, quantity: str) -> list[tuple[str, float]]:
        place = (figure, "original", layer, quantity)
        chosen = [row for row in table if (row["figure"], row["recipe"], row["layer"], row["quantity"]) == place]
        return [(row["position"], float(row["value"])) for row in chosen]

    for layer, found in layers.items():
        filters = list(map(str, found["filters"]))
        for figure in ("index", "depth"):
            assert column(figure, layer, "uniformity_index") == list(zip(filters, found["uniformity_index"], strict=True))
        for quantity in ("activation_gain", "activation_rank"):
            pairs = zip(filters, found[quantity], strict=True)
            assert column("depth", layer, quantity) == [pair for pair in pairs if pair[1] is not None]
        assert column("index", layer, "mean_index") == [("", found["mean_index"])]
        assert column("depth", layer, "dead_share") == [("", found["dead_share"])]
        assert column("depth", layer, "ranked_first_share") == [("", found["ranked_first_share"])]
        for colour, shares in found["histogram"].items():
            assert [value for _, value in column("histograms-original", layer, colour)] == shares
        assert column("spectrum", layer, "power") == [(str(f), v) for f, v in zip(FREQUENCIES, found["power"], strict=True)]


def test_the_same_dataset_in_another_form_gives_the_same_bytes_and_an_earlier_report_is_replaced(
    small: Path, report: Path, tmp_path: Path
) -> None:
    again = shutil.copytree(report, tmp_path / "again")
    (again / "depth.png").unlink()
    ended = amaxds("report", shutil.make_archive(str(tmp_path / "zip"), "zip", _bundled(small, tmp_path)), again, "--sheets")
    assert ended.returncode == 0, ended.stderr
    files = files_of(again)
    sheets = {name: files.pop(name) for name in list(files) if name.startswith("sheets/")}
    assert files == files_of(report)
    assert set(sheets) == {f"sheets/original-{layer}.png" for layer in LAYERS}
    last = [row for row in sorted_rows(small, "original") if row["layer"] == LAYERS[1]][-1]
    shown = decode_png(sheets[f"sheets/original-{LAYERS[1]}.png"])
    assert np.array_equal(shown[34 : 34 + 88, 10 + 7 * 96 :][:, :88], decode_png(last["image"])), "the eighth, at the right"
    assert {path.name for path in tmp_path.iterdir()} == {"again", "bundle", "zip.zip"}


def _bundled(small: Path, tmp_path: Path) -> Path:
    bundle(small, require_build_info(small), tmp_path / "bundle")
    return tmp_path / "bundle"


NOWHERE = {"https_proxy": "http://127.0.0.1:9"}
"""Nothing listens there, whatever network the machine has."""


def test_what_was_described_has_no_activations_and_published_values_beside_it(
    described: Path, tmp_path: Path, assert_error: Check
) -> None:
    asked = amaxds("report", described, "--neighbours", cwd=tmp_path, **NOWHERE)
    assert_error(asked, 3, "vgg16_weights", "could not be downloaded")
    assert not (tmp_path / "report").exists()
    ended = amaxds("report", described, cwd=tmp_path, **NOWHERE)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.startswith("amaxds: images most alike are not shown: VGG16's ImageNet weights vgg16_weights")
    assert ended.stderr.count("\n") == 1
    summary = _summary(tmp_path / "report")
    assert summary["published"]["mean_index"] == {"block1_conv2": 0.72, "block4_conv3": 0.48}
    mixed, dead = summary["recipes"]["described"].values()
    assert (mixed["averaged_over"], dead["averaged_over"]) == ("alive", "dead")
    assert mixed["status"] == ["dead", "dead", "alive"]
    assert mixed["activation_gain"] is mixed["activation_rank"] is mixed["ranked_first_share"] is None
    assert mixed["histogram"]["green"] == [1 / 64] * 64 + [0] * 192
    assert sum(share > 0 for share in dead["histogram"]["red"]) == 133
    drawn = {(row["figure"], row["quantity"]) for row in _table(tmp_path / "report")}
    assert ("index", "published_mean_index") in drawn
    assert ("depth", "published_dead_share_estimated") in drawn
    assert not any("activation" in quantity or "rank" in quantity for _, quantity in drawn)


def test_a_report_is_put_in_the_place_of_nothing_else(
    small: Path, report: Path, tmp_path: Path, assert_error: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files_of(report)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/summary.json").write_text('{"format": 2}')
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(report)
    assert_error(amaxds("report", small, tmp_path / "mine"), 2, "mine is already there and is no report", "another OUT")
    assert_error(amaxds("report", small, small), 2, "is the dataset itself.\nChoose another OUT.")
    for taken in (tmp_path / "file", tmp_path / "link"):
        with pytest.raises(UsageError, match=f"{taken.name} is already there and is no report"):
            write_report(small, "small", taken)
    with pytest.raises(UsageError, match="is inside the dataset"):
        write_report(small, "small", small / "report")
    monkeypatch.chdir(report)
    for here in (".", report.parent):
        with pytest.raises(UsageError, match="is the folder that you are in, or holds it"):
            write_report(small, "small", Path(here))
    assert (tmp_path / "mine/summary.json").read_text() == '{"format": 2}'
    assert files_of(report) == before


def test_weights_that_nothing_would_need_are_refused(small: Path, tmp_path: Path, assert_error: Check) -> None:
    for words in (
        ("report", small, tmp_path / "out", "--no-neighbours"),
        ("classify", small, tmp_path / "out", "--model", "index"),
    ):
        assert_error(amaxds(*words, "--weights", "no.safetensors"), 2, "weights are given, and ", "--weights")
    assert not list(tmp_path.iterdir())


def test_the_page_is_given_seeds_as_text_that_nothing_rounds(small: Path, tmp_path: Path) -> None:
    rows = [row | {"seed": 2**63 - 1} for row in sorted_rows(small, "original")[:2]]
    columns = write_layer(tmp_path, "original", "block1_conv1", rows, [decode_png(row["image"]) for row in rows])
    assert columns["seed"] == ["9223372036854775807"] * 2


def test_no_report_is_made_of_what_is_not_valid(small: Path, tmp_path: Path, assert_error: Check) -> None:
    folder = shutil.copytree(small, tmp_path / "copy")
    (folder / "croissant.json").unlink()
    ended = amaxds("report", folder, tmp_path / "out")
    assert ended.returncode == 1
    assert "croissant croissant.json: is missing" in ended.stdout
    assert not (tmp_path / "out").exists()
    assert_error(amaxds("report", tmp_path / "nowhere", tmp_path / "out"), 2, "nowhere")


@pytest.mark.parametrize("frequency", [5 / 64, 16 / 64, 31 / 64])
def test_the_spectrum_of_a_wave_has_its_peak_at_the_waves_frequency_and_the_waves_power(frequency: float) -> None:
    side = 128
    for angle in (0.0, 0.7):
        along, down = np.meshgrid(np.arange(side) + 0.5, np.arange(side) + 0.5)
        moved = 2 * np.pi * frequency * (along * np.cos(angle) + down * np.sin(angle))
        wave = np.round(127.5 + 100 * np.sin(moved)).astype(np.uint8)
        plane = power(np.repeat(wave[..., None], 3, 2))
        found = radial(plane)
        assert abs(FREQUENCIES[np.argmax(found)] - frequency) <= 1 / 128 + 1e-9
        assert np.median(found) < found.max() / 1e4


def test_white_noise_has_its_variance_as_power_at_every_frequency_whatever_its_side() -> None:
    random = np.random.default_rng(1)
    for side in (88, 113):
        images = random.integers(0, 256, (60, side, side, 3)).astype(np.uint8)
        found = radial(np.mean([power(image) for image in images], axis=0))
        assert found[2:] == pytest.approx(np.full(BINS - 2, (256**2 - 1) / 12 / 255**2), rel=0.1)


def test_frequencies_that_a_small_image_has_not_are_not_known() -> None:
    found = radial(power(np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)))
    assert np.isnan(found[0])
    assert np.isfinite(found[7])
    assert np.isnan(radial(power(np.zeros((1, 1, 3), np.uint8)))).all()


def test_a_histogram_is_of_shares() -> None:
    image = np.zeros((2, 4, 3), np.uint8)
    image[0, 0] = (255, 7, 0)
    found = histogram_shares(image)
    assert (found[0, 255], found[0, 0], found[1, 7], found[2, 0]) == (1 / 8, 7 / 8, 1 / 8, 1)
    assert found.sum(axis=1) == pytest.approx([1, 1, 1])
