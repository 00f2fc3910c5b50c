"""The contact sheet: one picture with images of all layers under one recipe, to look at a dataset without any code.

The same images give the same bytes with the same version of Pillow: images are made smaller by whole numbers, in integers, and
the letters are those of the font inside Pillow.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from amaxds.image import Pixels, encode_png
from amaxds.spec.network import Layer, Network

SIDE = 112
"""About the side of an image there, in pixels."""
_PER_ROW, _LAYERS_OF_TWO_ROWS = 10, 30
_EDGE, _GAP, _LABEL, _HEADING = 10, 8, 17, 34
_LEAST_WIDTH = 560
"""Holds the longest usual heading, where there are few images."""
_PAPER, _INK, _GREY, _DEAD = (255, 255, 255), (20, 20, 20), (90, 90, 90), (200, 30, 30)


@dataclass(frozen=True)
class Tile:
    """One filter on a contact sheet."""

    filter: int
    dead: bool
    picture: Image.Image | None
    """Its whole image, at most 112 pixels high and wide; None for a filter that is counted and not shown."""


def make_tile(filter: int, image: Pixels | None, dead: bool) -> Tile:
    """A tile with the whole of an image (h, w, 3) uint8, its sides divided by the smallest whole number that makes
    them fit. Small images are shown larger, by whole numbers, too.
    """
    if image is None:
        return Tile(filter, dead, None)
    picture, longest = Image.fromarray(image), max(image.shape[:2])
    if longest > SIDE:
        return Tile(filter, dead, picture.reduce(-(-longest // SIDE)))
    times = max(SIDE // longest, 1)
    size = (picture.width * times, picture.height * times)
    return Tile(filter, dead, picture.resize(size, Image.Resampling.NEAREST))


@functools.cache
def shown_filters(filters: tuple[int, ...], layers: int) -> frozenset[int]:
    """Which of a layer's filters the sheet of so many layers shows: as many as `per_layer` says, evenly spaced from the first
    to the last."""
    most = per_layer(layers)
    if len(filters) <= most:
        return frozenset(filters)
    return frozenset(filters[int(place)] for place in np.linspace(0, len(filters) - 1, most).round())


def per_layer(layers: int) -> int:
    """How many images of a layer a sheet of so many layers shows at most: two rows, or one where the sheet would be too high to
    look at."""
    return 2 * _PER_ROW if layers <= _LAYERS_OF_TWO_ROWS else _PER_ROW


def most_pixels(layers: int) -> int:
    """No sheet of so many layers has more pixels."""
    rows = per_layer(layers) // _PER_ROW
    height = layers * (_HEADING + rows * (SIDE + _LABEL + _GAP)) + _EDGE
    return height * (_PER_ROW * (SIDE + _GAP) + 2 * _EDGE)


def contact_sheet(network: Network, layers: Mapping[str, Sequence[Tile]], per_row: int = _PER_ROW) -> bytes:
    """Draw the tiles of each layer that have a picture under a heading, each over the number of its filter; the bytes of a PNG
    file. Dead filters are framed, and said to be dead."""
    shown = {name: [tile for tile in tiles if tile.picture] for name, tiles in layers.items()}
    pictures = [tile.picture for tiles in shown.values() for tile in tiles if tile.picture]
    wide, high = (max([picture.size[axis] for picture in pictures], default=1) for axis in (0, 1))
    across, down = wide + _GAP, high + _LABEL + _GAP
    columns = min(per_row, max(map(len, shown.values())))
    heights = [_HEADING + -(-len(tiles) // per_row) * down for tiles in shown.values()]
    sheet = Image.new("RGB", (max(columns * across - _GAP + 2 * _EDGE, _LEAST_WIDTH), sum(heights) + _EDGE), _PAPER)
    draw = ImageDraw.Draw(sheet)
    title, small = ImageFont.load_default(18), ImageFont.load_default(12)
    top = 0
    for (name, tiles), height in zip(shown.items(), heights, strict=True):
        line = top + 24
        draw.text((_EDGE, line), name, _INK, title, anchor="ls")
        behind = _EDGE + round(draw.textlength(name, title)) + 12
        draw.text((behind, line), _facts(network.layer(name), layers[name], len(tiles)), _GREY, small, anchor="ls")
        for place, tile in enumerate(tiles):
            x, y = _EDGE + place % per_row * across, top + _HEADING + place // per_row * down
            _draw_tile(sheet, draw, tile, x, y, small)
        top += height
    return encode_png(np.asarray(sheet))


def _draw_tile(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    tile: Tile,
    x: int,
    y: int,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    picture = tile.picture
    if picture is None:
        return
    if tile.dead:
        draw.rectangle((x - 3, y - 3, x + picture.width + 2, y + picture.height + 2), _DEAD)
    sheet.paste(picture, (x, y))
    text, colour = (f"{tile.filter} dead", _DEAD) if tile.dead else (str(tile.filter), _GREY)
    draw.text((x, y + picture.height + 14), text, colour, font, anchor="ls")


def _facts(layer: Layer, tiles: Sequence[Tile], shown: int) -> str:
    """What the heading says beside the layer's name."""
    count, dead, field = len(tiles), sum(tile.dead for tile in tiles), layer.receptive_field
    facts = [f"{count} filter{'s' * (count != 1)}" + f", {shown} shown" * (shown < count)]
    facts += [f"{dead} dead"] * (dead > 0)
    facts.append("receptive field: the whole image" if field is None else f"receptive field {field} px")
    return "  ·  ".join(facts)
