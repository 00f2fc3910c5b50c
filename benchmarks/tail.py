"""How long a build goes on after its last image: what is left to rank, packaging, and validation.

    python benchmarks/tail.py                  the tables of benchmarks/tail.md, of this version
    python benchmarks/tail.py --beside FOLDER  of another version as well, whose checkout that is, in turn

Two builds under `clear`, each in a process of its own with empty caches of its own: the demo network's as a user runs it, and
all 4224 images of VGG16, of which neither the ascent nor the activations are computed, as a GPU takes little time for them. In
their place every other image is noise, and the others are smooth, so that they compress as real images do.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).parents[1]
BUILDS = {
    "demo": ("--network", "demo"),
    "vgg16": ("--network", "vgg16", "--weights", "random"),
}
TITLES = {"demo": "demo, 528 images", "vgg16": "VGG16, 4224 images that were drawn at random"}


def drawn(canvas: int, layer: int, filter: int) -> NDArray[np.float32]:
    """An image (canvas, canvas, 3) between 0 and 1: noise for odd filters; for the others, noise of 8 pixels width, blurred."""
    from scipy.ndimage import gaussian_filter

    generator = np.random.default_rng((layer, filter))
    noise = generator.random((canvas, canvas, 3), np.float32)
    if filter % 2:
        return noise
    smooth = gaussian_filter(noise, (8, 8, 0))
    image: NDArray[np.float32] = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    return image


def child(network: str, folder: str) -> None:
    """Build as the command line does, and leave in `folder` when the last ascent ended, in seconds since 1970."""
    from amaxds.compute.programs import Ascended, Programs

    ascend = Programs.ascend

    def draw(self: Any, recipe: Any, layer: Any, filters: Sequence[int], *rest: Any) -> Ascended:
        images = np.stack([drawn(self.network.canvas, layer.index, filter) for filter in filters])
        of_filters = np.ones(len(filters), np.float32)
        return Ascended(images, 2 * of_filters, of_filters, of_filters > 0)

    def score(self: Any, recipe: Any, layer: Any, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.random.default_rng(layer.index).random((len(images), layer.filters), np.float32)

    def watched(*given: Any) -> Ascended:
        ended = (ascend if network == "demo" else draw)(*given)
        Path(folder, "ended").write_text(str(time.time()))
        return ended

    Programs.ascend = watched  # type: ignore[method-assign]  # what is timed is what comes after it
    if network == "vgg16":
        Programs.score = score  # type: ignore[method-assign]  # as above
    from amaxds.cli.main import main

    sys.argv = ["amaxds", "build", f"{folder}/dataset", *BUILDS[network]]
    main()


def measure(network: str, checkout: Path) -> tuple[float, float]:
    """Seconds that the tail of a build takes, and the whole of it."""
    with tempfile.TemporaryDirectory() as folder:
        variables = os.environ | {"PYTHONPATH": str(checkout / "builder"), "XDG_CACHE_HOME": f"{folder}/cache"}
        command = [sys.executable, __file__, "--child", network, folder]
        began = time.time()
        done = subprocess.run(command, env=variables, capture_output=True, text=True)
        ended = time.time()
        if done.returncode:
            raise SystemExit(done.stdout + done.stderr)
        info = json.loads(Path(folder, "dataset", "build.json").read_text())
        assert info["images"] == {"demo": 528, "vgg16": 4224}[network]
        return ended - float(Path(folder, "ended").read_text()), ended - began


def commit(checkout: Path) -> str:
    """The commit that is checked out there, and its day."""
    show = ["git", "-C", str(checkout), "show", "-s", "--format=%h of %ad", "--date=short", "HEAD"]
    return subprocess.run(show, capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beside", type=Path, metavar="FOLDER")
    parser.add_argument("--runs", type=int, default=5, help="of each build of each version")
    parser.add_argument("--networks", nargs="+", choices=BUILDS, default=list(BUILDS))
    parser.add_argument("--child", nargs=2, metavar=("NETWORK", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(*options.child)
        return
    sides = {"this version": HERE} | ({commit(options.beside): options.beside} if options.beside else {})
    print("| build | version | after the last image (median) | each run | the whole command (median) |\n|---|---|---|---|---|")
    for network in options.networks:
        runs: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
        for _, (side, checkout) in itertools.product(range(options.runs), sides.items()):
            runs[side].append(measure(network, checkout))
            print(f"{network}, {side}: {runs[side][-1][0]:.1f} of {runs[side][-1][1]:.1f} s", file=sys.stderr, flush=True)
        for side, found in runs.items():
            tails, wholes = zip(*found, strict=True)
            each = ", ".join(f"{seconds:.1f}" for seconds in tails)
            medians = statistics.median(tails), statistics.median(wholes)
            print(f"| {TITLES[network]} | {side} | {medians[0]:.1f} s | {each} | {medians[1]:.1f} s |", flush=True)
        if len(sides) > 1:
            now, before = (statistics.median(tail for tail, _ in found) for found in runs.values())
            print(f"| {TITLES[network]} | ratio | {before / now:.2f} times as long before | | |", flush=True)
    print(f"\n{len(os.sched_getaffinity(0))} cores; Python {sys.version.split()[0]}. This version is {commit(HERE)}.")


if __name__ == "__main__":
    main()
