"""Builds on full disks and in folders that may not be written end with what is finished kept."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.commands import SMALL, amaxds
from support.folders import files_of, shards_of

SMALL_UNITS = ("block1_conv1", "block1_conv2", "block2_conv1")


class SmallDisk:
    """A file system with room for little, seen only by processes that it starts itself. Use as a context manager."""

    def __init__(self, folder: Path, options: str) -> None:
        self._folder, self._options = folder, options

    def __enter__(self) -> SmallDisk:
        self._folder.mkdir()
        script = 'mount -t tmpfs -o "$1" none "$0" && echo mounted && exec cat'
        command = ["unshare", "--user", "--mount", "--map-root-user", "sh", "-c", script, str(self._folder), self._options]
        try:
            self._keeper = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        except FileNotFoundError:
            pytest.skip("there is no unshare to make a small disk with")
        if self._keeper.stdout is None or self._keeper.stdout.readline() != b"mounted\n":
            pytest.skip(f"a small disk cannot be mounted here: {self._keeper.communicate()[1].decode()}")
        return self

    def __exit__(self, *_: object) -> None:
        self._keeper.communicate()

    def run(self, *command: object) -> subprocess.CompletedProcess[str]:
        inside = ["nsenter", "--target", str(self._keeper.pid), "--user", "--mount", "--preserve-credentials"]
        return subprocess.run([*inside, *map(str, command)], capture_output=True, text=True, timeout=300, check=False)

    def amaxds(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "amaxds", *arguments)

    def enlarge(self) -> None:
        ended = self.run("mount", "-o", "remount,size=100m,nr_inodes=10k", self._folder)
        assert ended.returncode == 0, ended.stderr

    def seen(self, path: Path) -> Path:
        """The path under which this process sees what the others see as `path`."""
        return Path(f"/proc/{self._keeper.pid}/root{path}")


DISKS = {
    "for less than one shard": ("size=100k", ".amaxds/shards/original/block1_conv"),
    "for two of three shards": ("size=400k", ".amaxds/shards/original/"),
    "for the shards alone": ("size=700k", ".amaxds/packaged/original"),
    "for all files but the last": ("nr_inodes=18", ".amaxds/packaged/"),
}


# That a write may fail anywhere is also in test_file_operations.py.
@pytest.mark.parametrize("disk", [pytest.param(each, marks=[pytest.mark.long] * ("shards" in each)) for each in DISKS])
def test_a_full_disk_ends_a_build_that_goes_on_once_there_is_room(disk: str, small: Path, tmp_path: Path) -> None:
    options, place = DISKS[disk]
    with SmallDisk(tmp_path / "disk", options) as small_disk:
        folder = tmp_path / "disk" / small.name
        ended = small_disk.amaxds("build", folder, *SMALL)
        errors = ended.stderr.splitlines()
        print(disk, ended.returncode, errors[-2:])
        assert ended.returncode == 3
        assert errors[-2].startswith(f"amaxds: cannot write {folder / place}")
        assert errors[-2].endswith(": No space left on device.")
        assert errors[-1].startswith("What is finished is kept: make room")
        left = {path.name for path in small_disk.seen(folder).rglob("*") if path.is_file()}
        assert left <= {"lock", "build.json", *(f"{unit}-0000.parquet" for unit in SMALL_UNITS)}
        small_disk.enlarge()
        ended = small_disk.amaxds("build", folder, *SMALL)
        assert ended.returncode == 0, ended.stderr
        assert files_of(small_disk.seen(folder)) == files_of(small)


def _heed_permissions() -> None:
    """In a child process, before it begins: root goes without the capability that lets it write anywhere."""
    if os.geteuid() == 0:
        for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            ctypes.CDLL(None, use_errno=True).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


READ_ONLY = {
    "the folder above": ("small", "..", "demo-filter-activations"),
    "an empty folder": (None, ".", "demo-filter-activations/.amaxds"),
    "the working folder": ("unfinished", ".amaxds", ".amaxds"),
    "the folder of shards": ("unfinished", ".amaxds/shards/original", "block1_conv1-0000.parquet"),
    "the folder with all shards": ("unfinished", ".", ""),
}


@pytest.mark.skipif(sys.platform != "linux", reason="capabilities are dropped as Linux does it")
@pytest.mark.parametrize("case", READ_ONLY)
def test_a_folder_that_may_not_be_written_is_left_as_it_is(
    case: str, request: pytest.FixtureRequest, tmp_path: Path, small: Path
) -> None:
    state, place, words = READ_ONLY[case]
    folder = tmp_path / "above" / small.name
    folder.parent.mkdir()
    if state == "unfinished":
        shutil.copytree(request.getfixturevalue(state), folder)
        if place == ".amaxds/shards/original":
            shards_of(folder)[0].unlink()
    elif state is None:
        folder.mkdir()
    closed = folder / place if place != ".." else folder.parent
    (folder / ".amaxds" / "lock").unlink(missing_ok=True)
    before = _tree(folder)
    closed.chmod(0o555)
    command = [sys.executable, "-m", "amaxds", "build", str(folder), *SMALL]
    ended = subprocess.run(command, capture_output=True, text=True, preexec_fn=_heed_permissions, check=False, timeout=300)
    closed.chmod(0o755)
    assert ended.returncode == 3, ended.stderr
    errors = ended.stderr.splitlines()[-2:]
    assert errors[0].startswith("amaxds: cannot write")
    assert words in errors[0]
    assert errors[0].endswith(": Permission denied.")
    assert "change the permissions" in errors[1]
    assert {name: data for name, data in _tree(folder).items() if name != ".amaxds/lock"} == before
    if case == "the folder with all shards":
        assert amaxds("build", folder, *SMALL).returncode == 0
        assert files_of(folder) == files_of(small)


def _tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
