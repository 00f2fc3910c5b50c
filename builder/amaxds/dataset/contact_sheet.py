"""The contact sheet: one picture with images of all layers under one recipe, to look at a dataset without any code."""

from __future__ import annotations

import functools
import io
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from amaxds.image import Pixels

_PER_ROW, _PER_LAYER, _TILE, _GAP, _HEADING = 16, 64, 64, 4, 20
_PAPER, _INK, _DEAD = (255, 255, 255), (30, 30, 30), (220, 40, 40)

Tile = tuple[bool, Image.Image | None]
"""Whether the filter is dead, and the central part of its image; None for an image that the sheet does not show."""


def make_tile(image: Pixels | None, dead: bool) -> Tile:
    """Cut the central 64x64 pixels out of an image (h, w, 3) uint8. Scaled down, fine structure would average to grey."""
    if image is None:
        return dead, None
    top, left = (max(side - _TILE, 0) // 2 for side in image.shape[:2])
    return dead, Image.fromarray(image[top : top + _TILE, left : left + _TILE])


def contact_sheet(layers: Mapping[str, Sequence[Tile]]) -> bytes:
    """Draw the tiles of each layer under a heading, dead filters framed in red; the bytes of a PNG file.

    Of a layer with more than 64 tiles, 64 are drawn, evenly spaced, and the heading says so.
    """
    shown = {name: [tiles[i] for i in shown_places(len(tiles))] for name, tiles in layers.items()}
    columns = min(_PER_ROW, max(map(len, shown.values())))
    step = _TILE + 2 * _GAP
    heights = [_HEADING + -(-len(tiles) // columns) * step for tiles in shown.values()]
    sheet = Image.new("RGB", (max(columns * step, 420) + _GAP, sum(heights) + _GAP), _PAPER)
    draw = ImageDraw.Draw(sheet)
    top = 0
    for (name, tiles), height in zip(shown.items(), heights, strict=True):
        draw.text((_GAP, top + 4), _heading(name, tiles, layers[name]), _INK, ImageFont.load_default(12))
        for place, (dead, small) in enumerate(tiles):
            x = place % columns * step + _GAP
            y = top + _HEADING + place // columns * step + _GAP
            if dead:
                draw.rectangle((x - 3, y - 3, x + _TILE + 2, y + _TILE + 2), _DEAD)
            if small is not None:
                sheet.paste(small, (x, y))
        top += height
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


@functools.cache
def shown_places(count: int) -> list[int]:
    """Which of a layer's images the sheet shows, by their places: at most 64, evenly spaced."""
    if count <= _PER_LAYER:
        return list(range(count))
    return [int(place) for place in np.linspace(0, count - 1, _PER_LAYER).round()]


def _heading(name: str, tiles: Sequence[Tile], all_tiles: Sequence[Tile]) -> str:
    dead = sum(is_dead for is_dead, _ in all_tiles)
    text = f"{name}: {len(all_tiles)} images" + (f", {dead} dead (red)" if dead else "")
    return text if len(tiles) == len(all_tiles) else f"{text}, {len(tiles)} shown"
