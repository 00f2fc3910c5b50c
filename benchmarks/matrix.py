"""Any network, any machine: what becomes of generated models, and of a build amid settings, files and folders of all kinds.

`python benchmarks/matrix.py [NAME ...] > benchmarks/matrix.md` takes a quarter of an hour; with names, it tries these alone.

Every model is listed, planned, built for one step, validated and reported on. Right: its layers are those that Keras itself
finds, what is left out is named, and the activation of each image is that of Keras's own layer; or a model that cannot be fed
one colour image is refused. Every surrounding has a small build, a validation and a report. Right: the image has the bits of
a build without it, or others where `build.json` names the setting. Refused: exit code 2 or 3 and two lines that say what is
wrong. Unexpected: a traceback, the word itself, or another exit code. Wrong: everything else.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import numpy as np
from PIL import Image

from support.commands import amaxds, prepare_to_fork
from support.forge import sorted_rows

WORDS = "right", "refused", "unexpected", "wrong"


class Surprise(Exception):
    """What a command did that it should not: the outcome, and what was seen."""

    def __init__(self, outcome: str, seen: str) -> None:
        super().__init__(outcome, seen)
        self.outcome, self.seen = outcome, seen


def checked(ended: subprocess.CompletedProcess[str], what: str) -> subprocess.CompletedProcess[str]:
    """The ended command, if it did what it was to do; else Surprise: `refused` for two lines and exit code 2 or 3."""
    if ended.returncode == 0:
        return ended
    lines = ended.stderr.strip().splitlines()[-2:]
    said = f"{what}: {' '.join(lines)}"
    if ended.returncode not in (2, 3) or "Traceback" in ended.stderr or "unexpected" in ended.stderr:
        raise Surprise("unexpected", f"{ended.returncode}, {said} {ended.stdout[-200:]}")
    if len(lines) < 2 or not lines[0].startswith("amaxds: "):
        raise Surprise("wrong", f"no two lines: {said}")
    raise Surprise("refused", said)


def model_outcome(name: str, file: Path, keras_model: Any, due: Sequence[str], case: Any, folder: Path) -> tuple[str, str]:
    """What becomes of a model, and what was seen."""
    out, seen = folder / f"{name}-out", Counter[str]()
    said = []
    for words in (
        ("networks", file),
        ("build", out, "--network", file, "--plan"),
        ("build", out, "--network", file, "--steps", 1),
    ):
        try:
            checked(amaxds(*words), str(words[0]))
        except Surprise as surprise:
            if surprise.outcome != "refused":
                return surprise.outcome, surprise.seen
            said.append(surprise.seen)
        seen[str(words[0])] += 1
    if said:
        if len(said) < 3:
            return "wrong", f"refused by some commands only: {said[0]}"
        if case.refused is None:
            return "refused", said[0]
        return ("right", "") if case.refused in said[0] else ("wrong", f"{said[0]} does not name {case.refused}")
    if case.refused is not None:
        return "wrong", f"accepted, and was to be refused for {case.refused}"
    for words in (("validate", out), ("report", out, folder / f"{name}-report", "--no-neighbours")):
        try:
            checked(amaxds(*words), str(words[0]))
        except Surprise as surprise:
            return "wrong" if surprise.outcome == "refused" else surprise.outcome, surprise.seen
    stored = json.loads((out / "build.json").read_text("utf-8"))
    described, rows = stored["network"]["described"], sorted_rows(out, "clear")
    if {row["layer"] for row in rows} != set(due):
        return "wrong", f"layers {sorted({row['layer'] for row in rows})}, due {sorted(due)}"
    if sorted(described.get("left_out", ())) != sorted(case.left_out) or stored["scope"]["complete"] == bool(case.left_out):
        return "wrong", f"left out {described.get('left_out')}, due {case.left_out}"
    for number, layer in enumerate(due):
        images = [row for row in rows if row["layer"] == layer]
        pixels = np.stack([np.asarray(Image.open(io.BytesIO(row["image"]))) for row in images])
        outputs = keras_model(pixels.astype(np.float32), training=False)
        maps = np.asarray(outputs[number] if isinstance(outputs, list) else outputs, np.float32)
        if maps.shape[-1] != len(images):
            return "wrong", f"{layer} has {len(images)} images, due {maps.shape[-1]}"
        for place, row in enumerate(images):
            expected = float(np.maximum(maps[place, 2:-2, 2:-2, row["filter"]], 0).mean())
            if abs(row["activation"] - expected) > 0.02 + 0.05 * abs(expected):
                return "wrong", f"{layer}/{row['filter']} has {row['activation']}, Keras {expected}"
    return "right", ""


def models(names: Sequence[str], folder: Path) -> Iterator[tuple[str, str, str]]:
    """Every generated model, with its outcome and what was seen."""
    prepare_to_fork()  # Before this process starts TensorFlow.
    from generated_models import CASES

    saved = {name: (*CASES[name].save(folder, name), CASES[name]) for name in CASES if not names or name in names}
    with ThreadPoolExecutor(2) as pool:
        found = {name: pool.submit(model_outcome, name, *parts, folder) for name, parts in saved.items()}
        for name, future in found.items():
            yield name, *future.result()


def surroundings(names: Sequence[str], folder: Path) -> Iterator[tuple[str, str, str]]:
    """Every surrounding, with its outcome and what was seen."""
    from surroundings import SURROUNDINGS, Place

    plain = Place(folder / "plain")
    pixels = {backend: plain.build(backend) for backend in ("tensorflow", "jax")}
    chosen = {name: each for name, each in SURROUNDINGS.items() if not names or name in names}
    with ThreadPoolExecutor(2) as pool:
        found = {
            name: pool.submit(each.outcome, folder / "surroundings" / str(number), pixels)
            for number, (name, each) in enumerate(chosen.items())
        }
        for name, future in found.items():
            yield name, *future.result()


def main(names: Sequence[str]) -> None:
    print("# Any network, any machine\n\n`python benchmarks/matrix.py`\n")
    print(f"| tried | {' | '.join(WORDS)} |\n|---|{'---|' * len(WORDS)}")
    tables = {}
    with tempfile.TemporaryDirectory() as folder:
        for title, tried in (("models", models), ("surroundings", surroundings)):
            tables[title] = []
            for name, outcome, seen in tried(names, Path(folder)):
                tables[title].append((name, outcome, seen.replace(folder, "")))
                print(f"{title} {name}: {outcome} {seen}", file=sys.stderr, flush=True)
            counts = Counter(outcome for _, outcome, _ in tables[title])
            print(f"| {len(tables[title])} {title} | {' | '.join(str(counts[word]) for word in WORDS)} |", flush=True)
    for title, rows in tables.items():
        print(f"\n## {title.capitalize()}\n\nRight: {', '.join(name for name, outcome, _ in rows if outcome == 'right')}.")
        others = [row for row in rows if row[1] != "right"]
        if others:
            print("\n| which | outcome | what was said |\n|---|---|---|")
            for name, outcome, seen in others:
                print(f"| {name} | {outcome} | {seen.replace('|', '/')} |")


if __name__ == "__main__":
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    main(sys.argv[1:])
