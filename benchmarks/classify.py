"""Whether a network can tell which layer an image came from, by recipe: `amaxds classify` with several seeds.

The whole demo network under both recipes, or the dataset folder that is named. Run as
`python benchmarks/classify.py [DATASET] > benchmarks/classify.md`: some ten minutes on 2 cores.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SEEDS = range(5)


def amaxds(*arguments: object) -> str:
    command = [sys.executable, "-m", "amaxds", *map(str, arguments)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        if len(sys.argv) > 1:
            folder = Path(sys.argv[1])
        else:
            folder = Path(temporary) / "demo-filter-activations"
            amaxds("build", folder, "--network", "demo", "--recipe", "clear", "--recipe", "original")
        runs, seconds = [], []
        for seed in SEEDS:
            start = time.perf_counter()
            runs.append(json.loads(amaxds("classify", folder, Path(temporary) / "out", "--seed", seed, "--json")))
            seconds.append(time.perf_counter() - start)
    print("# Can a network tell which layer an image came from?\n")
    print(
        f"`python benchmarks/classify.py`: `amaxds classify` of the dataset `{runs[0]['dataset']}` with {len(SEEDS)} seeds.\n"
    )
    print("| recipe | model | trained on | judged on | accuracy | from - to | 95% of seed 0 | chance | macro F1 |")
    print("|---|---|---|---|---|---|---|---|---|")
    for place, first in enumerate(runs[0]["results"]):
        for kind, judged in first["scores"].items():
            found: list[dict[str, Any]] = [run["results"][place]["scores"][kind] for run in runs]
            accuracies, f1 = [each["accuracy"] for each in found], statistics.mean(each["macro_f1"] for each in found)
            low, high = judged["interval"]
            cells = (
                *(first["recipe"], first["model"], f"{first['images']} {first['trained_on']}", f"{judged['images']} {kind}"),
                *(f"{statistics.mean(accuracies):.3f}", f"{min(accuracies):.3f} - {max(accuracies):.3f}"),
                *(f"{low:.2f} - {high:.2f}", f"{judged['chance']:.3f}", f"{f1:.3f}"),
            )
            print(f"| {' | '.join(cells)} |")
    print("\nAccuracy and macro F1: means over the seeds, which change how the CNN starts and what order it sees images in.")
    print("95%: Wilson's interval for so few test images.")
    print("Chance: always answering the layer that is commonest among the training images of the same status.")
    print(f"One run takes {statistics.median(seconds):.0f} s (median).")


if __name__ == "__main__":
    main()
