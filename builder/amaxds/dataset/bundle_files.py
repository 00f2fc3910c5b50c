"""The files of a bundle: their names, metadata.csv, croissant.json for machines, and Kaggle's own dataset-metadata.json."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from amaxds.dataset.build_command import command_of
from amaxds.dataset.build_info import BUILD_FILE, BuildInfo
from amaxds.dataset.croissant import CROISSANT_FILE, column_types, document, file_object, file_set, record_field, record_set
from amaxds.dataset.licence import licence_of
from amaxds.dataset.parquet import image_name
from amaxds.dataset.record import descriptions
from amaxds.errors import UsageError

IMAGES, TABLE, KAGGLE_FILE = "filterActivations", "metadata.csv", "dataset-metadata.json"
_KAGGLE_TYPES = {"sc:Text": "string", "sc:Integer": "integer", "sc:Float": "number"}
_FILE_MEANING = "The image's path in this dataset."
_SPLIT_MEANING = "train, validation or test: decided by layer and filter alone, the same for every recipe and seed."
_VGG16 = (
    "VGG16 is K. Simonyan and A. Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, arXiv:1409.1556"
)


def is_bundle(path: Path) -> bool:
    """Whether a folder is laid out as a bundle, however much of it is missing."""
    has = [os.path.lexists(path / name) for name in (TABLE, IMAGES, "README.md")]
    return any(has[:2]) and not has[2]


def require_no_bundle(path: Path, name: str) -> None:
    """UsageError for a bundle, where the dataset is needed that it was made of. name: what the message calls it."""
    if path.is_file() or is_bundle(path):
        raise UsageError(f"{name} is a bundle.", "Give the dataset folder that it was made of, or build or fetch that again.")


def image_file(layer: str, filter: int) -> str:
    """Where an image lies in a bundle."""
    return f"{IMAGES}/{layer}/{image_name(filter)}"


def render_table(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """metadata.csv of records with their labels as names, `file_name` and `split`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(column_types())
    writer.writerows([row[column] for column in column_types()] for row in rows)
    return text.getvalue().encode()


def render_bundle_croissant(info: BuildInfo, rows: Sequence[Mapping[str, Any]], table: bytes) -> str:
    """croissant.json of a bundle, for build.json of its one recipe, its records, and the bytes of metadata.csv."""
    recipe = next(iter(info.recipes))
    image_files = file_set(
        "images", f"The images of the recipe {recipe}, in a folder for each layer.", "image/png", f"{IMAGES}/*/*.png"
    )
    fields = [
        record_field(recipe, column, _meanings()[column], kind, {"fileObject": {"@id": TABLE}, "extract": {"column": column}})
        for column, kind in column_types().items()
    ]
    sentence = f"One record for each image made with the recipe {recipe}; `file_name` names the image."
    records = record_set(recipe, sentence, {"@id": f"{recipe}/file_name"}, fields)
    path, content = ({"fileSet": {"@id": "images"}, "extract": {"fileProperty": each}} for each in ("fullpath", "content"))
    picture_fields = [
        record_field("pictures", "file_name", _FILE_MEANING, "sc:Text", path, references=f"{recipe}/file_name"),
        record_field("pictures", "image", descriptions()["image"], "sc:ImageObject", content),
    ]
    pictures = record_set("pictures", "The images themselves, by path.", {"@id": "pictures/file_name"}, picture_fields)
    dead = sum(row["status"] == "dead" for row in rows)
    files = [file_object(TABLE, "text/csv", io.BytesIO(table)), image_files]
    return document(info, len(rows), dead, files, [records, pictures])


def kaggle_metadata(info: BuildInfo, dead: int, repo: str | None = None) -> dict[str, Any]:
    """dataset-metadata.json: what Kaggle shows of the dataset, of every top-level file and of every column.

    info: build.json of the bundle's one recipe. dead: how many of its images are. repo: `owner/name` on Kaggle, if it is known.
    UsageError where Kaggle does not know the licence.
    """
    network, recipe = info.network, next(iter(info.recipes))
    fields = [
        {"name": name, "description": _meanings()[name], "type": _KAGGLE_TYPES[kind]} for name, kind in column_types().items()
    ]
    scope = "An image for each filter" if info.scope_entry.complete else "Images of some filters"
    return {
        "id": repo or f"owner/{network.name.replace('_', '-')[:70]}-filter-activations",
        "title": _title(network.name, recipe, repo),
        "subtitle": f"{scope} of {network.name.upper()[:17]}, by gradient ascent, with evidence",
        "description": _description(info, recipe, dead),
        "licenses": [{"name": licence_of([recipe]).on("kaggle")}],
        "keywords": ["image", "computer vision", "neural networks", "deep learning"],
        "resources": [
            {"path": TABLE, "description": "One line for each image: its record.", "schema": {"fields": fields}},
            {"path": BUILD_FILE, "description": "Provenance: network, weights digest, recipe in full, seed, software, device."},
            {"path": CROISSANT_FILE, "description": "The dataset described for machines (Croissant 1.1), with checksums."},
        ],
    }


def _title(network: str, recipe: str, repo: str | None) -> str:
    """A title of 6 to 50 characters, all that Kaggle allows. A user has each title once, so where the repository has a name of
    its own, the title is made of that."""
    slug, usual = (repo or "").partition("/")[2], f"{network.replace('_', '-')}-filter-activations"
    if slug in ("", usual):
        return f"{network.upper()[:20]} filter activations ({recipe})"[:50]
    return f"{slug[0].upper()}{slug[1:].replace('-', ' ')}"[:50].ljust(6, ".")


def _description(info: BuildInfo, recipe: str, dead: int) -> str:
    network = info.network
    scope = "" if info.scope_entry.complete else " This is a partial build: not every filter of the network is in it."
    if dead:
        scope += (
            f"\n{dead} of the {info.filters} images are dead: no gradient was seen, and the image is its own starting noise."
        )
    source = f"The network is {network.model}" if network.model else _VGG16
    return f"""What do the filters of `{network.name}` look for? Each image was made by gradient ascent on one filter, from
noise drawn with a fixed seed, with the recipe `{recipe}`.{scope}

- `{IMAGES}/<layer>/filter-<n>.png`: the images.
- `{TABLE}`: the record of each: layer, filter, status (alive or dead), activation before and after, rank among the
  layer's images, uniformity index, hash of the pixels, split.
- `{BUILD_FILE}`: how it was made. The same software on the same kind of device makes the same pixels again:
  `{command_of(info)}`

One image per filter is one answer out of many: another seed gives another image. Licence: {licence_of([recipe]).name}.
{source};
the layout, the method and the uniformity index are those of the study that first published an image for every filter of VGG16.
Made with amaxds.
"""


def _meanings() -> dict[str, str]:
    return {"file_name": _FILE_MEANING, "split": _SPLIT_MEANING} | descriptions()
