"""The bundle: one recipe of a dataset folder as Kaggle expects a dataset, in the layout of the study's own publication.

filterActivations/<layer>/filter-<n>.png   the PNGs of the dataset folder, byte for byte
metadata.csv                               every column of the record but the image, with its file and split
croissant.json  build.json                 description for machines, provenance
dataset-metadata.json                      title, licence, and a description of every file and column
"""

from __future__ import annotations

import csv
import io
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from amaxds.card import default_config
from amaxds.croissant import CROISSANT_FILE, Entry, column_types, document, file_object
from amaxds.dataset import image_name, split_files
from amaxds.errors import UsageError
from amaxds.files import disk_errors, rename_folder, write_json, write_whole
from amaxds.hub import require_repo
from amaxds.licence import licence_of
from amaxds.network import get_network
from amaxds.provenance import BUILD_FILE, Claims, command_of
from amaxds.record import STATUSES, descriptions

IMAGES, TABLE, KAGGLE_FILE = "filterActivations", "metadata.csv", "dataset-metadata.json"
_KAGGLE_TYPES = {"sc:Text": "string", "sc:Integer": "integer", "sc:Float": "number"}
_FILE_MEANING = "The image's path in this dataset."
_SPLIT_MEANING = "train, validation or test: decided by layer and filter alone, the same for every recipe and seed."


def bundle(folder: Path, claims: Claims, out: Path, recipe: str | None = None, repo: str | None = None) -> str:
    """Write the bundle of one recipe of a valid dataset folder to `out`, which appears whole or not at all; the recipe.

    repo: `owner/slug` on Kaggle, where it is known. UsageError for a recipe that the dataset has not, and where `out` is
    already there.
    """
    chosen = recipe or default_config(list(claims.recipes))
    if chosen not in claims.recipes:
        raise UsageError(f"{folder} has no recipe {chosen!r}.", f"It has {', '.join(claims.recipes)}.")
    licence_of([chosen]).on("kaggle")
    if repo is not None:
        require_repo(repo)
    if out.resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"{out} is inside the dataset folder.", "Choose another OUT, beside it.")
    if os.path.lexists(out):
        raise UsageError(f"{out} is already there.", "Choose another OUT, or delete it.")
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    stored = claims.stored | {"recipes": [each for each in claims.stored["recipes"] if each["name"] == chosen]}
    with disk_errors(out):
        try:
            shutil.rmtree(part, ignore_errors=True)
            (part / IMAGES).mkdir(parents=True)
            images, dead = _write_images(folder, chosen, part, claims)
            write_whole(part / BUILD_FILE, (folder / BUILD_FILE).read_bytes())
            write_whole(part / CROISSANT_FILE, _croissant(stored | {"images": images, "dead": dead}, chosen, part).encode())
            write_json(part / KAGGLE_FILE, kaggle_metadata(stored, chosen, repo))
            rename_folder(part, out)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return chosen


def _write_images(folder: Path, recipe: str, part: Path, claims: Claims) -> tuple[int, int]:
    """Write the PNGs, and metadata.csv in the order of layer and filter; the numbers of images and of dead ones."""
    lines: list[tuple[tuple[int, int], list[Any]]] = []
    for place, values, png in _rows(folder, recipe, claims):
        file = part / values["file"]
        write_whole(file, png)
        lines.append((place, [values[column] for column in column_types()]))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(column_types())
    writer.writerows(line for _, line in sorted(lines, key=lambda pair: pair[0]))
    write_whole(part / TABLE, text.getvalue().encode())
    status = list(column_types()).index("status")
    return len(lines), sum(line[status] == "dead" for _, line in lines)


def _rows(folder: Path, recipe: str, claims: Claims) -> Iterator[tuple[tuple[int, int], dict[str, Any], bytes]]:
    """(layer label, filter), the record with labels as names, and its PNG."""
    for split, file in split_files(folder, recipe):
        for batch in pq.ParquetFile(file).iter_batches(batch_size=64):
            for row in batch.to_pylist():
                layer = claims.network.layers[row["layer"]].name
                name = f"{IMAGES}/{layer}/{image_name(row['filter'])}"
                named = row | {"file": name, "split": split, "layer": layer, "status": STATUSES[row["status"]]}
                yield (row["layer"], row["filter"]), named, row["image"]["bytes"]


def _croissant(stored: Mapping[str, Any], recipe: str, part: Path) -> str:
    images: Entry = {
        "@type": "cr:FileSet",
        "@id": "images",
        "name": "images",
        "description": f"The images of the recipe {recipe}, in a folder for each layer.",
        "encodingFormat": "image/png",
        "includes": f"{IMAGES}/*/*.png",
    }
    fields: list[Entry] = []
    for column, kind in column_types().items():
        meaning = {"file": _FILE_MEANING, "split": _SPLIT_MEANING} | descriptions()
        source = {"fileObject": {"@id": TABLE}, "extract": {"column": column}}
        fields.append(
            {
                "@type": "cr:Field",
                "@id": f"{recipe}/{column}",
                "name": column,
                "description": meaning[column],
                "dataType": kind,
                "source": source,
            }
        )
    records: Entry = {
        "@type": "cr:RecordSet",
        "@id": recipe,
        "name": recipe,
        "description": f"One record for each image made with the recipe {recipe}; `file` names the image.",
        "key": {"@id": f"{recipe}/file"},
        "field": fields,
    }
    pictures: Entry = {
        "@type": "cr:RecordSet",
        "@id": "pictures",
        "name": "pictures",
        "description": "The images themselves, by path.",
        "key": {"@id": "pictures/file"},
        "field": [
            {
                "@type": "cr:Field",
                "@id": "pictures/file",
                "name": "file",
                "description": _FILE_MEANING,
                "dataType": "sc:Text",
                "source": {"fileSet": {"@id": "images"}, "extract": {"fileProperty": "fullpath"}},
                "references": {"field": {"@id": f"{recipe}/file"}},
            },
            {
                "@type": "cr:Field",
                "@id": "pictures/image",
                "name": "image",
                "description": descriptions()["image"],
                "dataType": "sc:ImageObject",
                "source": {"fileSet": {"@id": "images"}, "extract": {"fileProperty": "content"}},
            },
        ],
    }
    return document(stored, [file_object(part, TABLE, "text/csv"), images], [records, pictures])


def kaggle_metadata(stored: Mapping[str, Any], recipe: str, repo: str | None = None) -> dict[str, Any]:
    """dataset-metadata.json: what Kaggle shows of the dataset, of every top-level file and of every column."""
    network = get_network(stored["network"]["name"])
    meaning = {"file": _FILE_MEANING, "split": _SPLIT_MEANING} | descriptions()
    fields = [
        {"name": name, "description": meaning[name], "type": _KAGGLE_TYPES[kind]} for name, kind in column_types().items()
    ]
    return {
        "id": repo or f"owner/{network.name}-filter-activations",
        "title": f"{network.name.upper()} filter activations ({recipe})",
        "subtitle": f"An image for each filter of {network.name.upper()}, by gradient ascent, with evidence",
        "description": _description(stored, recipe),
        "licenses": [{"name": licence_of([recipe]).on("kaggle")}],
        "keywords": ["image", "computer vision", "neural networks", "deep learning"],
        "resources": [
            {"path": TABLE, "description": "One line for each image: its record.", "schema": {"fields": fields}},
            {"path": BUILD_FILE, "description": "Provenance: network, weights digest, recipe in full, seed, software, device."},
            {"path": CROISSANT_FILE, "description": "The dataset described for machines (Croissant 1.1), with checksums."},
        ],
    }


def _description(stored: Mapping[str, Any], recipe: str) -> str:
    network = get_network(stored["network"]["name"])
    scope = "" if stored["scope"]["complete"] else " This is a partial build: not every filter of the network is in it."
    return f"""What do the filters of `{network.name}` look for? Each image was made by gradient ascent on one filter, from
noise drawn with a fixed seed, with the recipe `{recipe}`.{scope}

- `{IMAGES}/<layer>/filter-<n>.png`: the images.
- `{TABLE}`: the record of each: layer, filter, status (alive or dead), activation before and after, rank among the
  layer's images, uniformity index, hash of the pixels, split.
- `{BUILD_FILE}`: how it was made. The same software on the same kind of device makes the same pixels again:
  `{command_of(stored)}`

One image per filter is one answer out of many: another seed gives another image. Licence: {licence_of([recipe]).name}.
VGG16 is K. Simonyan and A. Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, arXiv:1409.1556;
the layout, the method and the uniformity index are those of the study that first published an image for every filter of it.
Made with amaxds.
"""
