"""Describing: a folder of images that were made elsewhere becomes a dataset folder, with what the files themselves tell.

Layer and filter are read off the files' names, index and hash are computed, and `status` is judged from the pixels. Seed,
activations and rank are only known when an image is made, so they are null. No weights are needed.
"""

from __future__ import annotations

import itertools
import os
import platform
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from amaxds.compute.machine import cores
from amaxds.dataset.build_info import described_request
from amaxds.dataset.parquet import WRITERS
from amaxds.dataset.writer import Begun, RankedRow, write_dataset
from amaxds.errors import UsageError, in_words
from amaxds.image import decode_png, encode_png, has_only_pixels, is_stretched_noise, pixels_sha256, uniformity_index
from amaxds.spec.network import LEAST_SIDE, Network
from amaxds.spec.recipes import DESCRIBED, Described
from amaxds.storage.location import LocalPath, require_loadable
from amaxds.storage.staging import require_absent, staged

_NAME = re.compile(r"filter-([0-9]{1,6})\.png")
_PICTURES = {".png", ".jpg", ".jpeg", ".jfif", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
"""How the names of pictures end. Those of filters that are no PNG, or not quite named so, are named, not passed over."""


@dataclass(frozen=True)
class _Image:
    layer: str
    filter: int
    path: Path


def describe(folder: Path, out: Path, network: Network) -> None:
    """Make a dataset folder at `out`, which must not be there yet, of `<layer>/filter-<n>.png` in `folder`.

    UsageError for a folder without such files, a layer or filter that the network does not have, an image that is no 8-bit
    RGB PNG, and images of different sizes.
    """
    begun = Begun()
    if folder.resolve().is_relative_to(out.resolve()):
        raise UsageError(f"{out} has the images themselves.", "Choose another OUT.")
    require_loadable(LocalPath(out))
    require_absent(out)
    images = _find(folder, network)
    with ThreadPoolExecutor(cores()) as pool:
        records = list(pool.map(_record, images, [network.name] * len(images)))
    sides = sorted({record.pop("side") for record in records})
    if len(sides) > 1:
        sizes = ", ".join(f"{height}x{width}" for height, width in sides[:4])
        raise UsageError(f"the images of {folder} have different sizes: {sizes}.", "Describe those of one size at a time.")
    if sides[0][0] != sides[0][1]:
        raise UsageError(f"the images of {folder} are {sides[0][0]}x{sides[0][1]}, not square.", "Give square images.")
    recipe = Described(side=sides[0][0])
    scope: dict[str, tuple[int, ...]] = {}
    for image in images:
        scope[image.layer] = (*scope.get(image.layer, ()), image.filter)
    software = {
        "backend": "none",
        "settings": {},
        "python": platform.python_version(),
        **{name: version(name) for name in ("amaxds", "pillow", *WRITERS)},
    }
    identity = described_request(network, recipe, scope).on({"software": software, "device": None})

    def rows() -> Iterator[RankedRow]:
        for image, record in zip(images, records, strict=True):
            yield record | {"image": _bare(image.path.read_bytes())}, None

    with staged(out) as part:
        write_dataset(part, out.resolve().name, identity, {recipe.name: rows()}, begun)


def _find(folder: Path, network: Network) -> list[_Image]:
    """The images of the folder in the order of layer and filter."""
    if not os.path.isdir(folder):
        raise UsageError(f"{folder} is not a folder.", "Give one with <layer>/filter-<n>.png in it.")
    found = []
    pictures = sorted(each for each in folder.glob("*/*") if each.suffix.lower() in _PICTURES)
    for path in (each for each in pictures if each.name.lower().startswith("filter")):
        named = _NAME.fullmatch(path.name)
        if named is None:
            raise UsageError(f"{path} is named for no filter.", "Images are PNG files, named filter-<n>.png.")
        layer = network.layer(path.parent.name)
        if not layer.usable:
            raise UsageError(
                f"{path}: {layer.name} of {network.name} has {layer.side} places a side on its canvas of {network.canvas}, "
                f"{LEAST_SIDE} are needed.",
                "Leave out the images of that layer.",
            )
        if int(named[1]) >= layer.filters:
            raise UsageError(
                f"{path}: {layer.name} has filters 0 to {layer.filters - 1}.", "Choose another network (--network)."
            )
        found.append(_Image(layer.name, int(named[1]), path))
    if not found:
        raise UsageError(f"{folder} holds no <layer>/filter-<n>.png.", "Give the folder in which the layers' folders are.")
    found.sort(key=lambda image: (network.layer(image.layer).index, image.filter))
    for one, other in itertools.pairwise(found):
        if (one.layer, one.filter) == (other.layer, other.filter):
            raise UsageError(f"{one.path} and {other.path.name} are of the same filter.", "Keep one of them.")
    return found


def _bare(png: bytes) -> bytes:
    """The same pixels in a file that has nothing else in it: cameras and programs for pictures write down people and places."""
    return png if has_only_pixels(png) else encode_png(decode_png(png))


def _record(image: _Image, network: str) -> dict[str, Any]:
    """What the file tells of an image as a record, and its height and width as `side`."""
    try:
        if not image.path.is_file():
            raise ValueError("it is no file, or leads to none")
        pixels = decode_png(image.path.read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(f"{image.path} cannot be described: {in_words(error)}.", "Give 8-bit RGB PNG files.") from error
    return {
        "network": network,
        "layer": image.layer,
        "filter": image.filter,
        "recipe": DESCRIBED.name,
        "seed": None,
        "status": "dead" if is_stretched_noise(pixels) else "alive",
        "activation_start": None,
        "activation": None,
        "activation_rank": None,
        "uniformity_index": uniformity_index(pixels),
        "pixels_sha256": pixels_sha256(pixels),
        "side": pixels.shape[:2],
    }
