"""Whatever a bundle's zip holds that the bundle does not is found, and nothing of it is written."""

from __future__ import annotations

import io
import os
import shutil
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amaxds.checks.validate import validate
from amaxds.errors import WrongData
from amaxds.image import encode_png
from amaxds.storage.archive import open_archive
from support.folders import zipped

Corruption = Callable[[Path], object]


IMAGE = "filterActivations/block1_conv2/filter-3.png"


@pytest.fixture
def copy(bundled: Path, tmp_path: Path) -> Path:
    return shutil.copytree(bundled, tmp_path / "bundle")


def _add(name: str, data: bytes = b"x", mode: int = 0, **changes: int) -> Corruption:
    def change(path: Path) -> None:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = mode << 16
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(entry, data)

    return change


def _bytes(change: Callable[[bytes], bytes]) -> Corruption:
    return lambda path: path.write_bytes(change(path.read_bytes()))


def _replace(name: str, data: bytes, method: int = zipfile.ZIP_DEFLATED) -> Corruption:
    """The same zip with one file exchanged."""

    def change(path: Path) -> None:
        with zipfile.ZipFile(path) as archive:
            files = {each: archive.read(each) for each in archive.namelist() if not each.endswith("/")}
        with zipfile.ZipFile(path, "w", method) as archive:
            for each, content in (files | {name: data}).items():
                archive.writestr(each, content)

    return change


def _lie_about_size(data: bytes) -> bytes:
    """The size of build.json, in the list at the end, changed to one byte."""
    place = data.rindex(b"PK\1\2", 0, data.rindex(b"build.json"))
    return data[: place + 24] + struct.pack("<I", 1) + data[place + 28 :]


def _sparse(path: Path) -> None:
    """A file of two gigabytes, most of it holes, whose list of entries claims a gigabyte of it."""
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 1 << 30, 1 << 30, 0)
    with path.open("wb") as file:
        file.seek(2 << 30)
        file.write(end)


ZIP_CORRUPTIONS: dict[str, tuple[str, Corruption]] = {
    "a name that climbs out": ("files", _add("../../evil.png")),
    "an absolute name": ("files", _add("/etc/evil.png")),
    "a name with a drive": ("files", _add("C:/evil.png")),
    "a name with backslashes": ("files", _add("..\\evil.png")),
    "an image that is a link": ("files", _add("filterActivations/block1_conv1/filter-x.png", b"/etc/passwd", stat.S_IFLNK)),
    "a device": ("files", _add("tape", mode=stat.S_IFBLK)),
    "an empty folder": ("files", _add("more/", b"")),
    "a bomb for an image": ("image", _replace(IMAGE, bytes(200_000_000))),
    "a bomb for build.json": ("build", _replace("build.json", bytes(200_000_000))),
    "a bomb for metadata.csv": ("files", _replace("metadata.csv", bytes(200_000_000))),
    "compressed in another way": ("files", _replace(IMAGE, b"x", zipfile.ZIP_BZIP2)),
    "cut off": ("files", _bytes(lambda data: data[:-100])),
    "empty": ("files", _bytes(lambda data: b"")),
    "no zip at all": ("files", _bytes(lambda data: b"hello" * 100)),
    "a size that is not the file's": (
        "build",
        _bytes(_lie_about_size),
    ),
    "one byte of an image changed": (
        "image",
        _bytes(lambda data: (at := data.index(b"IDAT") + 99) and data[:at] + b"?" + data[at + 1 :]),
    ),
    "a list of entries of a gigabyte": ("files", _sparse),
}


@pytest.mark.parametrize("corruption", ZIP_CORRUPTIONS)
def test_every_corruption_of_a_zip_is_found_under_its_rule(corruption: str, copy: Path) -> None:
    rule, corrupt = ZIP_CORRUPTIONS[corruption]
    path = zipped(copy)
    corrupt(path)
    found = {finding.rule for finding in validate(path).findings}
    assert rule in found


def _written(change: Callable[[zipfile.ZipFile, zipfile.ZipInfo], None]) -> Corruption:
    """The same zip, with `change` called for the archive and each entry before it is written."""

    def write(path: Path) -> None:
        with zipfile.ZipFile(path) as archive:
            files = {each: archive.read(each) for each in archive.namelist() if not each.endswith("/")}
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                entry = zipfile.ZipInfo(name)
                change(archive, entry)
                archive.writestr(entry, content)

    return write


def _leave_a_gap(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    assert archive.fp is not None
    archive.fp.seek(archive.start_dir)
    archive.fp.write(b"hidden")
    archive.start_dir += len(b"hidden")


HIDDEN: dict[str, tuple[str, Corruption]] = {
    "a program before the zip": ("has 10 bytes that belong to no entry before", _bytes(lambda data: b"#!/bin/sh\n" + data)),
    "bytes between entries": ("has 6 bytes that belong to no entry before", _written(_leave_a_gap)),
    "another name in the header": (
        "has another header than in its directory for build.json",
        _bytes(lambda data: data.replace(b"build.json", b"bu1ld.json", 1)),
    ),
    "a checksum of 0 in the header": (
        "has another checksum or size than in its directory",
        _bytes(lambda data: data[:14] + bytes(4) + data[18:]),
    ),
    "a second name": (
        "has an extra field of kind 0x7075",
        _written(lambda archive, entry: setattr(entry, "extra", struct.pack("<HHBI", 0x7075, 9, 1, 0) + b"evil")),
    ),
    "flags that mask the header": (
        "has flags 0x2000",
        _bytes(lambda data: (at := data.index(b"PK\1\2")) and data[: at + 8] + b"\x00\x20" + data[at + 10 :]),
    ),
    "an image marked as a folder": (
        "has the attributes of a folder for the file",
        _written(lambda archive, entry: setattr(entry, "external_attr", 0x10)),
    ),
    "more entries at its end than there are": (
        "says something else at its end",
        _bytes(lambda data: data[:-12] + struct.pack("<H", 99) + data[-10:]),
    ),
    "another disk at its end": (
        "says something else at its end",
        _bytes(lambda data: data[:-18] + struct.pack("<H", 7) + data[-16:]),
    ),
    "a comment for an entry": (
        "has a comment for",
        _written(lambda archive, entry: setattr(entry, "comment", b"hidden")),
    ),
    "a comment": ("has a comment", _written(lambda archive, entry: setattr(archive, "comment", b"hidden"))),
}


def test_bytes_behind_the_packed_image_within_its_entry_are_found(copy: Path) -> None:
    path = zipped(copy)
    _replace(IMAGE, copy.joinpath(IMAGE).read_bytes())(path)
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo(IMAGE)
    data = path.read_bytes()
    end = entry.header_offset + 30 + len(IMAGE) + entry.compress_size
    place = data.rindex(b"PK\1\2", 0, data.rindex(IMAGE.encode()))
    directory = len(data) - 22 - struct.unpack("<I", data[-10:-6])[0]
    listed = bytearray(data[directory:-22])
    # The sizes in both headers, and the places of what comes behind.
    for at, size in ((entry.header_offset + 18, entry.compress_size),):
        data = data[:at] + struct.pack("<I", size + 6) + data[at + 4 :]
    listed[place - directory + 20 : place - directory + 24] = struct.pack("<I", entry.compress_size + 6)
    at = 0
    while at < len(listed):
        (offset,) = struct.unpack("<I", listed[at + 42 : at + 46])
        if offset > entry.header_offset:
            listed[at + 42 : at + 46] = struct.pack("<I", offset + 6)
        at += 46 + sum(struct.unpack("<3H", listed[at + 28 : at + 34]))
    ending = data[-22:-6] + struct.pack("<I", directory + 6) + data[-2:]
    path.write_bytes(data[:end] + b"hidden" + data[end:directory] + bytes(listed) + ending)
    (finding,) = validate(path).findings
    assert finding.problem == "cannot be unpacked: there are bytes behind its end"


@pytest.mark.parametrize("hidden", HIDDEN)
def test_what_is_hidden_in_a_zip_is_found(hidden: str, copy: Path) -> None:
    words, hide = HIDDEN[hidden]
    path = zipped(copy)
    hide(path)
    found = [each.problem for each in validate(path).findings if (each.rule, each.place) == ("files", "zip")]
    assert len(found) == 1
    assert found[0].startswith(words)


@pytest.mark.parametrize(
    ("folder", "valid"), [("bundle", True), ("my bundle", True), (".git", False), (" ", False), ("a\nb", False)]
)
def test_all_files_may_be_in_one_folder_with_a_folders_name(folder: str, valid: bool, copy: Path) -> None:
    path = copy.parent / "nested.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(each for each in copy.rglob("*") if each.is_file()):
            archive.write(file, f"{folder}/{file.relative_to(copy)}")
    assert validate(path).valid == valid


def test_an_entry_may_be_large_and_has_its_checksum_and_takes_no_more_than_its_size(tmp_path: Path) -> None:
    large = np.random.default_rng(0).bytes(20_000_000)
    with zipfile.ZipFile(tmp_path / "large.zip", "w") as archive:
        archive.writestr("large", large)
        archive.writestr("small", bytes(10), zipfile.ZIP_DEFLATED)
    with open_archive(tmp_path / "large.zip") as opened:
        assert opened.read("large", len(large)) == large
    data = (tmp_path / "large.zip").read_bytes()
    place = data.rindex(b"PK\1\2")
    (tmp_path / "lie.zip").write_bytes(data[: place + 20] + struct.pack("<I", 15_000_000) + data[place + 24 :])
    at = data.index(large[:100])
    (tmp_path / "changed.zip").write_bytes(data[:at] + b"changed" + data[at + 7 :])
    with open_archive(tmp_path / "changed.zip") as opened, pytest.raises(WrongData, match="unpacks to others"):
        opened.read("large", len(large))
    with open_archive(tmp_path / "lie.zip") as opened, pytest.raises(WrongData, match="it takes 15000000 bytes for 10"):
        opened.read("small", 100)


class _Stream(io.RawIOBase):
    """A file that is only written on, as a pipe is: sizes and checksums then come behind each entry."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self._file.write(data)

    def close(self) -> None:
        self._file.close()
        super().close()


def test_a_zip_that_was_written_to_a_pipe_is_valid(copy: Path) -> None:
    path = copy.parent / "streamed.zip"
    with _Stream(path) as stream, zipfile.ZipFile(stream, "w") as archive:
        for file in sorted(copy.rglob("*")):
            archive.write(file, file.relative_to(copy))
    with zipfile.ZipFile(path) as archive:
        assert archive.getinfo("build.json").flag_bits & 0x8
    assert validate(path).findings == []


def test_an_entry_that_is_there_twice_is_not_read(copy: Path) -> None:
    path = zipped(copy)
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr(IMAGE, encode_png(np.zeros((88, 88, 3), np.uint8)))
    findings = validate(path).findings
    assert ("files", IMAGE, "is there twice") in {(each.rule, each.place, each.problem) for each in findings}


def test_an_encrypted_entry_is_not_read(copy: Path) -> None:
    path = zipped(copy)
    data = path.read_bytes()
    place = data.rindex(b"PK\1\2")
    path.write_bytes(data[: place + 8] + b"\x01\x00" + data[place + 10 :])
    assert any(each.problem == "is encrypted" for each in validate(path).findings)


def test_nothing_is_written_while_a_zip_is_validated(copy: Path) -> None:
    path = zipped(copy)
    _add("../evil.png")(path)
    shutil.rmtree(copy)
    validate(path)
    assert os.listdir(path.parent) == [path.name]
