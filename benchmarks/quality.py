"""Image quality of our recipes beside other tools, on the same network and the same filters.

    python -m pip install '.[bench]'
    python -m pip install --no-deps torch-lucent==0.1.8 kornia==0.5.11
    python benchmarks/quality.py > benchmarks/quality.md
    python benchmarks/quality.py --network vgg16 --weights FILE --filters 2 --kept FOLDER --picture docs/vgg16-tools.jpg

The network is demo, or VGG16 with the tensors of a file; the filters are 8 of each of its 13 layers, evenly spaced, or the 2 or
4 of these that --filters asks for. Every tool runs with its own defaults, on images of the network's size, and is given the
network's own preprocessing and the same tensors. All images are judged as saved, 8 bit, fed back to the network: activation is
the mean output after ReLU of the image's own filter over the window without 2 rows and columns at each side.

The other tools' images are kept in FOLDER, two at a time, and found there again: a run that was cut off goes on, and 8 filters
after 2 take 6. On 2 cores each 2 filters a layer of VGG16 take some hours, most of them torch-lucent's and tf-keras-vis's.
On a busy machine set OMP_NUM_THREADS=1, or PyTorch's threads wait for each other.

lucent needs torchvision for one class (`transforms.Normalize`), which the demo network's preprocessing replaces anyway; a
stand-in module takes its place, as there is no torchvision for every CPU build of PyTorch.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np

from amaxds.compute import backend

backend.start(2)

import keras
from numpy.typing import NDArray
from PIL import Image, ImageOps

from amaxds.analysis.measures import FREQUENCIES, power, radial
from amaxds.builds.synthesis import synthesise
from amaxds.compute.networks import load_weights
from amaxds.compute.programs import Programs
from amaxds.image import decode_png, encode_png
from amaxds.spec.network import NETWORKS, Layer
from amaxds.spec.plan import Unit, make_plan
from amaxds.spec.recipes import ORIGINAL, RECIPES, Recipe

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support import naive

Images = NDArray[np.uint8]
Make = Callable[[Layer, list[int]], Images]
AT_A_TIME = 2
PLACES = [0, 4, 2, 6, 1, 5, 3, 7]
"""Of the 8 filters of a layer, which comes first, second and so on: the first 2 and 4 are spread over the layer, too."""

OPTIONS = argparse.ArgumentParser(add_help=False)
OPTIONS.add_argument("--network", choices=NETWORKS, default="demo")
OPTIONS.add_argument("--weights", default="pretrained")
_parser = argparse.ArgumentParser(parents=[OPTIONS])
_parser.add_argument("--tools", default="", help="only those whose names have one of these words in them")
_parser.add_argument("--filters", type=int, choices=(2, 4, 8), default=8, help="how many of each layer")
_parser.add_argument("--kept", type=Path, help="folder for the other tools' images; one for each weights file")
_parser.add_argument(
    "--picture", type=Path, help="file for a picture: a row for each tool, two filters of each block's second layer"
)
CHOSEN = _parser.parse_args() if __name__ == "__main__" else OPTIONS.parse_known_args()[0]
NETWORK = NETWORKS[CHOSEN.network]
TITLE = {"demo": "the demo network", "vgg16": "VGG16"}[CHOSEN.network]
COLUMNS = """The columns are medians over filters, or shares of them:

- silent: share of the filters that the saved image does not excite; more are dead, as stretched noise may excite one a little
- activation: mean output of the filter, on the image as saved
- relative to the first: the same, divided by that of the first row's image of the same filter
- own image first: share of the filters that no other image of this tool in this layer excites more
- high frequencies: share of an image's spectral energy above half the Nyquist frequency
- power slope: exponent of the fall of the power with the frequency, 0 for white noise
- clipped: share of the values that are 0 or 255
- evaluations: of the network and its gradient, for each image"""
WEIGHTS = load_weights(NETWORK, CHOSEN.weights, 0)
PROGRAMS = Programs(NETWORK, WEIGHTS)


def sample(layer: Layer, count: int) -> list[int]:
    return [round(place * (layer.filters - 1) / 7) for place in PLACES[:count]]


def ours(recipe: Recipe, layer: Layer, filters: list[int]) -> Images:
    rows = synthesise(make_plan(NETWORK, [recipe.name]), PROGRAMS, Unit(recipe, layer, tuple(filters), tuple(filters)))
    return np.stack([decode_png(row["image"]) for row in rows])


def loop(layer: Layer, filters: list[int]) -> Images:
    """The original study's loop, one image at a time."""
    model = naive.naive_model(dict(WEIGHTS.tensors), layer.name)
    made = []
    for filter in filters:
        start = ORIGINAL.start(NETWORK, 0, layer.index, filter)
        image, *_ = naive.naive_ascent(model, filter, start, ORIGINAL.steps, ORIGINAL.step_length(NETWORK))
        made.append(naive.naive_saved(image, ORIGINAL.cut_pixels(NETWORK)))
    return np.stack(made)


def tf_keras_vis(layer: Layer, filters: list[int]) -> Images:
    import tensorflow as tf
    from tf_keras_vis.activation_maximization import ActivationMaximization
    from tf_keras_vis.utils.model_modifiers import ReplaceToLinear
    from tf_keras_vis.utils.scores import CategoricalScore

    inputs = outputs = keras.Input((NETWORK.canvas, NETWORK.canvas, 3))
    if NETWORK.channel_order == "bgr":
        outputs = keras.ops.flip(outputs, axis=-1)
    outputs = (outputs - np.float32(NETWORK.channel_mean)) / np.float32(NETWORK.channel_scale)
    for each in naive.naive_model(dict(WEIGHTS.tensors), layer.name).layers[1:]:
        outputs = each(outputs)
    visualizer = ActivationMaximization(keras.Model(inputs, outputs), model_modifier=ReplaceToLinear(), clone=False)
    tf.random.set_seed(0)
    noise = tf.random.uniform((len(filters), NETWORK.canvas, NETWORK.canvas, 3), 0, 255)
    images = np.asarray(visualizer(CategoricalScore(filters), seed_input=noise))
    return np.clip(np.round(images), 0, 255).astype(np.uint8)


def lucent(layer: Layer, filters: list[int]) -> Images:
    import torch

    of_channels = NETWORK.channel_mean, np.broadcast_to(NETWORK.channel_scale, 3)
    mean, scale = (torch.tensor(np.array(each, np.float32)).reshape(3, 1, 1) for each in of_channels)

    def preprocess(image: torch.Tensor) -> torch.Tensor:
        """(n, 3, h, w) in [0, 1], red first, as the network was trained to see it."""
        ordered = image.flip(1) if NETWORK.channel_order == "bgr" else image
        return (ordered * 255 - mean) / scale

    stand_in = types.ModuleType("torchvision.transforms")
    stand_in.Normalize = lambda mean, std: preprocess
    sys.modules.setdefault("torchvision", types.ModuleType("torchvision"))
    sys.modules.setdefault("torchvision.transforms", stand_in)
    from lucent.optvis import objectives, param, render

    steps: list[torch.nn.Module] = []
    for each in NETWORK.layers[: layer.index + 1]:
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
        param_f=lambda: param.image(NETWORK.canvas, batch=len(filters)),
        fixed_image_size=NETWORK.canvas,
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


def clipped_share(images: Images) -> NDArray[np.float64]:
    """Share of each image's values that are 0 or 255."""
    return np.asarray(((images == 0) | (images == 255)).mean(axis=(1, 2, 3)))


def power_slopes(images: Images) -> NDArray[np.float64]:
    """How steeply each image's power falls with the frequency: the exponent of the power law that fits best between 1/32 and
    1/4 cycle per pixel. It is -2 to -3 for photographs, and 0 for white noise."""
    low, high = np.searchsorted(FREQUENCIES, (1 / 32, 1 / 4))
    spectra = np.array([radial(power(image))[low:high] for image in images])
    return np.asarray(np.polyfit(np.log(FREQUENCIES[low:high]), np.log(np.maximum(spectra, 1e-12)).T, 1)[0])


def photographs(side: int) -> Images:
    """The colour photographs that come with scikit-image: the middle square of each, reduced to this side."""
    from skimage import data

    found = [Image.fromarray(each) for each in (data.astronaut(), data.chelsea(), data.coffee(), data.rocket())]
    return np.stack([np.asarray(ImageOps.fit(each, (side, side), Image.Resampling.BOX)) for each in found])


def kept(folder: Path, make: Make, layer: Layer, filters: list[int]) -> Images:
    """The images that the folder has of these filters; those that it has not are made, a few at a time, and put there."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {filter: folder / f"{layer.name}-{filter}.png" for filter in filters}
    for place in range(0, len(filters), AT_A_TIME):
        few = filters[place : place + AT_A_TIME]
        if not all(files[filter].exists() for filter in few):
            for filter, image in zip(few, make(layer, few), strict=True):
                files[filter].write_bytes(encode_png(image))
    return np.stack([decode_png(file.read_bytes()) for file in files.values()])


def draw(rows: list[list[Images]], out: Path, side: int = 112, gap: int = 4) -> None:
    """Write rows of images as one picture."""
    step = side + gap
    sheet = Image.new("RGB", (step * len(rows[0]) - gap, step * len(rows) - gap), "white")
    for place in np.ndindex(len(rows), len(rows[0])):
        image = Image.fromarray(rows[place[0]][place[1]]).resize((side, side), Image.Resampling.BOX)
        sheet.paste(image, (step * place[1], step * place[0]))
    sheet.save(out, quality=85)


# Name -> (images of a layer's filters, evaluations of the network per image).
TOOLS: dict[str, tuple[Make, int]] = {
    "amaxds `clear`": (lambda layer, filters: ours(RECIPES["clear"], layer, filters), RECIPES["clear"].steps + 2),
    "amaxds `original`": (lambda layer, filters: ours(RECIPES["original"], layer, filters), ORIGINAL.steps + 2),
    "the study's loop": (loop, ORIGINAL.steps),
    "tf-keras-vis 0.8.7, 200 steps": (tf_keras_vis, 200),
    "torch-lucent 0.1.8, 512 steps": (lucent, 512),
}


def main(folder: Path) -> None:
    tools = {name: tool for name, tool in TOOLS.items() if any(word in name for word in CHOSEN.tools.split(","))}
    activations, firsts, shares, clipped, slopes = ({name: [] for name in tools} for _ in range(5))
    shown: dict[str, list[Images]] = {name: [] for name in tools}
    for layer in NETWORK.layers:
        filters = sample(layer, CHOSEN.filters)
        for name, (make, _) in tools.items():
            own_tool = name.startswith("amaxds")
            images = make(layer, filters) if own_tool else kept(folder / name.replace(" ", "-"), make, layer, filters)
            scores = PROGRAMS.score(ORIGINAL, layer, images)[:, filters]
            own = np.diagonal(scores)
            activations[name].append(own)
            firsts[name].append((scores <= own).all(axis=0) & (own > 0))
            shares[name].append(high_frequency_share(images))
            clipped[name].append(clipped_share(images))
            slopes[name].append(power_slopes(images))
            if layer.name.endswith("_conv2"):
                shown[name].extend(images[:2])
            print(layer.name, name, file=sys.stderr, flush=True)
    if CHOSEN.picture:
        draw(list(shown.values()), CHOSEN.picture)
    reference = np.concatenate(activations[next(iter(tools))])
    other = "" if NETWORK.name == "demo" else f" --network {NETWORK.name} --weights FILE --filters {CHOSEN.filters}"
    print(f"# How well images excite their filter: {TITLE}\n\n`python benchmarks/quality.py{other}`\n")
    print(f"{len(reference)} filters of {NETWORK.name}, {CHOSEN.filters} of each layer. {COLUMNS}\n")
    print(
        f"| | silent | activation | relative to the first | own image first of {CHOSEN.filters} | high frequencies "
        "| power slope | clipped | evaluations |\n|---|---|---|---|---|---|---|---|---|"
    )
    for name, (_, evaluations) in tools.items():
        own = np.concatenate(activations[name])
        relative, first = np.median(own / np.maximum(reference, 1e-12)), np.concatenate(firsts[name]).mean()
        high, slope, ends = (np.median(np.concatenate(each[name])) for each in (shares, slopes, clipped))
        print(
            f"| {name} | {(own <= 0).mean():.0%} | {np.median(own):.2f} | {relative:.2f} | {first:.0%} | {high:.3f} "
            f"| {slope:.1f} | {ends:.1%} | {evaluations} |"
        )
    natural = photographs(NETWORK.canvas)
    high, slope, ends = (np.median(each(natural)) for each in (high_frequency_share, power_slopes, clipped_share))
    print(f"| {len(natural)} photographs | | | | | {high:.3f} | {slope:.1f} | {ends:.1%} | |")
    print("\nMedian activation per layer:\n\n| layer | " + " | ".join(tools) + " |")
    print("|---" * (len(tools) + 1) + "|")
    for place, layer in enumerate(NETWORK.layers):
        print(f"| {layer.name} | " + " | ".join(f"{np.median(activations[name][place]):.2f}" for name in tools) + " |")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="quality-") as temporary:
        main(CHOSEN.kept or Path(temporary))
