"""The bytes of a zip held against its own directory: they must be its entries, one behind the other, and nothing else.

A zip says everything twice: in a header before each entry, and in the directory at its end. Readers differ in which they
believe, and in what they make of bytes that belong to neither. The fields are those of PKWARE's APPNOTE.TXT 6.3.10, sections
4.3.7 to 4.3.16 and 4.5.
"""

from __future__ import annotations

import stat
import struct
import zipfile
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from amaxds.errors import WrongData

_HEADER = struct.Struct("<4s2xHH4xIIIHH")
"""Of an entry: signature, flags, method, CRC-32, compressed and plain size, and the lengths of name and extra field."""
_CENTRAL = 46
"""Bytes of a directory's record without name, extra field and comment."""
_END = struct.Struct("<4sHHHHIIH")
"""Of the whole: signature, this disk and the directory's, entries here and in all, the directory's size and place, and the
length of the comment."""
_ZIP64_ENDS = {0, 56 + 20}
"""Bytes between directory and end: none, or the two records of a zip that is too large for 32 bits."""
_EXTRAS = {0x0001, 0x000A, 0x5455, 0x5855, 0x7855, 0x7875, 0xCAFE}
"""What programs that make zips write in extra fields: sizes of 64 bits, times, owners, and a mark of Java's. Others, such as a
second name (0x7075), change what a reader sees."""
_LATER, _UTF8, _LEVEL = 0x8, 0x800, 0x6
"""Flags: CRC and sizes come behind the data; the name is UTF-8; how hard the data was packed."""
_PIECE = 1 << 20
"""Bytes that are read at a time."""
_FOLDER = 0x10
"""The mark of a folder in the attributes of DOS."""


def layout_problem(file: BinaryIO, archive: zipfile.ZipFile) -> str | None:
    """What is wrong with the layout of an opened zip, or None. OSError where the file cannot be read."""
    entries = sorted(archive.infolist(), key=lambda each: each.header_offset)
    return next(_problems(file, archive, entries), None)


def packed_bytes(file: BinaryIO, entry: zipfile.ZipInfo) -> bytes:
    """The bytes of an entry as they are in the zip, packed or not. WrongData for more than packing its size can give."""
    if entry.compress_size > entry.file_size + entry.file_size // 100 + 1000:
        raise WrongData(f"it takes {entry.compress_size} bytes for {entry.file_size}")
    file.seek(entry.header_offset)
    name_length, extra_length = _HEADER.unpack(file.read(_HEADER.size))[-2:]
    file.seek(name_length + extra_length, 1)
    pieces, left = [], entry.compress_size
    while left and (piece := file.read(min(left, _PIECE))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def _problems(file: BinaryIO, archive: zipfile.ZipFile, entries: Sequence[zipfile.ZipInfo]) -> Iterator[str]:
    directory = archive.start_dir
    at = 0
    for entry, end in zip(entries, [*(each.header_offset for each in entries[1:]), directory], strict=True):
        name = entry.orig_filename
        if entry.header_offset != at:
            yield f"has {entry.header_offset - at} bytes that belong to no entry before {name}"
        if entry.comment:
            yield f"has a comment for {name}"
        if entry.flag_bits & ~(0x1 | _LATER | _UTF8 | _LEVEL):  # Encryption is reported with the entry.
            yield f"has flags {entry.flag_bits:#06x} for {name}"
        if not name.endswith("/") and (entry.external_attr & _FOLDER or stat.S_ISDIR(entry.external_attr >> 16)):
            yield f"has the attributes of a folder for the file {name}"
        if name.endswith("/") and entry.file_size:
            yield f"has bytes in the folder {name}"
        yield from (f"{problem} for {name}" for problem in _header_problems(file, entry, end))
        at = end
    if at != directory or archive.comment:
        yield "has a comment, or bytes that belong to no entry before its directory"
    size = sum(_CENTRAL + len(_name(each)) + len(each.extra) + len(each.comment) for each in entries)
    if file.seek(0, 2) - directory - size - _END.size not in _ZIP64_ENDS:
        yield "has bytes that belong to nothing in or behind its directory"
    file.seek(-_END.size, 2)
    said = _END.unpack(file.read(_END.size))[1:]
    due = (0, 0, len(entries), len(entries), size, directory, 0)
    if any(here not in (there, 0xFFFF, 0xFFFFFFFF) for here, there in zip(said, due, strict=True)):
        yield "says something else at its end than in its directory"


def _header_problems(file: BinaryIO, entry: zipfile.ZipInfo, end: int) -> Iterator[str]:
    file.seek(entry.header_offset)
    found = file.read(_HEADER.size)
    if len(found) < _HEADER.size:
        yield "has no header"
        return
    signature, flags, method, crc, packed, plain, name_length, extra_length = _HEADER.unpack(found)
    name, extra = file.read(name_length), file.read(extra_length)
    if (signature, flags, method, name) != (b"PK\3\4", entry.flag_bits, entry.compress_type, _name(entry)):
        yield "has another header than in its directory"
    for field in (extra, entry.extra):
        unknown = sorted(set(_extra_kinds(field)) - _EXTRAS)
        if unknown:
            yield f"has an extra field of kind {unknown[0]:#06x}"
    later = bool(flags & _LATER)
    said = ((crc, entry.CRC), (packed, entry.compress_size), (plain, entry.file_size))
    if any(
        here not in ((due, 0) if later else (due,)) and not (here == 0xFFFFFFFF and 1 in _extra_kinds(extra))
        for here, due in said
    ):
        yield "has another checksum or size than in its directory"
    start = entry.header_offset + _HEADER.size + name_length + extra_length
    rest = end - start - entry.compress_size
    file.seek(max(end - rest, 0))
    descriptor = file.read(rest) if 0 < rest <= 24 else b""
    sizes = [struct.pack(form, entry.CRC, entry.compress_size, entry.file_size) for form in ("<III", "<IQQ")] if later else []
    if (rest or (later and entry.file_size)) and descriptor.removeprefix(b"PK\7\x08") not in sizes:
        yield f"has {rest} bytes too many or too few"


def _name(entry: zipfile.ZipInfo) -> bytes:
    return entry.orig_filename.encode("utf-8" if entry.flag_bits & _UTF8 else "cp437")


def _extra_kinds(field: bytes) -> Iterator[int]:
    """The kinds in an extra field; -1 for bytes that are no part of one."""
    while field:
        if len(field) < 4 or len(field) < 4 + (length := struct.unpack("<H", field[2:4])[0]):
            yield -1
            return
        yield struct.unpack("<H", field[:2])[0]
        field = field[4 + length :]
