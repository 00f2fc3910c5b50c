"""Folders for temporary files: found again after a kill, and never left."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from amaxds.errors import DiskError
from amaxds.storage.scratch import KEPT, _sweep, require_room, scratch_folder, temporary_folder


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def _killed(temporary: Path, key: str) -> None:
    """Have another process make the folder, write into it, and be killed."""
    code = f"""
import os, signal, tempfile
from amaxds.storage.scratch import KEPT, scratch_folder
tempfile.tempdir = {str(temporary)!r}
with scratch_folder({key!r}) as folder:
    (folder / KEPT / "half").write_text("sent")
    (folder / "bundle").mkdir()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9


def test_nothing_is_left_of_it(temporary: Path) -> None:
    with scratch_folder("a") as folder:
        (folder / "bundle").mkdir()
        assert list(temporary.iterdir()) == [folder]
    with pytest.raises(ZeroDivisionError), scratch_folder("a"):
        raise ZeroDivisionError
    assert list(temporary.iterdir()) == []


def test_the_same_work_finds_what_a_killed_process_has_kept(temporary: Path) -> None:
    _killed(temporary, "a")
    (left,) = temporary.iterdir()
    with scratch_folder("a") as folder:
        assert folder == left
        assert (folder / KEPT / "half").read_text() == "sent"
        assert [path.name for path in folder.iterdir()] == [KEPT]
    assert list(temporary.iterdir()) == []


def test_other_work_deletes_what_killed_processes_have_left(temporary: Path) -> None:
    for key in ("a", "b"):
        _killed(temporary, key)
    with scratch_folder("c") as folder:
        assert list(temporary.iterdir()) == [folder]


def test_what_a_user_has_called_so_is_not_deleted(temporary: Path) -> None:
    own = temporary / f"amaxds-{os.getuid()}-filters"
    own.mkdir()
    with temporary_folder(), scratch_folder("a"):
        pass
    assert list(temporary.iterdir()) == [own]


def test_a_folder_of_a_killed_process_with_a_name_of_chance_is_deleted_too(temporary: Path) -> None:
    code = f"""
import os, signal, tempfile
from amaxds.storage.scratch import temporary_folder
tempfile.tempdir = {str(temporary)!r}
with temporary_folder() as folder:
    (folder / "fetched").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert len(list(temporary.iterdir())) == 1
    with temporary_folder() as folder, temporary_folder() as other:
        assert {*temporary.iterdir()} == {folder, other}
    assert list(temporary.iterdir()) == []


def test_two_processes_do_not_do_the_same_work_nor_delete_what_is_in_use(temporary: Path) -> None:
    with scratch_folder("a") as folder:
        with pytest.raises(TimeoutError), scratch_folder("a"):
            pass
        with scratch_folder("b") as other:
            assert other != folder
        assert folder.is_dir()


def test_processes_that_begin_together_do_not_take_each_others_sweeping_for_work(temporary: Path) -> None:
    """A sweep has a folder for as long as it takes to delete it, also one that its owner has only just made."""
    ended = threading.Event()

    def sweep() -> None:
        while not ended.is_set():
            _sweep(temporary / "another")

    with ThreadPoolExecutor(3) as pool:
        swept = [pool.submit(sweep) for _ in range(3)]
        try:
            for place in range(200):
                with scratch_folder(f"{place}"), temporary_folder() as folder:
                    assert folder.is_dir()
        finally:
            ended.set()
        assert [each.result() for each in swept] == [None] * 3


def test_a_folder_that_cannot_be_is_said(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with scratch_folder("a") as folder:
        name = folder.name
    (temporary / name).symlink_to("/etc")
    with pytest.raises(DiskError, match=name), scratch_folder("a"):
        pass
    monkeypatch.setattr("tempfile.tempdir", str(temporary / "nowhere"))
    with pytest.raises(DiskError, match="No such file"), scratch_folder("a"):
        pass


def test_too_little_room_is_said_with_both_sizes(temporary: Path) -> None:
    free = shutil.disk_usage(temporary).free
    require_room(temporary, 1, "that")
    with pytest.raises(DiskError, match=r"that takes \d+ MB of disk in .*, where \d+ MB are free\.\nMake room .* TMPDIR"):
        require_room(temporary, 2 * free, "that")


def test_without_a_temporary_folder_the_place_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/proc/nowhere")
    with pytest.raises(DiskError, match=r"cannot write /proc/nowhere/amaxds-.*: No such file"), temporary_folder():
        pass
