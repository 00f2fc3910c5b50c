"""How far apart two kinds of software end: the differences that the tolerances of `amaxds audit` allow for.

The whole demo network under both recipes is built on TensorFlow; every image is made again on JAX, and on TensorFlow with
other instructions of the processor. Run as `python benchmarks/audit.py > benchmarks/audit.md`: some eight minutes on 2 cores.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from amaxds.checks import audit

OTHERS = {
    "JAX": {"KERAS_BACKEND": "jax"},
    "TensorFlow, AVX2": {"KERAS_BACKEND": "tensorflow", "XLA_FLAGS": "--xla_cpu_max_isa=AVX2"},
}
TOLERANCES = {
    "start": audit.START_TOLERANCE,
    "activation": audit.ACTIVATION_TOLERANCE,
    "index": audit.INDEX_TOLERANCE,
    "seen": audit.SEEN_TOLERANCE,
}


def amaxds(*arguments: object, **environment: str) -> str:
    command = [sys.executable, "-m", "amaxds", *map(str, arguments)]
    ended = subprocess.run(command, env=os.environ | environment, stdout=subprocess.PIPE, text=True, check=False)
    return ended.stdout


def apart(image: dict[str, Any]) -> dict[str, float]:
    """Relative differences of activations, and the difference of the index."""
    stored, made = image["stored"], image["made"]

    def relative(value: float, known: float) -> float:
        return abs(value - known) / known if known > 1e-9 else abs(value)

    return {
        "start": relative(made["activation_start"], stored["activation_start"]),
        "activation": relative(made["activation"], stored["activation"]),
        "index": abs(made["uniformity_index"] - stored["uniformity_index"]),
        "seen": relative(image["seen"], stored["activation"]),
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "demo-filter-activations"
        recipes = ("--recipe", "original", "--recipe", "clear")
        amaxds("build", folder, "--network", "demo", *recipes, KERAS_BACKEND="tensorflow")
        found = {}
        for name, environment in OTHERS.items():
            found[name] = json.loads(amaxds("audit", folder, "--sample", 1056, "--seed", 0, "--json", **environment))
    print("# How far apart two kinds of software end\n")
    print("All filters of the demo network, built on TensorFlow and made again otherwise (`python benchmarks/audit.py`).\n")
    print("| made again on | recipe | images | same bits | other status | failed | median PSNR by block, dB |")
    print("|---|---|---|---|---|---|---|")
    for name, report in found.items():
        for recipe in ("clear", "original"):
            images = [each for each in report["images"] if each["recipe"] == recipe]
            same = sum(each["psnr"] is None for each in images)
            other = sum(each["stored"]["status"] != each["made"]["status"] for each in images)
            failed = sum(bool(each["problems"]) for each in images)
            print(f"| {name} | {recipe} | {len(images)} | {same} | {other} | {failed} | {blocks(images)} |")
    print("\n| made again on | recipe | what | median | 99% | largest | tolerance |")
    print("|---|---|---|---|---|---|---|")
    for name, report in found.items():
        for recipe in ("clear", "original"):
            differences = [apart(each) for each in report["images"] if each["recipe"] == recipe]
            for what, tolerance in TOLERANCES.items():
                if what != "seen" or recipe == "clear":
                    median, most, largest = np.quantile([each[what] for each in differences], (0.5, 0.99, 1))
                    print(f"| {name} | {recipe} | {what} | {median:.2g} | {most:.2g} | {largest:.2g} | {tolerance:g} |")
    print(
        "\nstart: activation of the start, relative. activation: what the ascent reaches, relative. index: uniformity index. "
        "seen: what the stored 8-bit image excites against the stored activation, relative. PSNR of images with the same bits "
        "is infinite. A GPU: not measured."
    )


def blocks(images: list[dict[str, Any]]) -> str:
    """The median PSNR of each block's images."""
    found = []
    for block in range(1, 6):
        values = [np.inf if each["psnr"] is None else each["psnr"] for each in images if each["layer"][5] == str(block)]
        found.append("∞" if np.isinf(np.median(values)) else f"{np.median(values):.0f}")
    return ", ".join(found)


if __name__ == "__main__":
    main()
