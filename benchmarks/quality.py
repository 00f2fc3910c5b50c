"""Image quality of our recipes beside other tools, on the same network and the same filters.

    python -m pip install '.[bench]'
    python -m pip install --no-deps torch-lucent==0.1.8 kornia==0.5.11
    python benchmarks/quality.py > benchmarks/quality.md

The network is demo; the filters are 8 of each of its 13 layers, evenly spaced. Every tool runs with its own defaults, on
112x112 pixels, and is given the network's own preprocessing. All images are judged as saved, 8 bit, fed back to the network:
activation is the mean output after ReLU of the image's own filter over the window without 2 rows and columns at each side.
About 20 minutes on 2 cores.

lucent needs torchvision for one class (`transforms.Normalize`), which the demo network's preprocessing replaces anyway; a
stand-in module takes its place, as there is no torchvision for every CPU build of PyTorch.
"""

from __future__ import annotations

import sys
import time
import types
from pathlib import Path

import numpy as np

from amaxds.compute import backend

backend.start(2)

import keras
from numpy.typing import NDArray

from amaxds.builds.synthesis import synthesise
from amaxds.compute.networks import load_weights
from amaxds.compute.programs import Programs
from amaxds.image import decode_png
from amaxds.spec.network import DEMO, Layer
from amaxds.spec.plan import Unit, make_plan
from amaxds.spec.recipes import ORIGINAL, RECIPES, Recipe

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support import naive

Images = NDArray[np.uint8]
PER_LAYER = 8
WEIGHTS = load_weights(DEMO, "pretrained", 0)
PROGRAMS = Programs(DEMO, WEIGHTS)


def sample(layer: Layer) -> list[int]:
    return [int(place) for place in np.linspace(0, layer.filters - 1, PER_LAYER).round()]


def ours(recipe: Recipe, layer: Layer, filters: list[int]) -> Images:
    rows = synthesise(make_plan(DEMO, [recipe.name]), PROGRAMS, Unit(recipe, layer, tuple(filters), tuple(filters)))
    return np.stack([decode_png(row["image"]) for row in rows])


def loop(layer: Layer, filters: list[int]) -> Images:
    """The original study's loop, one image at a time."""
    model = naive.naive_model(dict(WEIGHTS.tensors), layer.name)
    made = []
    for filter in filters:
        start = ORIGINAL.start(DEMO, 0, layer.index, filter)
        image, *_ = naive.naive_ascent(model, filter, start, ORIGINAL.steps, ORIGINAL.step_length(DEMO))
        made.append(naive.naive_saved(image, ORIGINAL.cut_pixels(DEMO)))
    return np.stack(made)


def tf_keras_vis(layer: Layer, filters: list[int]) -> Images:
    import tensorflow as tf
    from tf_keras_vis.activation_maximization import ActivationMaximization
    from tf_keras_vis.utils.model_modifiers import ReplaceToLinear
    from tf_keras_vis.utils.scores import CategoricalScore

    inputs = keras.Input((DEMO.canvas, DEMO.canvas, 3))
    rescaled = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(inputs)
    outputs = rescaled
    for each in naive.naive_model(dict(WEIGHTS.tensors), layer.name).layers[1:]:
        outputs = each(outputs)
    visualizer = ActivationMaximization(keras.Model(inputs, outputs), model_modifier=ReplaceToLinear(), clone=False)
    tf.random.set_seed(0)
    noise = tf.random.uniform((len(filters), DEMO.canvas, DEMO.canvas, 3), 0, 255)
    images = np.asarray(visualizer(CategoricalScore(filters), seed_input=noise))
    return np.clip(np.round(images), 0, 255).astype(np.uint8)


def lucent(layer: Layer, filters: list[int]) -> Images:
    import torch

    stand_in = types.ModuleType("torchvision.transforms")
    stand_in.Normalize = lambda mean, std: lambda image: image * 2 - 1
    sys.modules.setdefault("torchvision", types.ModuleType("torchvision"))
    sys.modules.setdefault("torchvision.transforms", stand_in)
    from lucent.optvis import objectives, param, render

    steps: list[torch.nn.Module] = []
    for each in DEMO.layers[: layer.index + 1]:
        if each.pooled:
            steps.append(torch.nn.MaxPool2d(2))
        convolution = torch.nn.Conv2d(each.channels, each.filters, 3, padding=1)
        kernel, bias = WEIGHTS.tensors[f"{each.name}/kernel"], WEIGHTS.tensors[f"{each.name}/bias"]
        convolution.weight.data = torch.from_numpy(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)))
        convolution.bias.data = torch.from_numpy(bias.copy())
        steps += [convolution, torch.nn.ReLU()]
    model = torch.nn.Sequential(*steps).eval()
    torch.manual_seed(0)
    np.random.seed(0)
    images = render.render_vis(
        model,
        sum(objectives.channel(str(len(steps) - 1), filter, batch=row) for row, filter in enumerate(filters)),
        param_f=lambda: param.image(DEMO.canvas, batch=len(filters)),
        fixed_image_size=DEMO.canvas,
        progress=False,
        show_image=False,
    )[-1]
    return np.round(np.clip(images, 0, 1) * 255).astype(np.uint8)


def high_frequency_share(images: Images) -> NDArray[np.float64]:
    """Share of each image's spectral energy (mean of the colours, without the constant) above half the Nyquist frequency."""
    grey = images.astype(np.float64).mean(axis=3)
    grey -= grey.mean(axis=(1, 2), keepdims=True)
    energy = np.abs(np.fft.fft2(grey)) ** 2
    radius = np.hypot(np.fft.fftfreq(grey.shape[1])[:, None], np.fft.fftfreq(grey.shape[2])[None])
    return energy[:, radius > 0.25].sum(axis=1) / np.maximum(energy.sum(axis=(1, 2)), 1e-12)


# Name -> (images of a layer's filters, evaluations of the network per image).
TOOLS = {
    "amaxds `clear`": (lambda layer, filters: ours(RECIPES["clear"], layer, filters), RECIPES["clear"].steps + 2),
    "amaxds `original`": (lambda layer, filters: ours(RECIPES["original"], layer, filters), ORIGINAL.steps + 2),
    "the study's loop": (loop, ORIGINAL.steps),
    "tf-keras-vis 0.8.7, 200 steps": (tf_keras_vis, 200),
    "torch-lucent 0.1.8, 512 steps": (lucent, 512),
}


def main() -> None:
    activations, firsts, shares, seconds = ({name: [] for name in TOOLS} for _ in range(4))
    for layer in DEMO.layers:
        filters = sample(layer)
        for name, (make, _) in TOOLS.items():
            began = time.perf_counter()
            images = make(layer, filters)
            seconds[name].append((time.perf_counter() - began) / len(filters))
            scores = PROGRAMS.score(ORIGINAL, layer, images)[:, filters]
            own = np.diagonal(scores)
            activations[name].append(own)
            firsts[name].append((scores <= own).all(axis=0) & (own > 0))
            shares[name].append(high_frequency_share(images))
        print(layer.name, file=sys.stderr, flush=True)
    reference = np.concatenate(activations["amaxds `clear`"])
    print(f"{len(reference)} filters of the demo network, {PER_LAYER} of each layer. Medians over filters.\n")
    print("| | silent | activation | relative to `clear` | own image first of 8 | high frequencies | evaluations |")
    print("|---|---|---|---|---|---|---|")
    for name, (_, evaluations) in TOOLS.items():
        own = np.concatenate(activations[name])
        print(
            f"| {name} | {(own <= 0).mean():.0%} | {np.median(own):.2f} "
            f"| {np.median(own / np.maximum(reference, 1e-12)):.2f} | {np.concatenate(firsts[name]).mean():.0%} "
            f"| {np.median(np.concatenate(shares[name])):.3f} | {evaluations} |"
        )
    print("\nMedian activation per layer:\n\n| layer | " + " | ".join(TOOLS) + " |")
    print("|---" * (len(TOOLS) + 1) + "|")
    for place, layer in enumerate(DEMO.layers):
        print(f"| {layer.name} | " + " | ".join(f"{np.median(activations[name][place]):.2f}" for name in TOOLS) + " |")


if __name__ == "__main__":
    main()
