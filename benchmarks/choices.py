"""What each setting of the recipe `clear` does: one changed at a time, the others as they are.

    python benchmarks/choices.py > benchmarks/choices.md

The first 8 filters of each layer of the demo network, which are others than quality.py's but for one or two a layer.
Activation is the median over filters of the ratio to the recipe as it is; own image first is among the 8. About five
minutes on 2 cores.
"""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from quality import PROGRAMS, Images, high_frequency_share, ours

from amaxds.spec.network import DEMO, Layer
from amaxds.spec.recipes import CLEAR, Clear

FILTERS = list(range(8))
CHANGES: dict[str, list[dict[str, Any]]] = {
    "as it is": [{}],
    "steps": [{"steps": 28}, {"steps": 112}],
    "Adam's step": [{"step_size": 0.1}, {"step_size": 0.2}, {"step_size": 0.6}],
    "frequency exponent": [{"frequency_exponent": 0.5}, {"frequency_exponent": 1.0}, {"frequency_exponent": 1.5}],
    "bandwidth": [{"bandwidth": 48 / 112}, {"bandwidth": 1.0}],
    "start": [{"start_std": 0.01}, {"start_std": 0.5}],
    "gain before the sigmoid": [{"logit_gain": 1.0}, {"logit_gain": 4.0}],
    "shifts and scalings": [{"shift": 0.0, "scale": 0.0}, {"shift": 0.0}, {"scale": 0.0}, {"shift": 12.0, "scale": 0.06}],
}


def made(recipe: Clear, layer: Layer) -> tuple[Images, np.ndarray]:
    """Images of the sample, and (image, filter) their mean outputs after ReLU, as saved."""
    images = ours(recipe, layer, FILTERS)
    return images, PROGRAMS.score(CLEAR, layer, images)[:, FILTERS]


def main() -> None:
    print("| change | silent | activation | own image first | high frequencies (median) |\n|---|---|---|---|---|")
    base = np.zeros(0)
    for name, variants in CHANGES.items():
        for change in variants:
            recipe = dataclasses.replace(CLEAR, **change)
            with ThreadPoolExecutor(2) as pool:
                images, scores = zip(*pool.map(made, [recipe] * len(DEMO.layers), DEMO.layers), strict=True)
            own = np.concatenate([np.diagonal(each) for each in scores])
            base = base if base.size else own
            first = np.concatenate([np.diagonal(each) >= each.max(axis=0) for each in scores]).mean()
            high = np.median(high_frequency_share(np.concatenate(images)))
            values = ", ".join(f"{setting} {value:.3g}" for setting, value in change.items())
            label = f"{name}: {values}" if change else name
            ratio = np.median(own / np.maximum(base, 1e-9))
            print(f"| {label} | {(own == 0).mean():.0%} | {ratio:.3f} | {first:.1%} | {high:.3f} |", flush=True)


if __name__ == "__main__":
    main()
