"""Ways to damage a dataset folder; each is, or gives, a function that takes the folder."""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from amaxds.image import decode_png, encode_png, pixels_sha256, uniformity_index
from amaxds.spec.network import DEMO
from amaxds.spec.recipes import ORIGINAL

Row = dict[str, Any]


def change_rows(folder: Path, change: Callable[[list[Row]], list[Row] | None]) -> None:
    """Rewrite the training split with the same columns after a change to its rows."""
    table = pq.read_table(folder / TRAIN)
    rows = table.to_pylist()
    pq.write_table(pa.Table.from_pylist(change(rows) or rows, schema=table.schema), folder / TRAIN)


def change_table(folder: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.read_table(folder / TRAIN)), folder / TRAIN)


def set_value(column: str, value: Any, row: int = 2) -> Callable[[Path], None]:
    def change(rows: list[Row]) -> None:
        rows[row][column] = value

    return lambda folder: change_rows(folder, change)


def set_image(png: bytes) -> Callable[[Path], None]:
    return set_value("image", {"bytes": png, "path": "x.png"})


def edit_path(folder: Path) -> None:
    change_rows(folder, lambda rows: rows[2]["image"].update(path="../../x.png"))


def change_one_pixel(folder: Path) -> None:
    def change(rows: list[Row]) -> None:
        pixels = decode_png(rows[2]["image"]["bytes"])
        pixels[5, 5, 1] ^= 1
        rows[2]["image"]["bytes"] = encode_png(pixels)

    change_rows(folder, change)


def swap_images(folder: Path) -> None:
    def change(rows: list[Row]) -> None:
        rows[2]["image"], rows[3]["image"] = rows[3]["image"], rows[2]["image"]

    change_rows(folder, change)


def resize(folder: Path) -> None:
    def change(rows: list[Row]) -> None:
        pixels = decode_png(rows[2]["image"]["bytes"])[:80]
        rows[2] |= {
            "image": {"bytes": encode_png(pixels), "path": None},
            "uniformity_index": uniformity_index(pixels),
            "pixels_sha256": pixels_sha256(pixels),
        }

    change_rows(folder, change)


def move_split(folder: Path) -> None:
    test = folder / "original/test-00000-of-00001.parquet"
    moved = pq.read_table(test)
    pq.write_table(moved.slice(0, 0), test)
    change_table(
        folder, lambda table: pa.concat_tables([moved, table]).sort_by([("layer", "ascending"), ("filter", "ascending")])
    )


def replace_text(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return change


def edit_recipe(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        stored = json.loads((folder / "build.json").read_text())
        stored["recipes"][0] |= changes
        (folder / "build.json").write_text(json.dumps(stored))

    return change


def write_text(name: str, text: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)

    return change


def change_metadata(features: Any) -> Callable[[Path], None]:
    """Other features than the columns', as `datasets` reads them from the file."""
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    return lambda folder: change_table(folder, lambda table: table.replace_schema_metadata(metadata))


def declare_twice(folder: Path) -> None:
    """The features twice in the JSON that the Hub reads, the right ones last."""

    def change(table: pa.Table) -> pa.Table:
        right = table.schema.metadata[b"huggingface"]
        return table.replace_schema_metadata({b"huggingface": b'{"info": {"features": {}}, ' + right[1:]})

    change_table(folder, change)


def change_bytes(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        before = (folder / name).read_bytes()
        after = change(before)
        assert after != before
        (folder / name).write_bytes(after)

    return write


def hide_before_footer(data: bytes) -> bytes:
    """A parquet file with bytes between its columns and its footer."""
    end = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    return data[:end] + b"hidden" + data[end:]


def repeat_key(data: bytes) -> bytes:
    """A parquet file whose footer has the key `huggingface` twice: another entry in its list, written by hand (Thrift)."""
    end = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    footer = data[end:-8]
    first, key, after = (
        footer.index(name) for name in (b"\x18\x18content_defined", b"\x18\x0bhuggingface", b"\x18\x0cARROW:schema")
    )
    assert footer[first - 1] == 0x3C
    assert first < key < after
    longer = footer[: first - 1] + b"\x4c" + footer[first:after] + footer[key:after] + footer[after:]
    return data[:end] + longer + len(longer).to_bytes(4, "little") + data[-4:]


def cast_column(column: str, kind: pa.DataType) -> Callable[[Path], None]:
    """Store a column in another type than the file's features declare."""

    def change(table: pa.Table) -> pa.Table:
        place = table.schema.get_field_index(column)
        return table.cast(table.schema.set(place, table.schema.field(place).with_type(kind)))

    return lambda folder: change_table(folder, change)


def put_pipe(name: str) -> Callable[[Path], None]:
    return lambda folder: ((folder / name).unlink(), os.mkfifo(folder / name))[1]


def put_link(name: str, target: str) -> Callable[[Path], None]:
    return lambda folder: ((folder / name).unlink(), (folder / name).symlink_to(target))[1]


def plant_yaml_bomb(folder: Path) -> None:
    lines = ["x0: &x0 [a, a, a, a, a, a, a, a, a, a]"]
    lines += [f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 10)}]" for n in range(1, 10)]
    replace_text("README.md", "license: cc-by-4.0", "\n".join([*lines, "license: *x9"]))(folder)


def write_many_rows(folder: Path) -> None:
    schema = pq.read_schema(folder / TRAIN)
    nothing = pa.Table.from_arrays([pa.nulls(1_000_000, field.type) for field in schema], schema=schema)
    pq.write_table(nothing, folder / TRAIN)


def append_to_png(data: bytes) -> Callable[[Path], None]:
    def change(rows: list[Row]) -> None:
        rows[2]["image"]["bytes"] += data

    return lambda folder: change_rows(folder, change)


def append_chunk(kind: bytes, data: bytes) -> Callable[[Path], None]:
    """Put a chunk before a PNG's end."""

    def change(rows: list[Row]) -> None:
        png = rows[2]["image"]["bytes"]
        rows[2]["image"]["bytes"] = png[:-12] + _chunk(kind, data) + png[-12:]

    return lambda folder: change_rows(folder, change)


def repack(change: Callable[[bytes], bytes], end: bytes = b"", wrong: bytes = b"") -> Callable[[bytes], bytes]:
    """A PNG of the same picture, whose packed pixels are changed, with something in its end, or with a wrong checksum of the
    chunk that is named."""

    def changed(png: bytes) -> bytes:
        place, packed = 33, b""
        while png[place + 4 : place + 8] == b"IDAT":
            size = int.from_bytes(png[place : place + 4], "big")
            packed, place = packed + png[place + 8 : place + 8 + size], place + 12 + size
        made = png[:33] + _chunk(b"IDAT", change(packed)) + _chunk(b"IEND", end)
        at = made.index(wrong) if wrong else None
        return made if at is None else made[: at - 4] + _broken(made[at - 4 :])

    return changed


def _broken(chunk: bytes) -> bytes:
    """The bytes from a chunk on, with another checksum of that chunk."""
    end = 8 + int.from_bytes(chunk[:4], "big")
    return chunk[:end] + bytes(4) + chunk[end + 4 :]


HIDDEN = {
    "bytes in a PNG's end": repack(lambda packed: packed, end=b"hidden"),
    "a wrong checksum of the pixels": repack(lambda packed: packed, wrong=b"IDAT"),
    "a wrong checksum of the end": repack(lambda packed: packed, wrong=b"IEND"),
    "bytes after the packed pixels": repack(lambda packed: packed + b"hidden"),
    "a second picture after the first": repack(lambda packed: packed + packed),
    "rows after the last row": repack(lambda packed: zlib.compress(zlib.decompress(packed) + bytes(300))),
    "pixels that go on for ever": repack(lambda packed: zlib.compress(zlib.decompress(packed) + bytes(50_000_000))),
    "packed pixels without their checksum": repack(lambda packed: packed[:-4]),
}
"""PNG files that hold more, or less, than their pixels, though readers show the same picture."""


def hide_in_image(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def change_row(rows: list[Row]) -> None:
        rows[2]["image"]["bytes"] = change(rows[2]["image"]["bytes"])

    return lambda folder: change_rows(folder, change_row)


def hide_in_sheet(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def change_file(folder: Path) -> None:
        sheet = folder / "contact-sheet-original.png"
        sheet.write_bytes(change(sheet.read_bytes()))

    return change_file


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def store_sixteen_bits(folder: Path) -> None:
    """The same picture as a PNG of 16 bits a channel, which Pillow reads like one of 8."""

    def change(rows: list[Row]) -> None:
        pixels = decode_png(rows[2]["image"]["bytes"])
        height, width = pixels.shape[:2]
        lines = b"".join(b"\0" + (row.astype(">u2") * 257).tobytes() for row in pixels)
        header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
        signature = b"\x89PNG\r\n\x1a\n"
        rows[2]["image"]["bytes"] = (
            signature + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(lines)) + _chunk(b"IEND", b"")
        )

    change_rows(folder, change)


def repeat_picture(folder: Path) -> None:
    def change(rows: list[Row]) -> None:
        for column in ("uniformity_index", "pixels_sha256"):
            rows[3][column] = rows[2][column]
        rows[3]["image"]["bytes"] = rows[2]["image"]["bytes"]

    change_rows(folder, change)


def call_noise_a_result(folder: Path) -> None:
    """The image of a filter replaced by what it started from, with index and hash to match, and still called alive."""

    def change(rows: list[Row]) -> None:
        row = rows[2]
        layer = DEMO.layers[row["layer"]]
        pixels = ORIGINAL.decode(DEMO, ORIGINAL.start(DEMO, 0, layer.index, row["filter"]))
        row["image"]["bytes"] = encode_png(pixels)
        row |= {"uniformity_index": uniformity_index(pixels), "pixels_sha256": pixels_sha256(pixels), "status": 0}

    change_rows(folder, change)


def call_a_result_dead(folder: Path) -> None:
    def change(rows: list[Row]) -> None:
        row = next(row for row in rows if row["status"] == 0)
        row.update(status=1, activation=row["activation_start"])

    change_rows(folder, change)


def exchange_rank(folder: Path) -> None:
    """A rank changed within its range, so that it is no longer what build.json says of it."""

    def change(rows: list[Row]) -> None:
        row = next(row for row in rows if row["status"] == 0)
        row["activation_rank"] = 2 if row["activation_rank"] == 1 else 1

    change_rows(folder, change)


def edit_outranked(**changes: Any) -> Callable[[Path], None]:
    """Changes of the first image that build.json names as outranked: a value, or what gives it from the entry."""

    def change(folder: Path) -> None:
        stored = json.loads((folder / "build.json").read_text())
        entry = stored["outranked"]["original"][0]
        entry |= {key: value(entry) if callable(value) else value for key, value in changes.items()}
        (folder / "build.json").write_text(json.dumps(stored))

    return change


def name_no_outranked(folder: Path) -> None:
    edit_build(outranked={"original": []})(folder)


def name_outranked_twice(folder: Path) -> None:
    stored = json.loads((folder / "build.json").read_text())
    stored["outranked"]["original"].append(stored["outranked"]["original"][0])
    (folder / "build.json").write_text(json.dumps(stored))


def edit_build(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        stored = json.loads((folder / "build.json").read_text())
        (folder / "build.json").write_text(json.dumps(stored | changes))

    return change


TRAIN = "original/train-00000-of-00001.parquet"


def nest_folders(folder: Path) -> None:
    """1500 folders, one in the other, so that the path of the last is longer than the system takes."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("deep-name", dir_fd=here)
        inside = os.open("deep-name", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inside
    os.close(here)
