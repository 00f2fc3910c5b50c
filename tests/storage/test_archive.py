"""Archives: the files of a folder or zip, read within bounds."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from amaxds.storage.archive import open_archive
from support.folders import zipped


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_a_file_is_read_up_to_any_bound_and_not_beyond(form: str, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "metadata.csv").write_bytes(b"12345")
    with open_archive(zipped(folder) if form == "zip" else folder) as archive:
        assert archive.read("metadata.csv", 5) == b"12345"
        assert archive.read("metadata.csv", 10**30) == b"12345"
        with pytest.raises(ValueError, match="5 bytes, more than 4"):
            archive.read("metadata.csv", 4)


def test_folders_in_a_zip_may_end_with_a_dot_and_lead_nowhere_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bundle.zip", "w") as file:
        for name in ("metadata.csv", "conv./filter-1.png", "./a.png", "a/./b.png", "a/../b.png", "/c.png", "a//d.png"):
            file.writestr(name, b"")
    with open_archive(tmp_path / "bundle.zip") as archive:
        assert list(archive.files) == ["metadata.csv", "conv./filter-1.png"]
        assert len(archive.problems) == 5
