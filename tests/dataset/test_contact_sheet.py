"""The contact sheet shows the whole of every image in its place, and says which filters are dead."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from amaxds.dataset.contact_sheet import Tile, _facts, contact_sheet, make_tile, most_pixels, shown_filters
from amaxds.image import Pixels, decode_png
from amaxds.spec.network import DEMO

PAPER, RED = (255, 255, 255), (200, 30, 30)


def _sheet(layers: dict[str, list[Tile]], per_row: int = 10) -> Pixels:
    return decode_png(contact_sheet(DEMO, layers, per_row))


def _noise(*shape: int) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


@pytest.mark.parametrize(("shape", "by"), [((112, 112), 1), ((174, 174), 2), ((224, 224), 2), ((112, 230), 3)])
def test_a_tile_is_the_whole_image_made_smaller_by_a_whole_number(shape: tuple[int, int], by: int) -> None:
    image = _noise(*shape, 3)
    picture = make_tile(5, image, dead=True).picture
    assert picture is not None
    height, width = (-(-side // by) for side in shape)
    assert picture.size == (width, height)
    whole = image[: shape[0] // by * by, : shape[1] // by * by].astype(np.float64)
    due = whole.reshape(shape[0] // by, by, shape[1] // by, by, 3).mean(axis=(1, 3))
    assert np.abs(np.asarray(picture)[: due.shape[0], : due.shape[1]] - due).max() < 1, "means, rounded"


def test_a_small_image_is_shown_larger_by_a_whole_number() -> None:
    image = _noise(30, 20, 3)
    assert np.array_equal(np.asarray(make_tile(0, image, dead=False).picture), image.repeat(3, 0).repeat(3, 1))


def test_every_image_stands_in_its_place_and_only_dead_ones_are_framed() -> None:
    images = _noise(16, 88, 88, 3)
    tiles = [make_tile(number, image, dead=number in (1, 11, 14)) for number, image in enumerate(images)]
    sheet = _sheet({"block1_conv1": tiles[:12], "block1_conv2": tiles[12:]})
    across, down = 88 + 8, 88 + 17 + 8
    assert sheet.shape == (2 * 34 + 3 * down + 10, 10 * across - 8 + 20, 3)
    for number, image in enumerate(images):
        row, column = divmod(number, 10) if number < 12 else (2, number - 12)
        y, x = 34 + row * down + 34 * (number >= 12), 10 + column * across
        framed = sheet[y - 3 : y + 91, x - 3 : x + 91].copy()
        assert np.array_equal(framed[3:91, 3:91], image)
        framed[3:91, 3:91] = framed[0, 0]
        assert (framed == (RED if number in (1, 11, 14) else PAPER)).all()
        assert (sheet[y + 92 : y + 104, x : x + 88] != PAPER).any(), "its number stands below"


def test_the_picture_says_layer_filters_dead_and_shown() -> None:
    image = np.zeros((88, 88, 3), np.uint8)

    def upper(dead: int = 0, count: int = 3, first: int = 0, layer: str = "block1_conv1", hidden: int = 0) -> bytes:
        tiles = [make_tile(first + place, image, dead=place < dead) for place in range(count)]
        tiles += [make_tile(first + count + place, None, dead=False) for place in range(hidden)]
        return _sheet({layer: tiles}, 3)[: 34 + 105].tobytes()

    assert upper() == upper()
    different = [upper(), upper(dead=1), upper(count=2), upper(first=1), upper(layer="block1_conv2"), upper(hidden=1)]
    assert len(set(different)) == 6


def test_a_heading_says_how_much_of_the_image_a_layer_sees() -> None:
    layer, tiles = DEMO.layer("block1_conv2"), [make_tile(0, None, dead=False)] * 2
    assert _facts(layer, tiles, 1) == "2 filters, 1 shown  ·  receptive field 5 px"
    whole = replace(layer, receptive_field=None)
    assert _facts(whole, tiles[:1], 1) == "1 filter  ·  receptive field: the whole image"


def test_of_many_filters_20_are_shown_evenly_spaced_from_the_first_to_the_last() -> None:
    assert shown_filters(tuple(range(20)), 13) == set(range(20))
    places = sorted(shown_filters(tuple(range(512)), 13))
    assert (len(places), places[0], places[-1]) == (20, 0, 511)
    assert set(np.diff(places)) == {26, 27}
    assert shown_filters((3, 9), 13) == {3, 9}, "filters, not places"
    assert len(shown_filters(tuple(range(21)), 13)) == 20
    assert len(shown_filters(tuple(range(21)), 31)) == 10, "two rows for each of many layers would make a tower"


def test_a_sheet_of_many_layers_is_no_larger_than_is_said_and_can_be_read() -> None:
    tiles = [make_tile(filter, _noise(112, 112, 3), dead=False) for filter in range(10)]
    many = replace(DEMO, layers=tuple(replace(DEMO.layers[0], name=f"conv{place}", index=place) for place in range(100)))
    sheet = contact_sheet(many, {layer.name: tiles for layer in many.layers})
    with pytest.raises(ValueError, match="pixels, more than"):
        decode_png(sheet)
    shown = decode_png(sheet, most_pixels(100))
    assert 0.9 * most_pixels(100) < shown.shape[0] * shown.shape[1] <= most_pixels(100)
