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
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from amaxds.dataset.build_info import BUILD_FILE, BuildInfo, command_of
from amaxds.dataset.card import default_config
from amaxds.dataset.croissant import CROISSANT_FILE, Entry, column_types, document, file_object
from amaxds.dataset.licence import licence_of
from amaxds.dataset.parquet import image_name, read_records
from amaxds.dataset.record import descriptions
from amaxds.errors import UsageError
from amaxds.spec.network import network_of
from amaxds.storage.files import disk_errors, rename_folder, write_json, write_whole

IMAGES, TABLE, KAGGLE_FILE = "filterActivations", "metadata.csv", "dataset-metadata.json"
_KAGGLE_TYPES = {"sc:Text": "string", "sc:Integer": "integer", "sc:Float": "number"}
_VGG16 = (
    "VGG16 is K. Simonyan and A. Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, arXiv:1409.1556"
)
_FILE_MEANING = "The image's path in this dataset."
_SPLIT_MEANING = "train, validation or test: decided by layer and filter alone, the same for every recipe and seed."


def bundle(folder: Path, info: BuildInfo, out: Path, recipe: str | None = None, repo: str | None = None) -> str:
    """Write the bundle of one recipe of a valid dataset folder to `out`, which appears whole or not at all; the recipe.

    repo: `owner/slug` on Kaggle, where it is known. UsageError for a recipe that the dataset has not, and where `out` is
    already there.
    """
    chosen = recipe or default_config(list(info.recipes))
    if chosen not in info.recipes:
        raise UsageError(f"{folder} has no recipe {chosen!r}.", f"It has {', '.join(info.recipes)}.")
    licence_of([chosen]).on("kaggle")
    if repo is not None:
        require_repo(repo)
    if out.resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"{out} is inside the dataset folder.", "Choose another OUT, beside it.")
    if os.path.lexists(out):
        raise UsageError(f"{out} is already there.", "Choose another OUT, or delete it.")
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    with disk_errors(out):
        try:
            shutil.rmtree(part, ignore_errors=True)
            (part / IMAGES).mkdir(parents=True)
            rows = []
            for row in read_records(folder, chosen, info.network):
                row["file"] = image_file(row["layer"], row["filter"])
                write_whole(part / row["file"], row.pop("image"))
                rows.append(row)
            rows.sort(key=lambda row: (info.network.layer(row["layer"]).index, row["filter"]))
            table, stored = render_table(rows), bundled(info.stored, chosen)
            write_whole(part / TABLE, table)
            write_whole(part / BUILD_FILE, (folder / BUILD_FILE).read_bytes())
            write_whole(part / CROISSANT_FILE, render_bundle_croissant(stored, rows, table).encode())
            write_json(part / KAGGLE_FILE, kaggle_metadata(stored, chosen, repo))
            rename_folder(part, out)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return chosen


def is_bundle(path: Path) -> bool:
    """Whether a folder is laid out as a bundle, however much of it is missing."""
    has = [os.path.lexists(path / name) for name in (TABLE, IMAGES, "README.md")]
    return any(has[:2]) and not has[2]


def image_file(layer: str, filter: int) -> str:
    """Where an image lies in a bundle."""
    return f"{IMAGES}/{layer}/{image_name(filter)}"


def bundled(stored: Mapping[str, Any], recipe: str) -> dict[str, Any]:
    """What build.json of the dataset says of one of its recipes."""
    return {**stored, "recipes": [each for each in stored["recipes"] if each["name"] == recipe]}


def render_table(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """metadata.csv of records with their labels as names, `file` and `split`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(column_types())
    writer.writerows([row[column] for column in column_types()] for row in rows)
    return text.getvalue().encode()


def render_bundle_croissant(stored: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], table: bytes) -> str:
    """croissant.json of a bundle, for its one recipe's part of build.json, its records, and metadata.csv."""
    recipe = stored["recipes"][0]["name"]
    counts = {"images": len(rows), "dead": sum(row["status"] == "dead" for row in rows)}
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
    return document({**stored, **counts}, [file_object(TABLE, "text/csv", io.BytesIO(table)), images], [records, pictures])


def kaggle_metadata(stored: Mapping[str, Any], recipe: str, repo: str | None = None) -> dict[str, Any]:
    """dataset-metadata.json: what Kaggle shows of the dataset, of every top-level file and of every column."""
    network = network_of(stored["network"])
    meaning = {"file": _FILE_MEANING, "split": _SPLIT_MEANING} | descriptions()
    fields = [
        {"name": name, "description": meaning[name], "type": _KAGGLE_TYPES[kind]} for name, kind in column_types().items()
    ]
    return {
        "id": repo or f"owner/{network.name.replace('_', '-')}-filter-activations",
        "title": f"{network.name.upper()[:20]} filter activations ({recipe})",
        "subtitle": f"An image for each filter of {network.name.upper()[:17]}, by gradient ascent, with evidence",
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
    network = network_of(stored["network"])
    scope = "" if stored["scope"]["complete"] else " This is a partial build: not every filter of the network is in it."
    source = f"The network is {network.model}" if network.model else _VGG16
    return f"""What do the filters of `{network.name}` look for? Each image was made by gradient ascent on one filter, from
noise drawn with a fixed seed, with the recipe `{recipe}`.{scope}

- `{IMAGES}/<layer>/filter-<n>.png`: the images.
- `{TABLE}`: the record of each: layer, filter, status (alive or dead), activation before and after, rank among the
  layer's images, uniformity index, hash of the pixels, split.
- `{BUILD_FILE}`: how it was made. The same software on the same kind of device makes the same pixels again:
  `{command_of(stored)}`

One image per filter is one answer out of many: another seed gives another image. Licence: {licence_of([recipe]).name}.
{source};
the layout, the method and the uniformity index are those of the study that first published an image for every filter of VGG16.
Made with amaxds.
"""


_REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")


def require_repo(repo: str) -> None:
    """UsageError for what is no `owner/name`."""
    if not _REPO.fullmatch(repo):
        raise UsageError(f"--repo {repo!r} is no repository.", "Write it as owner/name: letters, digits, '.', '_' and '-'.")
