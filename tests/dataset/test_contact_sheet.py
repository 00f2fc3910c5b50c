"""The contact sheet shows the middle of every image in its place, and frames dead ones."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from amaxds.dataset.contact_sheet import contact_sheet, make_tile, shown_places

PAPER, RED = (255, 255, 255), (220, 40, 40)


def _sheet(layers: dict[str, list[tuple[bool, Image.Image | None]]]) -> np.ndarray:
    with Image.open(io.BytesIO(contact_sheet(layers))) as sheet:
        return np.asarray(sheet)


@pytest.mark.parametrize(("shape", "top", "left"), [((88, 88), 12, 12), ((65, 101), 0, 18), ((64, 30), 0, 0)])
def test_a_tile_is_the_middle_of_its_image(shape: tuple[int, int], top: int, left: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    dead, tile = make_tile(image, dead=True)
    assert dead
    assert np.array_equal(np.asarray(tile), image[top : top + 64, left : left + 64])
    assert make_tile(None, dead=False) == (False, None)


def test_every_image_stands_in_its_place_and_only_dead_ones_are_framed() -> None:
    images = np.random.default_rng(0).integers(0, 256, (23, 64, 64, 3)).astype(np.uint8)
    tiles = [make_tile(image, dead=number in (1, 17, 21)) for number, image in enumerate(images)]
    sheet = _sheet({"one": tiles[:20], "other": tiles[20:]})
    assert sheet.shape == (20 + 2 * 72 + 20 + 72 + 4, 16 * 72 + 4, 3)
    for number, image in enumerate(images):
        row, column = divmod(number, 16) if number < 20 else (2, number - 20)
        y, x = 20 + 72 * row + 4 + (20 if number >= 20 else 0), 72 * column + 4
        framed = sheet[y - 3 : y + 67, x - 3 : x + 67].copy()
        assert np.array_equal(framed[3:67, 3:67], image)
        framed[3:67, 3:67] = framed[0, 0]
        assert (framed == (RED if number in (1, 17, 21) else PAPER)).all()
        assert (sheet[y - 4, x : x + 64] == PAPER).all() or row == 0, "frames do not touch"


def test_headings_count_what_is_there_dead_and_shown() -> None:
    alive, dead = make_tile(np.zeros((64, 64, 3), np.uint8), dead=False), make_tile(None, dead=True)

    def heading(tiles: list[tuple[bool, Image.Image | None]], name: str = "conv") -> bytes:
        return _sheet({name: tiles})[:20, :400].tobytes()

    assert heading([alive] * 3) == heading([alive] * 3)
    headings = [heading(tiles) for tiles in ([alive] * 3, [alive] * 4, [alive, alive, dead], [alive] * 64, [alive] * 65)]
    assert len({*headings, heading([alive] * 3, "more")}) == 6


def test_of_many_images_64_are_shown_from_the_first_to_the_last() -> None:
    assert shown_places(64) == list(range(64))
    places = shown_places(512)
    assert (len(places), places[0], places[-1]) == (64, 0, 511)
    assert set(np.diff(places)) == {8, 9}
    assert len(shown_places(65)) == 64
