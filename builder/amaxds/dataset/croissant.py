"""Croissant: a dataset described for machines, in JSON-LD (MLCommons Croissant 1.1 with its vocabulary for responsible AI).

Rendered from the definition of the record, from build.json and from the data files themselves, whose checksums it holds.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from amaxds.dataset.build_info import BuildInfo
from amaxds.dataset.licence import licence_of
from amaxds.dataset.parquet import split_files
from amaxds.dataset.record import STATUSES, descriptions, stored_types

CROISSANT_FILE = "croissant.json"

_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    **{
        term: f"cr:{term}"
        for term in (
            *("arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field", "fileObject"),
            *("fileProperty", "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5"),
            *("parentField", "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate", "separator"),
            *("source", "subField", "transform"),
        )
    },
}
_TYPES = {
    "image": "sc:ImageObject",
    "string": "sc:Text",
    "int32": "sc:Integer",
    "int64": "sc:Integer",
    "float32": "sc:Float",
    "float64": "sc:Float",
}
_CITE_VGG16 = (
    "K. Simonyan and A. Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, arXiv:1409.1556"
)
_CITE_STUDY = "the study that first published an image for every filter of VGG16's convolutional layers"
_RAI = {
    "rai:dataCollection": "Synthesised by gradient ascent on single filters of a convolutional network, from noise drawn with "
    "a fixed seed. No picture of the world is in it.",
    "rai:dataCollectionType": "Software Collection",
    "rai:dataUseCases": "Study of what filters of convolutional networks respond to; telling layers apart by such images.",
    "rai:dataLimitations": "One image per filter is one answer out of many: another seed gives another image. What raises a "
    "filter's mean output by gradient ascent need not be what raises it in natural pictures.",
    "rai:dataBiases": "Colours and contrast depend on the recipe as well as on the network, and the network on the pictures "
    "it was trained with.",
    "rai:personalSensitiveInformation": "None.",
    "rai:dataReleaseMaintenancePlan": "A dataset is made anew, as a new version, by the command in build.json.",
}

Entry = dict[str, Any]


def render_croissant(info: BuildInfo, folder: Path) -> str:
    """croissant.json of a dataset folder, for its build.json and the parquet files that are there."""
    distribution: list[Entry] = []
    record_sets: list[Entry] = [
        _classes("layers", [layer.name for layer in info.network.layers]),
        _classes("statuses", STATUSES),
    ]
    for recipe in info.recipes:
        files = [f"{recipe}/{file.name}" for _, file in split_files(folder, recipe)]
        for name in files:
            with (folder / name).open("rb") as file:
                distribution.append(file_object(name, "application/x-parquet", file))
        description = f"The parquet files of the recipe {recipe}."
        distribution.append(file_set(f"{recipe}-files", description, "application/x-parquet", f"{recipe}/*.parquet"))
        fields = [_parquet_field(recipe, column, kind) for column, kind in stored_types().items()]
        key = [{"@id": f"{recipe}/layer"}, {"@id": f"{recipe}/filter"}]
        record_sets.append(record_set(recipe, f"One record for each image made with the recipe {recipe}.", key, fields))
    return document(info, info.images, info.dead, distribution, record_sets)


def document(info: BuildInfo, images: int, dead: int, distribution: Sequence[Entry], record_sets: Sequence[Entry]) -> str:
    """The JSON-LD of a dataset with so many images, so many of them dead, and with these files and record sets."""
    network = info.network
    licence = licence_of(info.recipes)
    made = licence.url is not None
    how = (
        f"each made by gradient ascent on one filter of {network.name}"
        if made
        else f"said to be of {network.name}, made elsewhere"
    )
    cite = f"{network.model or _CITE_VGG16}; and {_CITE_STUDY}."
    known = {"license": licence.url, "citeAs": cite, "creator": {"@type": "Organization", "name": "amaxds"}, **_RAI}
    return (
        json.dumps(
            {
                "@context": _CONTEXT,
                "@type": "sc:Dataset",
                "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
                "name": info.dataset,
                "description": f"What the filters of a convolutional network look for: {images} images, {how}, "
                "with layer, filter, activation, rank, uniformity index and hash, as far as they are known. "
                f"{dead} of them are dead: their filter never had a gradient, and the image is its own "
                "starting noise.",
                "version": "1.0.0",
                "keywords": ["activation maximization", "feature visualization", "interpretability", network.name],
                "isLiveDataset": False,
                **(known if made else {}),
                "distribution": list(distribution),
                "recordSet": list(record_sets),
            },
            indent=2,
            ensure_ascii=False,
        )
        + "\n"
    )


def file_object(name: str, encoding: str, content: BinaryIO) -> Entry:
    """A file of the dataset with its size and checksum."""
    size = content.seek(0, io.SEEK_END)
    content.seek(0)
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{size} B",
        "encodingFormat": encoding,
        "sha256": hashlib.file_digest(content, "sha256").hexdigest(),  # type: ignore[arg-type]  # any binary file will do
    }


def file_set(name: str, description: str, encoding: str, includes: str) -> Entry:
    """Files of one kind, by a pattern of their names."""
    return {
        "@type": "cr:FileSet",
        "@id": name,
        "name": name,
        "description": description,
        "encodingFormat": encoding,
        "includes": includes,
    }


def record_set(name: str, description: str, key: Any, fields: Sequence[Entry]) -> Entry:
    """Records of one kind. key: the field or fields, as {"@id": ...}, that tell them apart."""
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": description,
        "key": key,
        "field": list(fields),
    }


def record_field(of: str, name: str, description: str, kind: str, source: Entry, references: str | None = None) -> Entry:
    """One field of the record set `of`, of a Croissant data type. references: the field whose values it takes."""
    return {
        "@type": "cr:Field",
        "@id": f"{of}/{name}",
        "name": name,
        "description": description,
        "dataType": kind,
        "source": source,
        **({"references": {"field": {"@id": references}}} if references else {}),
    }


def column_types() -> dict[str, str]:
    """The columns of metadata.csv with their Croissant types: those of the record without the image, after file and split."""
    kinds = {name: _TYPES.get(kind, "sc:Text") for name, kind in stored_types().items() if name != "image"}
    return {"file_name": "sc:Text", "split": "sc:Text"} | kinds


def _classes(name: str, labels: Sequence[str]) -> Entry:
    """The names that a class label's numbers stand for, as records."""
    fields = [
        {"@type": "cr:Field", "@id": f"{name}/label", "name": "label", "dataType": "sc:Integer"},
        {"@type": "cr:Field", "@id": f"{name}/name", "name": "name", "dataType": "sc:Text"},
    ]
    data = [{f"{name}/label": number, f"{name}/name": label} for number, label in enumerate(labels)]
    return record_set(name, f"The numbers that stand for {name}.", {"@id": f"{name}/label"}, fields) | {"data": data}


def _parquet_field(recipe: str, column: str, kind: str) -> Entry:
    labels = {"layer": "layers", "status": "statuses"}.get(kind)
    source: Entry = {"fileSet": {"@id": f"{recipe}-files"}, "extract": {"column": column}}
    if kind == "image":
        source["transform"] = {"jsonPath": "bytes"}
    data_type, references = ("sc:Integer", f"{labels}/label") if labels else (_TYPES[kind], None)
    return record_field(recipe, column, descriptions()[column], data_type, source, references)
