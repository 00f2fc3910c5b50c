"""The sides that benchmarks/speed.py compares: this tool, the original study's loop, tf-keras-vis and PyTorch.

Each function here makes the ascent of one layer of VGG16, 224x224, as its side does it best.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from amaxds.builds.executors.base import Check
from amaxds.compute.machine import cores
from amaxds.compute.memory import BATCH_ON_GPU

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

BATCH, STEPS, SIDE = 4, 8, 224

Run = Callable[[], int]
"""Makes some images a few steps further, and says how many image-steps it made. Called once before it is timed."""
Side = Callable[[Any, Any], tuple[Run, Run | None]]
"""(layer, weights) -> the run and, where scores are part of it, these alone, with how many image-steps they go with."""


def ours(layer: Any, weights: Any) -> tuple[Run, Run | None]:
    """`Programs.ascend` as a build calls it: one program on each core."""
    from amaxds.builds.executors import local
    from amaxds.compute import environment
    from amaxds.compute.programs import Programs
    from amaxds.spec.network import VGG16
    from amaxds.spec.recipes import get_recipe

    on_cpu = not environment.on_gpu()
    workers, batch, precision = (cores(), BATCH, "float32") if on_cpu else (2, BATCH_ON_GPU, "bfloat16")
    programs, recipe, filters = Programs(VGG16, weights, precision), get_recipe("original"), tuple(range(batch))
    start = np.stack([recipe.start(VGG16, 0, layer.index, filter) for filter in filters])
    schedule = np.stack([recipe.schedule(VGG16, 0, layer.index, filter) for filter in filters])

    def work(task: int, check: Check) -> None:
        programs.ascend(recipe, layer, filters, start, schedule, check)

    def run() -> int:
        return recipe.steps * batch * len(list(local.run_local(range(workers), work, workers)))

    saved = np.zeros((batch, SIDE, SIDE, 3), np.uint8)

    def score(task: int, check: Check) -> None:
        for _ in ("start", "end"):
            programs.score(recipe, layer, saved)

    def scores() -> int:
        return recipe.steps * batch * len(list(local.run_local(range(workers), score, workers)))

    return run, scores


def study(layer: Any, weights: Any) -> tuple[Run, Run | None]:
    """The study's loop: one image, a compiled step of TensorFlow, the whole layer computed."""
    import tensorflow as tf

    from support import naive

    model = naive.naive_model(dict(weights.tensors), layer.name)

    @tf.function
    def step(x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_mean(model(x)[:, 2:-2, 2:-2, 0])
        return x + 10.0 * tf.math.l2_normalize(tape.gradient(loss, x))

    start = tf.random.uniform((1, SIDE, SIDE, 3), -0.125, 0.125)

    def run() -> int:
        x = start
        for _ in range(STEPS):
            x = step(x)
        x.numpy()
        return STEPS

    return run, None


def tf_keras_vis(layer: Any, weights: Any) -> tuple[Run, Run | None]:
    """tf-keras-vis as its documentation shows it, with its defaults, one image."""
    from tf_keras_vis.activation_maximization import ActivationMaximization
    from tf_keras_vis.utils.model_modifiers import ReplaceToLinear
    from tf_keras_vis.utils.scores import CategoricalScore

    from support import naive

    model = naive.naive_model(dict(weights.tensors), layer.name)
    maximise = ActivationMaximization(model, model_modifier=ReplaceToLinear(), clone=False)
    seed = np.random.default_rng(0).random((1, SIDE, SIDE, 3), dtype=np.float32)

    def run() -> int:
        maximise(CategoricalScore(0), seed_input=seed, steps=STEPS)
        return STEPS

    return run, None


def torch_batched(layer: Any, weights: Any, compiled: bool = False) -> tuple[Run, Run | None]:
    """PyTorch at its best: cut at the layer, of which each image's own filter alone is computed; channels last; gradient to the
    images alone; bfloat16 on a GPU. compiled: a step as one graph."""
    import torch

    from amaxds.spec.network import VGG16

    device, kind = ("cuda", torch.bfloat16) if torch.cuda.is_available() else ("cpu", torch.float32)
    batch = min(BATCH if device == "cpu" else BATCH_ON_GPU, layer.filters)
    kernels = {each.name: torch.from_numpy(weights.tensors[f"{each.name}/kernel"]).permute(3, 2, 0, 1) for each in VGG16.layers}
    modules: list[Any] = []
    for each in VGG16.layers[: layer.index + 1]:
        modules += [torch.nn.MaxPool2d(2)] * each.pooled
        if each != layer:
            convolution = torch.nn.Conv2d(each.channels, each.filters, 3, padding=1)
            convolution.load_state_dict({"weight": kernels[each.name], "bias": torch.zeros(each.filters)})
            modules += [convolution, torch.nn.ReLU(inplace=True)]
    torch.backends.cudnn.benchmark = True
    torch.compiler.reset()  # Otherwise it stops compiling after eight layers.
    network = torch.nn.Sequential(*modules).to(device, kind, memory_format=torch.channels_last).requires_grad_(False)
    taps = kernels[layer.name][:batch].flatten(2).transpose(1, 2).to(device, kind).contiguous()

    def objective(x: Any) -> Any:
        products = torch.nn.functional.pad(torch.einsum("nchw,ntc->nthw", network(x.to(kind)), taps), (1, 1, 1, 1))
        height, width = products.shape[2] - 2, products.shape[3] - 2
        own = sum(products[:, tap, tap // 3 : tap // 3 + height, tap % 3 : tap % 3 + width] for tap in range(9))
        return torch.relu(own[:, 2:-2, 2:-2]).float().mean(dim=(1, 2)).sum()

    def step(x: Any) -> Any:
        gradient = torch.func.grad(objective)(x)
        squares = gradient.square().sum(dim=(1, 2, 3), keepdim=True)
        return x + 10 * gradient * torch.rsqrt(squares.clamp_min(1e-12))

    advance = torch.compile(step, fullgraph=True) if compiled else step
    start = ((torch.rand(batch, 3, SIDE, SIDE) - 0.5) * 0.25).to(device, memory_format=torch.channels_last)

    def run() -> int:
        x = start
        for _ in range(STEPS):
            x = advance(x)
        x.sum().item()
        return STEPS * batch

    return run, None


SIDES: dict[str, tuple[Side, tuple[str, ...], dict[str, str]]] = {
    "amaxds on TensorFlow": (ours, ("tensorflow",), {"KERAS_BACKEND": "tensorflow"}),
    "amaxds on JAX": (ours, ("jax",), {"KERAS_BACKEND": "jax"}),
    "the study's loop": (study, ("tensorflow",), {"KERAS_BACKEND": "tensorflow"}),
    "tf-keras-vis": (tf_keras_vis, ("tensorflow", "tf_keras_vis"), {"KERAS_BACKEND": "tensorflow"}),
    "PyTorch": (torch_batched, ("torch",), {}),
    "PyTorch, compiled": (lambda layer, weights: torch_batched(layer, weights, True), ("torch",), {}),
}
