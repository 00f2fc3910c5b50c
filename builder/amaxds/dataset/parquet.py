"""The parquet files of a dataset folder: one or more a split, as Hugging Face's `datasets` writes them.

<recipe>/<split>-00000-of-00001.parquet
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from amaxds.dataset import record
from amaxds.dataset.record import Row
from amaxds.spec.network import Network
from amaxds.spec.splits import SPLITS, split_of
from amaxds.storage.files import disk_errors, move_whole

if TYPE_CHECKING:
    import datasets
    from datasets.arrow_writer import ParquetWriter

MOST_BYTES = 500_000_000
"""Of images in one file; a split with more has several files, as the Hub's viewer wants them."""


WRITERS = ("pyarrow", "datasets")
"""The libraries whose versions decide the bytes of a file of given rows."""


def opened(path: Path) -> pa.NativeFile:
    """A file for pyarrow to read, which takes no path with a part that is not UTF-8."""
    return pa.OSFile(os.fsencode(path))


def image_name(filter: int) -> str:
    """The file name that an image carries in the parquet files. It has no folder in it: the library drops folders."""
    return f"filter-{filter}.png"


def stored_row(row: Row) -> dict[str, Any]:
    """A record as the parquet files hold it, its values checked; pydantic.ValidationError where one is out of range."""
    checked = record.Record.model_validate(row).model_dump()
    return checked | {"image": {"bytes": checked["image"], "path": image_name(row["filter"])}}


@contextlib.contextmanager
def split_writer(folder: Path, network: Network) -> Iterator[Callable[[Row], None]]:
    """Gives a function to write the records of one recipe with, in (layer, filter) order, in one pass.

    Each record goes to the file of its split in `folder`; the files get their names when the context ends without an error.
    DiskError where the disk refuses.
    """
    splits = {(layer.name, filter): split for layer in network.layers for filter, split in split_of(layer).items()}
    parts: dict[str, list[Path]] = {}
    writers: dict[str, ParquetWriter] = {}
    sizes: dict[str, int] = {}

    def write(row: Row) -> None:
        split = splits[row["layer"], row["filter"]]
        if split not in writers or sizes[split] > MOST_BYTES:
            if split in writers:
                writers[split].finalize()
            files = parts.setdefault(split, [])
            files.append(folder / f"{split}-{len(files):05d}.part")
            writers[split], sizes[split] = _writer(network, pa.OSFile(os.fsencode(files[-1]), "wb")), 0
        writers[split].write(stored_row(row))
        sizes[split] += len(row["image"])

    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            yield write
            for writer in writers.values():
                writer.finalize()
        finally:
            for writer in writers.values():
                with contextlib.suppress(Exception):  # An error is on its way out already.
                    writer.close()
        for split, files in parts.items():
            for number, file in enumerate(files):
                move_whole(file, folder / f"{split}-{number:05d}-of-{len(files):05d}.parquet")


def _writer(network: Network, stream: pa.NativeFile) -> ParquetWriter:
    from datasets.arrow_writer import ParquetWriter

    return ParquetWriter(features=record.features(network), stream=stream)


class WrittenAgain(io.RawIOBase):
    """Writes the rows of a parquet file once more, into nothing, and compares the bytes with the file's.

    The same versions of pyarrow and `datasets` write the same bytes, so that a file has no room for anything that no reader of
    rows would see.
    """

    def __init__(self, file: Path, network: Network) -> None:
        self._file, self._same = opened(file), True
        self._writer = _writer(network, pa.PythonFile(self, "w"))

    def add(self, rows: list[dict[str, Any]]) -> None:
        """Write rows as they are stored."""
        for row in rows:
            self._writer.write(row)

    def same(self) -> bool:
        """Whether the rows added make the file, byte for byte."""
        self._writer.finalize()
        return self._same and not self._file.read(1)

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        """Take what the library writes."""
        self._same = self._same and self._file.read(len(data)) == data
        return len(data)


def dataset_info(network: Network, recipe: str, folder: Path) -> datasets.DatasetInfo:
    """What the card says of one recipe's files: features, and for each split its records and bytes, uncompressed.

    Read from the files' own metadata. OSError or pyarrow.ArrowException where one is no parquet file.
    """
    import datasets

    splits, size = datasets.SplitDict(), 0
    for split in SPLITS:
        files = [file for name, file in split_files(folder, recipe) if name == split]
        if files:
            size += sum(file.stat().st_size for file in files)
            found = [pq.read_metadata(opened(file)) for file in files]
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


def read_records(folder: Path, recipe: str, network: Network) -> Iterator[Row]:
    """Every record of one recipe, as `named` gives it, with its split. For folders that were found valid."""
    for split, file in split_files(folder, recipe):
        for rows in row_batches(pq.ParquetFile(opened(file))):
            yield from (named(row, network) | {"split": split} for row in rows)


def row_batches(source: pq.ParquetFile) -> Iterator[list[dict[str, Any]]]:
    """All rows of a file, some at a time; asked for all row groups at once, the library would keep every one it has read."""
    for group in range(source.num_row_groups):
        for batch in source.iter_batches(batch_size=64, row_groups=[group]):
            yield batch.to_pylist()


def named(row: Mapping[str, Any], network: Network) -> Row:
    """A stored row with labels by name, the bytes of its PNG as `image`, and the path that it carries as `path`."""
    image, layer, status = row.get("image") or {}, row["layer"], row["status"]
    return {
        **row,
        "image": image.get("bytes") or b"",
        "path": image.get("path"),
        "layer": network.layers[layer].name if layer in range(len(network.layers)) else f"layer {layer}",
        "status": record.STATUSES[status] if status in range(len(record.STATUSES)) else str(status),
    }


def split_files(folder: Path, recipe: str) -> list[tuple[str, Path]]:
    """The parquet files of one recipe in a dataset folder, with the split that each name says, in the order of splits."""
    found = sorted(path for path in (folder / recipe).glob("*.parquet") if path.is_file() and not path.is_symlink())
    pairs = [(path.name.partition("-")[0], path) for path in found]
    return sorted(pairs, key=lambda pair: (SPLITS.index(pair[0]) if pair[0] in SPLITS else len(SPLITS), pair[1].name))
