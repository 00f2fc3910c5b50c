"""The uniformity index against published values, and PNG reading that trusts nothing."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import amaxds
from amaxds.image import decode_png, encode_png, pixels_sha256

DATA = Path(__file__).parent / "data"


def test_index_of_published_images_is_the_published_index() -> None:
    published = json.loads((DATA / "published.json").read_text())["histograms"]
    for name, entry in published.items():
        pixels = np.stack([np.repeat(np.arange(256, dtype=np.uint8), counts) for counts in entry["counts"]], axis=1)
        image = np.random.default_rng(0).permutation(pixels).reshape(174, 174, 3)
        assert amaxds.uniformity_index(image) == pytest.approx(entry["uniformity_index"], abs=1e-12), name


def test_index_is_zero_for_uniform_histograms_and_one_for_a_constant_image() -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
    assert amaxds.uniformity_index(ramp) == 0.0
    assert amaxds.uniformity_index(np.full((9, 5, 3), 77, np.uint8)) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 200, 3), (88, 88, 3), (174, 174, 3)])
def test_index_follows_its_definition_for_any_size(shape: tuple[int, int, int]) -> None:
    image = np.random.default_rng(1).integers(0, 200, shape).astype(np.uint8)
    pixels = shape[0] * shape[1]
    deviations = [
        np.abs(np.array([(image[..., c] == value).sum() for value in range(256)]) - pixels / 256).mean() for c in range(3)
    ]
    expected = np.mean(deviations) / (2 * pixels * 255 / 256**2)
    assert amaxds.uniformity_index(image) == pytest.approx(expected, abs=1e-12)


def test_index_takes_batches_views_and_lists() -> None:
    batch = np.random.default_rng(2).integers(0, 256, (4, 30, 40, 3)).astype(np.uint8)
    single = [amaxds.uniformity_index(image) for image in batch]
    assert amaxds.uniformity_index(batch).tolist() == single
    assert amaxds.uniformity_index([batch[0], batch[1, :10, :10]])[0] == single[0]
    assert amaxds.uniformity_index(batch.transpose(0, 2, 1, 3)[:, ::-1]).tolist() == single


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((5, 5), np.uint8), np.zeros((5, 5, 4), np.uint8), np.zeros((5, 5, 3)), np.zeros((0, 5, 3), np.uint8)],
    ids=["two dimensions", "four channels", "float", "empty"],
)
def test_index_of_another_array_is_refused_with_its_shape_or_type(wrong: np.ndarray) -> None:
    known = str(wrong.shape) if wrong.dtype == np.uint8 else str(wrong.dtype)
    with pytest.raises(amaxds.errors.UsageError) as raised:
        amaxds.uniformity_index(wrong)
    assert known in raised.value.problem
    assert isinstance(raised.value, ValueError)


@pytest.mark.parametrize("wrong", ["a.png", b"png", 5, None, ["a.png"], [5]])
def test_index_of_what_is_no_image_is_refused(wrong: object) -> None:
    with pytest.raises(amaxds.errors.UsageError, match=r"is no image\.\nGive an array \(h, w, 3\) of uint8"):
        amaxds.uniformity_index(wrong)  # type: ignore[call-overload]


def test_png_keeps_every_pixel() -> None:
    image = np.random.default_rng(3).integers(0, 256, (20, 31, 3)).astype(np.uint8)
    assert np.array_equal(decode_png(encode_png(image)), image)
    assert pixels_sha256(image) == pixels_sha256(image[::-1][::-1])
    assert pixels_sha256(image) != pixels_sha256(image[::-1])


def _png(image: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x89PNG\r\n\x1a\n",
        _png(Image.new("RGB", (8, 8)))[:-30],
        _png(Image.new("L", (8, 8))),
        _png(Image.new("RGBA", (8, 8))),
        _png(Image.new("I;16", (8, 8))),
        _png(Image.new("RGB", (8, 8)), "JPEG"),
        _png(Image.new("RGB", (300, 300))),
    ],
    ids=["empty", "header only", "truncated", "grey", "alpha", "16 bit", "jpeg", "too large"],
)
def test_what_is_no_8_bit_rgb_png_of_bearable_size_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"PNG|mode|pixels"):
        decode_png(data, max_pixels=10_000)


def test_the_limit_of_pixels_is_the_callers_and_not_pillows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    png = encode_png(np.zeros((8, 8, 3), np.uint8))
    assert decode_png(png, 64).shape == (8, 8, 3)
    with pytest.raises(ValueError, match="8x8 pixels, more than 63"):
        decode_png(png, 63)
