"""The bundle: one recipe of a dataset folder as Kaggle expects a dataset, in the layout of the study's own publication.

filterActivations/<layer>/filter-<n>.png   the PNGs of the dataset folder, byte for byte
metadata.csv                               every column of the record but the image, with file_name and split
croissant.json  build.json                 description for machines, provenance
dataset-metadata.json                      title, licence, and a description of every file and column

`load_dataset("imagefolder", data_files="<folder>/**")` opens it, too: `file_name` is the column by which that finds an image's
record. With `data_dir` it would take layers for splits whose names have `train` or `test` in them.
"""

from __future__ import annotations

import re
from pathlib import Path

from amaxds.dataset.build_info import BUILD_FILE, BuildInfo
from amaxds.dataset.bundle_files import (
    IMAGES,
    KAGGLE_FILE,
    TABLE,
    image_file,
    kaggle_metadata,
    render_bundle_croissant,
    render_table,
)
from amaxds.dataset.card import default_config
from amaxds.dataset.croissant import CROISSANT_FILE
from amaxds.dataset.licence import licence_of
from amaxds.dataset.parquet import read_records
from amaxds.errors import UsageError
from amaxds.storage.files import write_json, write_whole
from amaxds.storage.location import LocalPath, require_loadable
from amaxds.storage.staging import require_apart, staged


def bundle(folder: Path, info: BuildInfo, out: Path, recipe: str | None = None, repo: str | None = None) -> str:
    """Write the bundle of one recipe of a valid dataset folder to `out`, which appears whole or not at all.

    recipe: by default the one of the dataset's default config. repo: `owner/name` on Kaggle, if it is known. Returns the
    recipe's name. UsageError if the dataset does not have the recipe, and if `out` is already there.
    """
    chosen = recipe or default_config(list(info.recipes))
    if chosen not in info.recipes:
        raise UsageError(f"{folder} has no recipe {chosen!r}.", f"It has {', '.join(info.recipes)}.")
    licence_of([chosen]).on("kaggle")
    if repo is not None:
        require_repo(repo)
    require_apart(out, folder)
    require_loadable(LocalPath(out))
    with staged(out) as part:
        (part / IMAGES).mkdir()
        rows = []
        for row in read_records(folder, chosen, info.network):
            row["file_name"] = image_file(row["layer"], row["filter"])
            write_whole(part / row["file_name"], row.pop("image"))
            rows.append(row)
        rows.sort(key=lambda row: (info.network.layer(row["layer"]).index, row["filter"]))
        table, part_info = render_table(rows), info.of_recipe(chosen)
        write_whole(part / TABLE, table)
        write_whole(part / BUILD_FILE, (folder / BUILD_FILE).read_bytes())
        write_whole(part / CROISSANT_FILE, render_bundle_croissant(part_info, rows, table).encode())
        write_json(part / KAGGLE_FILE, kaggle_metadata(part_info, sum(row["status"] == "dead" for row in rows), repo))
    return chosen


_REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")


def require_repo(repo: str) -> None:
    """UsageError for what is no `owner/name`."""
    if not _REPO.fullmatch(repo):
        raise UsageError(f"{repo!r} is no repository.", "Write it (--repo) as owner/name: letters, digits, '.', '_' and '-'.")
