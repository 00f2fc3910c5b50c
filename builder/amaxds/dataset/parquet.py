"""The dataset folder: finished shards as Hugging Face expects a dataset repository.

    vgg16-filter-activations/
      README.md              card with YAML
      <recipe>/<split>-00000-of-00001.parquet
      build.json             provenance
      contact-sheet-<recipe>.png
      .amaxds/               shards and lock, only until the build is finished

The parquet files are written by a `datasets` builder, which only packages: an error inside it would delete its output.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import datasets
import pyarrow.parquet as pq
from datasets.utils.info_utils import VerificationMode

from amaxds.dataset import record
from amaxds.spec.network import Network
from amaxds.spec.recipes import DESCRIBED, RECIPES
from amaxds.spec.splits import SPLITS, split_of
from amaxds.storage.files import disk_errors, move_whole

Rows = Callable[[], Iterable[dict[str, Any]]]
"""Every call gives all records of one recipe anew, in (layer, filter) order."""


# The builder names files after a dataset name of few characters, and a folder may have any name: the files are renamed.
_FILE_PREFIX = "images"


class FilterActivations(datasets.GeneratorBasedBuilder):  # type: ignore[misc]  # the library has no types
    """Records as a dataset with one config per recipe."""

    BUILDER_CONFIGS: ClassVar = [
        datasets.BuilderConfig(name=name, version="1.0.0", description=f"Images made with the recipe `{name}`.")
        for name in (*RECIPES, DESCRIBED.name)
    ]

    def __init__(self, *args: Any, network: Network, rows: Rows, **kwargs: Any) -> None:
        self.network, self.rows = network, rows
        self._split = {(layer.name, filter): split for layer in network.layers for filter, split in split_of(layer).items()}
        super().__init__(*args, **kwargs)

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(features=record.features(self.network))

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        present = {self._split[row["layer"], row["filter"]] for row in self.rows()}
        return [datasets.SplitGenerator(name=split, gen_kwargs={"split": split}) for split in SPLITS if split in present]

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        for key, row in enumerate(self.rows()):
            if self._split[row["layer"], row["filter"]] == split:
                checked = record.Record.model_validate(row).model_dump()
                yield key, checked | {"image": {"bytes": checked["image"], "path": image_name(row["filter"])}}


def image_name(filter: int) -> str:
    """The file name that an image carries in the parquet files; the library keeps no folders."""
    return f"filter-{filter}.png"


def package(network: Network, recipe: str, rows: Rows, folder: Path, scratch: Path) -> None:
    """Write one recipe's records to `folder/<recipe>/<split>-*.parquet`, the splits that have any."""
    prepared = scratch / recipe
    with disk_errors(prepared), quiet():
        builder = FilterActivations(
            cache_dir=str(scratch / "cache"),
            dataset_name=_FILE_PREFIX,
            config_name=recipe,
            network=network,
            rows=rows,
        )
        builder.download_and_prepare(str(prepared), file_format="parquet", verification_mode=VerificationMode.NO_CHECKS)
    for split in builder.info.splits:
        files = sorted(prepared.glob(f"{_FILE_PREFIX}-{split}*.parquet"))
        for number, file in enumerate(files):
            move_whole(file, folder / recipe / f"{split}-{number:05d}-of-{len(files):05d}.parquet")


def dataset_info(network: Network, recipe: str, folder: Path) -> datasets.DatasetInfo:
    """What the card says of one recipe's files: features, and for each split its records and bytes, uncompressed.

    Read from the files' own metadata. OSError or pyarrow.ArrowException where one is no parquet file.
    """
    splits, size = datasets.SplitDict(), 0
    for split in SPLITS:
        files = [file for name, file in split_files(folder, recipe) if name == split]
        if files:
            size += sum(file.stat().st_size for file in files)
            found = [pq.read_metadata(file) for file in files]
            rows = sum(each.num_rows for each in found)
            plain = sum(each.row_group(i).total_byte_size for each in found for i in range(each.num_row_groups))
            splits.add(datasets.SplitInfo(split, num_bytes=plain, num_examples=rows))
    return datasets.DatasetInfo(
        features=record.features(network),
        splits=splits,
        download_size=size,
        dataset_size=sum(each.num_bytes for each in splits.values()),
        config_name=recipe,
    )


def read_records(folder: Path, recipe: str, network: Network) -> Iterator[dict[str, Any]]:
    """Every record of one recipe, as `named` gives it, with its split. For folders that were found valid."""
    for split, file in split_files(folder, recipe):
        for rows in row_batches(pq.ParquetFile(file)):
            yield from (named(row, network) | {"split": split} for row in rows)


def row_batches(source: pq.ParquetFile) -> Iterator[list[dict[str, Any]]]:
    """All rows of a file, some at a time; asked for all row groups at once, the library would keep every one it has read."""
    for group in range(source.num_row_groups):
        for batch in source.iter_batches(batch_size=64, row_groups=[group]):
            yield batch.to_pylist()


def named(row: Mapping[str, Any], network: Network) -> dict[str, Any]:
    """A stored row with labels by name, the bytes of its PNG as `image`, and the path that it carries as `path`."""
    image, layer, status = row["image"] or {}, row["layer"], row["status"]
    return {
        **row,
        "image": image.get("bytes") or b"",
        "path": image.get("path"),
        "layer": network.layers[layer].name if layer in range(len(network.layers)) else f"layer {layer}",
        "status": record.STATUSES[status] if status in range(len(record.STATUSES)) else str(status),
    }


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the library's own progress bars."""
    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()


def split_files(folder: Path, recipe: str) -> list[tuple[str, Path]]:
    """The parquet files of one recipe in a dataset folder, with the split that each name says, in the order of splits."""
    found = sorted(path for path in (folder / recipe).glob("*.parquet") if path.is_file() and not path.is_symlink())
    named = [(path.name.partition("-")[0], path) for path in found]
    return sorted(named, key=lambda pair: (SPLITS.index(pair[0]) if pair[0] in SPLITS else len(SPLITS), pair[1].name))
