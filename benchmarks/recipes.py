"""Both recipes on all 528 filters of the demo network: dead, ranked first, high frequencies, and who beats whom.

    python benchmarks/recipes.py > benchmarks/recipes.md

About three minutes on 2 cores.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from quality import high_frequency_share

from amaxds.image import decode_png


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        recipes = ("--recipe", "clear", "--recipe", "original")
        command = (sys.executable, "-m", "amaxds", "build", "--network", "demo", *recipes)
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        built = Path(folder, "demo-filter-activations")
        outranked = json.loads((built / "build.json").read_text())["outranked"]
        print("# The recipes on the demo network\n\n`python benchmarks/recipes.py`\n")
        print("| recipe | dead | ranked first | high frequencies (median) |\n|---|---|---|---|")
        for recipe in ("clear", "original"):
            rows = [row for file in (built / recipe).glob("*.parquet") for row in pq.read_table(file).to_pylist()]
            dead = sum(row["status"] == 1 for row in rows)
            first = sum(row["status"] == 0 and row["activation_rank"] == 1 for row in rows) / len(rows)
            high = np.median(high_frequency_share(np.stack([decode_png(row["image"]["bytes"]) for row in rows])))
            print(f"| `{recipe}` | {dead} of {len(rows)} | {first:.1%} | {high:.3f} |")
    print("\nImages under `clear` that another image beats:\n\n| image | its rank | best image for its filter |\n|---|---|---|")
    for each in outranked["clear"]:
        print(f"| {each['layer']}/{each['filter']} | {each['rank']} | {each['layer']}/{each['best']} |")


if __name__ == "__main__":
    main()
