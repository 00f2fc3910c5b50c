"""Files appear in full or not at all, and what a process that was killed has left of them is deleted by the next."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from amaxds.storage.files import temporary_name, write_whole
from amaxds.storage.staging import staged

_LEAVE = """
import sys
from pathlib import Path
from amaxds.storage.files import temporary_name
temporary_name(Path(sys.argv[1])).write_text("half a file")
folder = temporary_name(Path(sys.argv[2]))
folder.mkdir()
(folder / "file").touch()
"""


def test_what_an_ended_process_has_left_is_deleted_and_nothing_else(tmp_path: Path) -> None:
    file, folder = tmp_path / "a.json", tmp_path / "report"
    subprocess.run([sys.executable, "-c", _LEAVE, file, folder], check=True)
    assert len(list(tmp_path.iterdir())) == 2
    running = [temporary_name(file), temporary_name(folder)]
    for each in running:  # Of this process.
        each.touch()
    others = [tmp_path / ".a.json.tmp", tmp_path / ".a.json.01234567-1-0123456789ab.tmp", tmp_path / f"x{running[0].name}"]
    for each in others:
        each.touch()
    write_whole(file, b"{}")
    with staged(folder) as part:
        (part / "file").write_text("whole")
    assert {path.name for path in tmp_path.iterdir()} == {each.name for each in (file, folder, *running, *others)}
    assert (folder / "file").read_text() == "whole"


def test_temporary_names_cannot_be_guessed(tmp_path: Path) -> None:
    assert len({temporary_name(tmp_path / "file") for _ in range(100)}) == 100
