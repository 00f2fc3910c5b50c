"""What the evidence of a dataset would be if a GPU computed it in TF32, which has 11 significant bits of float32's 24.

    python benchmarks/tf32.py DATASET ... > benchmarks/tf32.md

For datasets of demo and VGG16 with their pretrained weights: the activation of every image, and its rank in its layer, computed
twice on this CPU in the same way. In one of the two, all that a convolution multiplies is rounded to the nearest value of TF32
before; sums stay in float32. Some minutes for a dataset of the demo network.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import amaxds
from amaxds.builds.synthesis import activation_ranks
from amaxds.compute import backend
from amaxds.compute.networks import load_weights
from amaxds.spec.network import NETWORKS, Layer, Network

BATCH, MARGIN = 16, 2
Floats = NDArray[np.float32]


def rounded(values: Floats) -> Floats:
    """To the nearest value that TF32 has, to the even one between two."""
    bits = values.view(np.uint32)
    return ((bits + np.uint32(0xFFF) + ((bits >> np.uint32(13)) & np.uint32(1))) & np.uint32(0xFFFFE000)).view(np.float32)


def scores(tensors: Mapping[str, Any], network: Network, layer: Layer, images: NDArray[np.uint8], tf32: bool) -> Floats:
    """The mean output of every filter of the layer over the recipes' window: images (n, h, w, 3) -> (n, filters)."""
    import keras

    x = network.preprocess(images)
    for each in network.layers[: layer.index + 1]:
        if each.pooled:
            x = np.asarray(keras.ops.max_pool(x, 2, 2, data_format="channels_last"))
        kernel = tensors[f"{each.name}/kernel"]
        given = (rounded(x), rounded(kernel)) if tf32 else (x, kernel)
        maps = keras.ops.conv(*given, padding="same", data_format="channels_last") + tensors[f"{each.name}/bias"]
        x = np.asarray(keras.ops.relu(maps))
    return np.asarray(x[:, MARGIN:-MARGIN, MARGIN:-MARGIN].mean(axis=(1, 2)))


def both(tensors: Mapping[str, Any], network: Network, layer: Layer, shown: Sequence[amaxds.FilterImage]) -> list[Floats]:
    """How much each of the images excites each of their filters, (n, n), exactly and in TF32."""
    pixels, filters = np.stack([image.pixels for image in shown]), [image.filter for image in shown]
    parts = [pixels[first : first + BATCH] for first in range(0, len(pixels), BATCH)]
    return [
        np.concatenate([scores(tensors, network, layer, part, tf32) for part in parts])[:, filters] for tf32 in (False, True)
    ]


def compared(path: str) -> None:
    """A row for each recipe of the dataset."""
    with amaxds.open_dataset(path) as dataset:
        if dataset.network not in NETWORKS or dataset.info.as_json()["network"]["weights"] != "pretrained":
            sys.exit(f"{path} is not of demo or vgg16 with their pretrained weights.")
        network = NETWORKS[dataset.network]
        tensors = load_weights(network, "pretrained", 0).tensors
        for recipe in dataset.recipes:
            relative, ranks = list[float](), list[tuple[int, int]]()
            for name in dataset.layers:
                shown = dataset.recipe(recipe).layer(name)
                exact, coarse = both(tensors, network, network.layer(name), shown)
                own, other = np.diagonal(exact), np.diagonal(coarse)
                alive = np.array([image.status == "alive" for image in shown])
                relative += list((np.abs(other - own) / np.maximum(own, 1e-12))[alive])
                pairs = zip(activation_ranks(exact), activation_ranks(coarse), strict=True)
                ranks += [(a[0], b[0]) for (a, b), living in zip(pairs, alive, strict=True) if living]
                print(recipe, name, file=sys.stderr, flush=True)
            if ranks:
                changed, first = sum(a != b for a, b in ranks), sum((a == 1) != (b == 1) for a, b in ranks)
                apart = f"{np.median(relative):.1e} | {max(relative):.1e}"
                print(f"| {network.name} | {recipe} | {len(ranks)} | {apart} | {changed} | {first} |", flush=True)


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit("Name one or more datasets of demo or vgg16: python benchmarks/tf32.py DATASET ...")
    backend.start(2)
    print("# Evidence in TF32\n\n`python benchmarks/tf32.py DATASET ...`\n")
    print("| network | recipe | living images | activation apart: median | largest | other rank | rank 1 gained or lost |")
    print("|---|---|--:|--:|--:|--:|--:|")
    for path in sys.argv[1:]:
        compared(path)
    print("\nEvidence is computed in float32 on a GPU, too: `--precision` is about the steps alone, and TF32 is turned off.")


if __name__ == "__main__":
    main()
