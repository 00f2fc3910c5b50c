"""Damaged input for everything that parses data from outside: how much was tried, and what came of it.

`python benchmarks/fuzz.py [SECONDS [SEED]] > benchmarks/fuzz.md` gives each target that long, 60 by default, in a process of
its own with 4 GB of memory. An input that is neither accepted nor refused in words, that takes more than 30 seconds, or that
ends the process, is kept in `fuzz-failures/`, and the run goes on behind it.
"""

from __future__ import annotations

import collections
import random
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.fuzzing import targets

FAILURES = Path("fuzz-failures")
HANG_SECONDS, MEMORY = 30.0, 4 << 30


def work(dataset: Path, name: str, first: int, seconds: float, log: Path) -> None:
    """Try inputs of one target from a seed on; a line for each begun and each ended one."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    with tempfile.TemporaryDirectory() as scratch, log.open("a", buffering=1) as lines:
        target = targets(dataset, Path(scratch))[name]
        ends, seed = time.monotonic() + seconds, first
        while time.monotonic() < ends:
            data = target.damage(random.Random(seed), target.seeds)
            lines.write(f"{seed} ")
            began = time.monotonic()
            try:
                found = "accepted" if target.run(data) else "refused"
            except Exception:  # Whatever is raised beyond a refusal is what is looked for.
                found = "unexpected"
                keep(name, seed, data, traceback.format_exc())
            lines.write(f"{found} {time.monotonic() - began:.4f}\n")
            seed += 1


def keep(name: str, seed: int, data: bytes, text: str) -> None:
    FAILURES.mkdir(exist_ok=True)
    (FAILURES / f"{name.strip('.-').replace(' ', '-')}-{seed}.bin").write_bytes(data)
    (FAILURES / f"{name.strip('.-').replace(' ', '-')}-{seed}.txt").write_text(text)


def fuzz(dataset: Path, name: str, seconds: float, seed: int) -> tuple[collections.Counter[str], float]:
    """Try one target; how often what happened, and the seconds of the slowest input."""
    counts, slowest, ends = collections.Counter[str](), 0.0, time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0:
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "log"
            log.touch()
            command = [sys.executable, __file__, "--work", str(dataset), name, str(seed), str(left), str(log)]
            child = subprocess.Popen(command)
            while child.poll() is None:
                time.sleep(0.2)
                if time.time() - log.stat().st_mtime > HANG_SECONDS and time.monotonic() < ends + HANG_SECONDS:
                    child.kill()
            lines = [line.split() for line in log.read_text().splitlines()]
        for line in lines:
            if len(line) == 3:
                counts[line[1]] += 1
                slowest = max(slowest, float(line[2]))
        if child.returncode:
            what = "hung" if child.returncode == -9 else "crashed"
            counts[what] += 1
            seed = int(lines[-1][0]) + 1 if lines else seed + 1
            with tempfile.TemporaryDirectory() as scratch:
                found = targets(dataset, Path(scratch))[name]
                keep(name, seed - 1, found.damage(random.Random(seed - 1), found.seeds), f"{what}: {child.returncode}")
    return counts, slowest


def main(seconds: float = 60.0, seed: int = 0) -> None:
    print("# Damaged input\n")
    print(f"`python benchmarks/fuzz.py {seconds:g} {seed}`: {seconds:g} seconds for each target.\n")
    print("| input | tried | accepted | refused in words | unexpected | crashed | hung | slowest, s |")
    print("|---|---|---|---|---|---|---|---|")
    total = 0
    with tempfile.TemporaryDirectory() as folder:
        dataset = Path(folder) / "dataset"
        few = ("--network", "demo", "--recipe", "original", "--steps", "3", "--layers", "block1_conv1", "--filters", "2-3")
        command = [sys.executable, "-m", "amaxds", "build", str(dataset), *few]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for name in list(targets(dataset, Path(tempfile.mkdtemp(dir=folder)))):
            counts, slowest = fuzz(dataset, name, seconds, seed)
            tried = sum(counts.values())
            total += tried
            figures = " | ".join(str(counts[what]) for what in ("accepted", "refused", "unexpected", "crashed", "hung"))
            print(f"| {name} | {tried} | {figures} | {slowest:.2f} |", flush=True)
    print(f"\n{total} inputs in all. For the files of a dataset, accepted means the damage left the file as it was.")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), float(sys.argv[5]), Path(sys.argv[6]))
    else:
        main(*(kind(text) for kind, text in zip((float, int), sys.argv[1:], strict=False)))
