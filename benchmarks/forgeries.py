"""Forgeries by somebody who has read `metadata/rules.md` and not the code: which of them `validate` finds.

    python benchmarks/forgeries.py [PART OF A NAME ...] > benchmarks/forgeries.md

`forgery/forgeries.py` has them: each takes a copy of a small dataset, or of its bundle, as folder or zip, and tells a lie,
hides something, or makes a danger of it, with whatever else follows from that told along. Of each it is said what is expected:
`invalid`, that `validate` finds it; `audit`, that only `audit` can, which computes images again; `harmless`, that nothing false
is told, so that both answers will do. Some ten minutes on 2 cores.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1] / "tests"), str(Path(__file__).with_name("forgery"))]

from forgeries import FORGERIES

from support.commands import amaxds
from support.folders import zipped

BUILD = (
    *("--network", "demo", "--recipe", "original", "--steps", "3"),
    *("--layers", "block1_conv1,block2_conv2,block3_conv1", "--filters", "0-7"),
)
"""The dataset that is forged: 24 images, some of them dead."""
SAMPLES = {"folder": "dataset", "bundle": "bundle", "folder.zip": "dataset.zip", "bundle.zip": "bundle.zip"}
SECONDS = 120


def main(parts: list[str]) -> None:
    chosen = [each for each in FORGERIES if not parts or any(part in each[0] for part in parts)]
    with tempfile.TemporaryDirectory(prefix="forgeries-") as name:
        folder = Path(name)
        assert amaxds("build", folder / "built" / "small", *BUILD).returncode == 0
        (folder / "built" / "small").rename(folder / "dataset")
        about = folder / "dataset" / "build.json"
        about.write_text(re.sub(r'"seconds_of_last_run": [\d.]+', '"seconds_of_last_run": 0.5', about.read_text()))
        assert amaxds("bundle", folder / "dataset", folder / "bundle").returncode == 0
        for each in ("dataset", "bundle"):
            zipped(folder / each)
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(lambda forgery: _judged(folder, *forgery), chosen))
    counts = Counter((expected, outcome) for _, expected, outcome, _ in found)
    outcomes = ("found", "valid", "valid but for", "refused", "bad")
    print(
        "# Forgeries\n\n`python benchmarks/forgeries.py`: what `validate` says of forged datasets. Expected to be invalid are"
    )
    print("those that it can know of, of `audit` those that take the network; harmless ones tell nothing false.\n")
    print(f"| expected | {' | '.join(outcomes)} |\n|---|{'--:|' * len(outcomes)}")
    for expected in ("invalid", "audit", "harmless"):
        print(f"| {expected} | {' | '.join(str(counts[expected, each]) for each in outcomes)} |")
    print("\nValid but for: said to be valid, with what was not compared, because another version is said to have made it.")
    for title, wanted in (
        ("Not found, though expected to be", ("invalid", "valid")),
        ("Valid but for what was not compared", ("invalid", "valid but for")),
        ("Bad", (None, "bad")),
    ):
        print(f"\n{title}:\n")
        for name, expected, outcome, what in found:
            if (expected if wanted[0] else None, outcome) == wanted:
                print(f"- `{name}`: {what}")


def _judged(folder: Path, name: str, form: str, what: str, expected: str, forge: Any) -> tuple[str, str, str, str]:
    """Name, expectation and outcome of one forgery, and in words what is wrong with it, or what went wrong."""
    here = Path(tempfile.mkdtemp(dir=folder))
    path, sample = here / SAMPLES[form], folder / SAMPLES[form]
    shutil.copytree(sample, path) if sample.is_dir() else shutil.copy(sample, path)
    try:
        if problem := _forged(forge, path, here / "problem"):
            return name, expected, "bad", f"not made: {problem}"
        ended = amaxds("validate", path, cwd=here, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return name, expected, "bad", f"no end after {SECONDS} s"
    finally:
        subprocess.run(["rm", "-rf", here], check=False)  # Python's own way does not reach into folders that are very deep.
    if "unexpected" in ended.stderr or "Traceback" in ended.stderr or ended.returncode not in (0, 1, 2, 3):
        return name, expected, "bad", f"exit {ended.returncode}: {' '.join(ended.stderr.split())[:200]}"
    if ended.returncode == 0 and "not compared:" in ended.stdout:
        return name, expected, "valid but for", what
    return name, expected, {0: "valid", 1: "found"}.get(ended.returncode, "refused"), what


def _forged(forge: Any, path: Path, note: Path) -> str:
    """Forge in a process of its own, as some forgeries take much memory; what went wrong, or nothing."""
    process = os.fork()
    if process == 0:
        try:
            forge(path)
        except BaseException:
            note.write_text(traceback.format_exc(limit=1))
            os._exit(1)
        os._exit(0)
    status = os.waitpid(process, 0)[1]
    return "" if status == 0 else note.read_text().strip().rpartition("\n")[2] if note.exists() else f"status {status}"


if __name__ == "__main__":
    main(sys.argv[1:])
