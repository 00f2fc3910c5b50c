"""What each setting of the recipe `clear` does: one changed at a time, the others as they are.

    python benchmarks/choices.py > benchmarks/choices.md
    python benchmarks/choices.py --network vgg16 --weights FILE --layers block1_conv2,block2_conv2 --changes leak,surround

The first 8 filters of each layer, which are others than quality.py's but for one or two a layer. Activation is the median over
filters of the ratio to the recipe as it is; own image first is among the 8. Frames is by how much colours vary in the outer 8
pixels, beside the rest: the ratio of standard deviations, the mean over images. About ten minutes on 2 cores for demo.
"""

from __future__ import annotations

import argparse
import dataclasses
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from quality import NETWORK, OPTIONS, PROGRAMS, Images, clipped_share, high_frequency_share, ours

from amaxds.spec.network import Layer
from amaxds.spec.recipes import CLEAR, Clear

FILTERS, BORDER = list(range(8)), 8
CHANGES: dict[str, list[dict[str, Any]]] = {
    "as it is": [{}],
    "leak": [{"leak": 0.0}, {"leak": 0.3}, {"leak": 1.0}],
    "surround": [{"surround": 0.0, "widest_field": 0.0}, {"widest_field": 0.0}, {"widest_field": 0.4}],
    "steps": [{"steps": 28}, {"steps": 112}],
    "Adam's step": [{"step_size": 0.1}, {"step_size": 0.2}, {"step_size": 0.6}],
    "frequency exponent": [{"frequency_exponent": 0.5}, {"frequency_exponent": 1.0}, {"frequency_exponent": 1.5}],
    "bandwidth": [{"bandwidth": 48 / 112}, {"bandwidth": 1.0}],
    "start": [{"start_std": 0.01}, {"start_std": 0.5}],
    "gain before the sigmoid": [{"logit_gain": 0.7}, {"logit_gain": 1.0}, {"logit_gain": 2.0}, {"logit_gain": 2.8}],
    "shifts and scalings": [{"shift": 0.0, "scale": 0.0}, {"shift": 0.0}, {"scale": 0.0}, {"shift": 12.0, "scale": 0.06}],
}


def made(recipe: Clear, layer: Layer) -> tuple[Images, np.ndarray]:
    """Images of the sample, and (image, filter) their mean outputs after ReLU, as saved."""
    images = ours(recipe, layer, FILTERS)
    return images, PROGRAMS.score(CLEAR, layer, images)[:, FILTERS]


def framed(images: Images) -> np.ndarray:
    """For each image, the standard deviation of colours in its outer pixels, divided by that of the others."""
    outer = np.ones(images.shape[1:3], bool)
    outer[BORDER:-BORDER, BORDER:-BORDER] = False
    return np.array([image[outer].std(axis=0).mean() / max(image[~outer].std(axis=0).mean(), 1.0) for image in images])


def main() -> None:
    parser = argparse.ArgumentParser(parents=[OPTIONS])
    parser.add_argument("--layers", default=",".join(layer.name for layer in NETWORK.layers))
    parser.add_argument("--changes", default=",".join(CHANGES))
    chosen = parser.parse_args()
    layers = [NETWORK.layer(name) for name in chosen.layers.split(",")]
    print(f"8 filters of {NETWORK.name} a layer, of {len(layers)} layers.\n")
    print("| change | silent | activation | own image first | high frequencies (median) | clipped (mean) | frames |")
    print("|---|---|---|---|---|---|---|")
    base = np.zeros(0)
    for name in dict.fromkeys(["as it is", *chosen.changes.split(",")]):
        for change in CHANGES[name]:
            recipe = dataclasses.replace(CLEAR, **change)
            with ThreadPoolExecutor(2) as pool:
                images, scores = zip(*pool.map(made, [recipe] * len(layers), layers), strict=True)
            own = np.concatenate([np.diagonal(each) for each in scores])
            base = base if base.size else own
            first = np.concatenate([np.diagonal(each) >= each.max(axis=0) for each in scores]).mean()
            every = np.concatenate(images)
            high, clipped, frames = np.median(high_frequency_share(every)), clipped_share(every).mean(), framed(every).mean()
            values = ", ".join(f"{setting} {value:.3g}" for setting, value in change.items())
            label = f"{name}: {values}" if change else name
            ratio = np.median(own / np.maximum(base, 1e-9))
            cells = f"{(own == 0).mean():.0%} | {ratio:.3f} | {first:.1%} | {high:.3f} | {clipped:.1%} | {frames:.2f}"
            print(f"| {label} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
