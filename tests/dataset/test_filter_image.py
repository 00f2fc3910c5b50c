"""Images of filters as programs and notebooks handle them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from amaxds.builds.synthesis import of_pixels
from amaxds.dataset.filter_image import FilterImage, FilterImages
from amaxds.errors import DiskError, UsageError
from amaxds.image import encode_png


def make(filter: int, frames: int = 0, side: int = 20) -> FilterImage:
    rng = np.random.default_rng(filter)
    pixels = [rng.integers(0, 256, (side, side, 3)).astype(np.uint8) for _ in range(max(frames, 1))]
    made = {"network": "demo", "layer": "block1_conv1", "filter": filter, "recipe": "clear", "seed": 0, "status": "alive"}
    made |= {"activation_start": 0.5, "activation": 2.0, "frame_pngs": tuple(map(encode_png, pixels if frames else []))}
    return FilterImage.of_row(of_pixels(pixels[-1]) | made)


def test_pixels_image_and_png_are_the_same_picture() -> None:
    image = make(3)
    assert (image.pixels.shape, image.pixels.dtype, image.image.mode) == ((20, 20, 3), np.uint8, "RGB")
    assert np.array_equal(np.asarray(image.image), image.pixels)
    assert image._repr_png_() == image.png
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(image.png))), image.pixels)
    with pytest.raises(ValueError, match="read-only"):
        image.pixels[0, 0] = 0
    assert repr(image) == "<FilterImage demo block1_conv1/3: clear, seed 0, alive, activation 0.5 -> 2>"
    assert image == make(3) != make(4)


@pytest.mark.parametrize("ending", [".gif", ".webp", ".png"])
def test_an_animation_has_the_frames_and_ends_with_the_image(ending: str, tmp_path: Path) -> None:
    image = make(1, frames=4)
    image.save_animation(tmp_path / f"a{ending}", milliseconds=50)
    with Image.open(tmp_path / f"a{ending}") as animation:
        seen = [np.asarray(each.convert("RGB")) for each in ImageSequence.Iterator(animation)]
    assert len(seen) == len(image.frames) == 4
    if ending != ".gif":
        for frame, kept in zip(seen, image.frames, strict=True):
            assert np.array_equal(frame, kept)
        assert np.array_equal(seen[-1], image.pixels)


def test_an_animation_needs_frames_a_known_ending_and_a_place(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no frames\.\nHave them kept: synthesise\(..., frames=24\)"):
        make(1).save_animation(tmp_path / "a.gif")
    with pytest.raises(UsageError, match=r"a.mp4 is no animation by its ending.\nChoose from .gif, .webp, .png."):
        make(1, frames=2).save_animation(tmp_path / "a.mp4")
    with pytest.raises(DiskError, match="cannot write"):
        make(1, frames=2).save_animation(tmp_path / "nowhere" / "a.gif")
    for time, words in ((0, "milliseconds 0 is out of range.\nGive a number from 1 to 6000."), (0.5, "no whole number")):
        with pytest.raises(UsageError, match=words):
            make(1, frames=2).save_animation(tmp_path / "a.png", time)  # type: ignore[arg-type]
    make(1, frames=2).save_animation(tmp_path / "a.png", 6000)


def test_it_is_saved_as_png_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    make(3).save("~/a.PNG")
    assert (tmp_path / "a.PNG").read_bytes() == make(3).png
    for name in ("a.jpg", "a"):
        with pytest.raises(UsageError, match=r"is no PNG file by its ending\.\nGive a name that ends with .png"):
            make(3).save(tmp_path / name)
    with pytest.raises(UsageError, match=r"path 5 is no path\.\nGive a string"):
        make(3).save(5)  # type: ignore[arg-type]
    assert [each.name for each in tmp_path.iterdir()] == ["a.PNG"]


def test_several_are_a_sequence_with_a_grid_and_a_table() -> None:
    images = FilterImages([make(filter) for filter in range(10)])
    assert len(images) == 10
    assert images[2:4] == FilterImages([make(2), make(3)])
    assert images.grid().size == (8 * 24 + 4, 2 * 24 + 4)
    assert np.array_equal(np.asarray(images.grid(columns=5).crop((4, 28, 24, 48))), images[5].pixels)
    table = images.to_pandas()
    assert (list(table.columns[:3]), list(table["filter"])) == (["network", "layer", "filter"], list(range(10)))
    shown = images._repr_html_()
    assert (shown.count("<img"), shown.count("block1_conv1/")) == (10, 20)
    with pytest.raises(UsageError, match="no images to show"):
        FilterImages([]).grid()
    for columns, words in ((0, "columns 0 is out of range"), ("2", "columns '2' is no whole number")):
        with pytest.raises(UsageError, match=words):
            images.grid(columns)  # type: ignore[arg-type]
