"""Draw a picture for the README or the documentation: some images of the second layer of each block, recipes side by side.

    python builder/documentation/pictures.py DATASET PICTURE [--recipe RECIPE ...] [--columns N]

DATASET is a dataset folder of vgg16 or demo. Of each image its middle is shown, half as wide as the network's canvas, pixel by
pixel, so that fine patterns are seen as they are; those of dead filters are framed. The filters are the first N of each layer.
PICTURE ends in .png or .jpg.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import datasets
from PIL import Image, ImageDraw, ImageFont

EDGE, GAP, BETWEEN, HEADING = 6, 6, 22, 26
DEAD = (200, 30, 30)
LAYERS = tuple(f"block{block}_conv2" for block in range(1, 6))


def images(dataset: Path, recipe: str, columns: int, side: int) -> dict[str, list[Image.Image]]:
    """The first images of each of the layers, cut to so many pixels in their middle."""
    rows = datasets.concatenate_datasets(list(datasets.load_dataset(str(dataset), recipe).values()))
    names, statuses = (rows.features[column].names for column in ("layer", "status"))
    found: dict[str, list[Image.Image]] = {name: [] for name in LAYERS}
    for row in rows.sort("filter"):
        name, picture = names[row["layer"]], row["image"]
        if name in found and len(found[name]) < columns:
            cut = (picture.width - side) // 2
            middle = picture.crop((cut, cut, cut + side, cut + side))
            if statuses[row["status"]] == "dead":
                ImageDraw.Draw(middle).rectangle((0, 0, middle.width - 1, middle.height - 1), outline=DEAD, width=3)
            found[name].append(middle)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("dataset", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--recipe", action="append")
    parser.add_argument("--columns", type=int, default=8)
    chosen = parser.parse_args()
    recipes = chosen.recipe or ["clear"]
    side = json.loads((chosen.dataset / "build.json").read_text())["network"]["canvas"] // 2
    parts = [images(chosen.dataset, recipe, chosen.columns, side) for recipe in recipes]
    wide = chosen.columns * (side + GAP) - GAP
    high = HEADING + side
    top = HEADING if len(parts) > 1 else 0
    size = 2 * EDGE + len(parts) * (wide + BETWEEN) - BETWEEN, 2 * EDGE + top + len(LAYERS) * high
    sheet = Image.new("RGB", size, (255, 255, 255))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for number, (recipe, part) in enumerate(zip(recipes, parts, strict=True)):
        left = EDGE + number * (wide + BETWEEN)
        if top:
            draw.text((left, EDGE + 16), recipe, (0, 0, 0), ImageFont.load_default(18), anchor="ls")
        for row, (name, tiles) in enumerate(part.items()):
            line = EDGE + top + row * high
            draw.text((left, line + HEADING - 8), name, (60, 60, 60), font, anchor="ls")
            for column, tile in enumerate(tiles):
                sheet.paste(tile, (left + column * (side + GAP), line + HEADING))
    sheet.save(chosen.picture, quality=80)


if __name__ == "__main__":
    main()
