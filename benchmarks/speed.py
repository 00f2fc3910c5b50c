"""How fast images are made: this tool against the original study's loop, tf-keras-vis and PyTorch, in one run.

`python benchmarks/speed.py > benchmarks/speed.md` measures everything: some forty minutes on 2 cores. It needs the extras
`test` and `bench`. With one of the names of its parts, such as `layers` or `convolutions`, it measures that alone.

On a machine with a GPU the same command, with KERAS_BACKEND=jax and PyTorch, leaves out what is not installed or of a CPU
alone, and times the whole VGG16 builds.

Each side runs in a process of its own with all cores, and finds nothing that was compiled before; sides take turns, on a CPU
layer by layer. VGG16, random weights, 224x224, recipe `original`. We make whole ascents of 30 steps, the scores of their starts
and ends included, and what the scores take is measured by itself; the others' loops take fewer steps, and no scores. What was
measured is printed to standard error as it comes.
"""

from __future__ import annotations

import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from amaxds.builds.executors.base import Check
from amaxds.compute.machine import cores
from amaxds.compute.memory import BATCH_ON_GPU

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

BATCH, STEPS, ROUNDS = 4, 8, 3
SIDE = 224
SAMPLE = ("block1_conv2", "block3_conv3", "block5_conv3")
"""The layers of those sides that are not measured on all of them, to save time."""
SAMPLED = ("amaxds on JAX", "PyTorch, compiled")

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
    """PyTorch at its best: cut at the layer, of which only the asked-for filters are computed; channels last; gradient to the
    images alone; bfloat16 on a GPU."""
    import torch

    from amaxds.spec.network import VGG16

    device, kind = ("cuda", torch.bfloat16) if torch.cuda.is_available() else ("cpu", torch.float32)
    batch = BATCH if device == "cpu" else BATCH_ON_GPU
    modules: list[Any] = []
    for each in VGG16.layers[: layer.index + 1]:
        modules += [torch.nn.MaxPool2d(2)] * each.pooled
        if each != layer:
            modules += [torch.nn.Conv2d(each.channels, each.filters, 3, padding=1), torch.nn.ReLU(inplace=True)]
    torch.backends.cudnn.benchmark = True
    torch.compiler.reset()  # Otherwise it stops compiling after eight layers.
    network = torch.nn.Sequential(*modules).to(device, kind, memory_format=torch.channels_last).requires_grad_(False)
    kernel = torch.randn(batch, layer.channels, 3, 3).to(device, kind, memory_format=torch.channels_last)

    def step(x: Any) -> Any:
        x = x.detach().requires_grad_(True)
        maps = torch.nn.functional.conv2d(network(x), kernel, padding=1)
        own = torch.relu(torch.diagonal(maps[..., 2:-2, 2:-2], dim1=0, dim2=1))
        (gradient,) = torch.autograd.grad(own.mean(dim=(0, 1)).sum(), x)
        norms = gradient.flatten(1).norm(dim=1).clamp_min(1e-6)
        return (x + 10 * gradient / norms[:, None, None, None]).detach()

    advance = torch.compile(step) if compiled else step
    start = ((torch.rand(batch, 3, SIDE, SIDE) - 0.5) * 0.25).to(device, kind, memory_format=torch.channels_last)

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


def side(name: str, *layer_names: str) -> None:
    """In a process of its own: milliseconds per image and step, ROUNDS times, the scores' part in it, and the seconds of the
    first call; a line for each layer."""
    from amaxds.compute.networks import load_weights
    from amaxds.spec.network import VGG16

    make, _, _ = SIDES[name]
    if make is ours:
        from amaxds.compute import backend

        backend.start(cores(), with_loops=True)
    weights = load_weights(VGG16, "random", 0)
    for layer_name in layer_names:
        run, scores = make(VGG16.layer(layer_name), weights)
        begun = time.perf_counter()
        run()
        row = {"layer": layer_name, "first": time.perf_counter() - begun, "ms": [_ms_a_step(run) for _ in range(ROUNDS)]}
        if scores:
            scores()
            row["scores"] = [_ms_a_step(scores) for _ in range(ROUNDS)]
        print(json.dumps(row), flush=True)


def _ms_a_step(run: Run) -> float:
    """Milliseconds of a run for each of its image-steps."""
    begun = time.perf_counter()
    steps = run()
    return 1e3 * (time.perf_counter() - begun) / steps


def measured(name: str, layer_names: list[str]) -> dict[str, dict[str, Any]]:
    """What `side` prints, by layer, with nothing compiled before. SystemExit with its last words where it fails."""
    command, found = [sys.executable, __file__, "side", name, *layer_names], {}
    with tempfile.TemporaryDirectory() as empty, tempfile.TemporaryFile("w+") as said:
        caches = {"XDG_CACHE_HOME": empty, "TORCHINDUCTOR_CACHE_DIR": f"{empty}/torch"}
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"} | caches | SIDES[name][2]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=said, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith('{"layer"'):
                    print(name, line, end="", file=sys.stderr, flush=True)
                    found[json.loads(line)["layer"]] = json.loads(line)
        if process.returncode:
            said.seek(0)
            last = "\n".join(said.read().splitlines()[-5:])
            raise SystemExit(f"{name} failed on {', '.join(layer_names)}: run {' '.join(command[1:])}\n{last}")
    return found


def work_of(layer: Any) -> float:
    """GFLOP of one step of one image: forward and back to the image, one filter of the last layer."""
    return 2e-9 * layer.operations


def ceiling() -> float:
    """GFLOP/s of a 3000x3000 float32 matrix product on all cores; on a GPU of an 8192x8192 bfloat16 one."""
    if has("torch") and __import__("torch").cuda.is_available():
        import torch

        a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
        best = []
        for _ in range(10):
            torch.cuda.synchronize()
            begun = time.perf_counter()
            for _ in range(10):
                a @ a
            torch.cuda.synchronize()
            best.append(10 * 2 * 8192**3 / (time.perf_counter() - begun) / 1e9)
        return statistics.median(best)
    a = np.random.default_rng(0).random((3000, 3000), dtype=np.float32)
    found = []
    for _ in range(7):
        begun = time.perf_counter()
        a @ a
        found.append(2 * 3000**3 / (time.perf_counter() - begun) / 1e9)
    return statistics.median(found)


def has(*modules: str) -> bool:
    return all(importlib.util.find_spec(each) for each in modules)


def layers() -> None:
    """The table per layer, the weighted means, and the ratios."""
    from amaxds.spec.network import VGG16

    names = [name for name, (_, needs, _) in SIDES.items() if has(*needs)]
    found: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in names}
    every = [layer.name for layer in VGG16.layers]
    for group in [every] if has_gpu() else [[each] for each in every]:
        for name in names:
            chosen = group if has_gpu() else [each for each in group if name not in SAMPLED or each in SAMPLE]
            found[name] |= measured(name, chosen) if chosen else {}
    top = ceiling()
    print("## Milliseconds per image and step\n")
    print(f"Median of {ROUNDS} (and spread): our whole ascents, {STEPS} steps of the others.")
    print(f"Ceiling: a matrix product runs at {top:.0f} GFLOP/s.\n")
    print("| layer | GFLOP | " + " | ".join(names) + " | of which scores | share of the ceiling | first call, s |")
    print("|---|---|" + "---|" * (len(names) + 3))
    for layer in VGG16.layers:
        cells = [_spread(found[name].get(layer.name, {}).get("ms")) for name in names]
        mine = found[names[0]][layer.name]
        share = work_of(layer) / (1e-3 * statistics.median(mine["ms"])) / top
        cells += [_three_digits(statistics.median(mine["scores"])), f"{share:.0%}", f"{mine['first']:.1f}"]
        print(f"| {layer.name} | {work_of(layer):.2f} | {' | '.join(cells)} |")
    whole = [name for name in names if len(found[name]) == len(VGG16.layers)]
    means = {
        name: sum(statistics.median(found[name][each.name]["ms"]) * each.filters for each in VGG16.layers) / VGG16.filters
        for name in whole
    }
    print(
        "\n## Weighted over all 4224 filters\n\n| side | ms per image and step | times as long as "
        + whole[0]
        + " |\n|---|---|---|"
    )
    for name in whole:
        print(f"| {name} | {_three_digits(means[name])} | {means[name] / means[whole[0]]:.2f} |")
    work = sum(work_of(each) * each.filters for each in VGG16.layers) / VGG16.filters
    print(f"\nShare of the ceiling, weighted: {work / (1e-3 * means[whole[0]]) / top:.0%}, counting the direct form's work; ")
    print("above 100% is possible because Winograd's form needs less.\n")


def _spread(values: list[float] | None) -> str:
    if values is None:
        return ""
    return f"{_three_digits(statistics.median(values))} ({_three_digits(min(values))}-{_three_digits(max(values))})"


def _three_digits(value: float) -> str:
    """A number with three digits that count: 0.00312, 46.6, 1235."""
    return f"{value:.0f}" if value >= 100 else f"{value:#.3g}"


def has_gpu() -> bool:
    return has("torch") and bool(__import__("torch").cuda.is_available())


def convolutions() -> None:
    """Every form at the sizes of both networks' layers, forward and back, one core."""
    from amaxds.compute import backend

    backend.start(1)
    import keras

    from amaxds.compute.convolution import FORMS, choose
    from amaxds.spec.network import DEMO, VGG16

    print("## Forms of convolution\n\nMilliseconds per image on one core, median of 7; in bold what is chosen.\n")
    print("| side | channels | " + " | ".join(FORMS) + " |\n|---|---|" + "---|" * len(FORMS))
    random, done = np.random.default_rng(0), set()
    for network, batch in ((DEMO, 8), (VGG16, 4)):
        for layer in network.layers:
            for channels, filters in ((layer.channels, layer.filters), (layer.filters, layer.channels)):
                size = layer.side
                if (size, channels, filters) in done:
                    continue
                done.add((size, channels, filters))
                x = keras.ops.convert_to_tensor(random.random((batch, size, size, channels), dtype=np.float32))
                kernel = random.random((3, 3, channels, filters), dtype=np.float32)
                cells = []
                for form in FORMS.values():
                    median = _median_ms(form.convolve, batch, x, keras.ops.convert_to_tensor(form.prepare(kernel)))
                    chosen = form is choose(size, channels, filters)
                    cells.append(f"{'**' * chosen}{median:.3f}{'**' * chosen}")
                print(f"| {size} | {channels} to {filters} | {' | '.join(cells)} |", flush=True)
    print()


def depthwise() -> None:
    """XLA's own depthwise convolution against ours, there and back, one core."""
    from amaxds.compute import backend

    backend.start(1)
    import keras

    from amaxds.compute.depthwise import convolve

    def directly(x: Any, kernel: Any) -> Any:
        return keras.ops.depthwise_conv(x, kernel[..., None], padding="same", data_format="channels_last")

    def by_taps(x: Any, kernel: Any) -> Any:
        return convolve(x, kernel, (1, 1), "same", (1, 1))

    print("## Depthwise convolutions\n\nMilliseconds per image on one core, with the gradient to the image, median of 7.\n")
    print("| side | channels | kernel | XLA's own | tap by tap | ratio |\n|---|---|---|---|---|---|")
    random, batch = np.random.default_rng(0), 4
    for side, channels, width in (
        (112, 32, 3),
        (56, 144, 3),
        (28, 192, 3),
        (14, 576, 3),
        (28, 240, 5),
        (56, 96, 7),
        (14, 384, 7),
    ):
        x = keras.ops.convert_to_tensor(random.random((batch, side, side, channels), dtype=np.float32))
        kernel = keras.ops.convert_to_tensor(random.random((width, width, channels), dtype=np.float32))
        theirs, ours = (_median_ms(_gradient_of(form), batch, x, kernel) for form in (directly, by_taps))
        print(f"| {side} | {channels} | {width} | {theirs:.2f} | {ours:.2f} | {theirs / ours:.0f} |", flush=True)
    print()


def _gradient_of(convolve: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    import keras

    from amaxds.compute import backend

    def gradient(x: Any, kernel: Any) -> Any:
        squares = backend.value_and_gradient(lambda x: keras.ops.sum(keras.ops.square(convolve(x, kernel)), axis=(1, 2, 3)))
        return squares(x)[1]

    return gradient


def _median_ms(function: Callable[..., Any], batch: int, *tensors: Any) -> float:
    """Milliseconds for each of the batch, median of 7 calls after a first one."""
    import keras

    from amaxds.compute import backend

    program, times = backend.compiled(function), []
    for _ in range(8):
        begun = time.perf_counter()
        keras.ops.convert_to_numpy(program(*tensors)[0, 0, 0])
        times.append(1e3 * (time.perf_counter() - begun) / batch)
    return statistics.median(times[1:])


def build(*arguments: object, **environment: str) -> tuple[float, float]:
    """Seconds and peak gigabytes of a build in a process of its own."""
    with tempfile.TemporaryDirectory() as temporary:
        command = [sys.executable, "-m", "amaxds", "build", f"{temporary}/out", *map(str, arguments)]
        begun = time.perf_counter()
        process = subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"failed: {' '.join(command)}")
        return time.perf_counter() - begun, used.ru_maxrss * 1024 / 1e9


def builds() -> None:
    """Whole builds of the demo network, cost against the number of filters, memory against the size of the dataset."""
    print("## Whole builds\n\n| build | seconds (median, spread) | peak memory, GB |\n|---|---|---|")
    chosen: Iterable[tuple[str, int, tuple[object, ...]]] = (
        ("`--network demo`, default recipe", 3, ()),
        ("`--network demo --recipe original`", 3, ("--recipe", "original")),
        *(
            (f"`--layers block3_conv1 --filters 0-{last}`", 3, ("--layers", "block3_conv1", "--filters", f"0-{last}"))
            for last in (7, 15, 31)
        ),
        *(
            (f"`--steps 2 --layers '{layers}'`", 1, ("--steps", 2, "--layers", layers))
            for layers in ("block3_*", "block[34]_*", "*")
        ),
    )
    for title, times, arguments in [] if has_gpu() else chosen:
        runs = [build("--network", "demo", *arguments) for _ in range(times)]
        seconds, memory = [each[0] for each in runs], max(each[1] for each in runs)
        print(f"| {title} | {_spread(seconds)} | {memory:.2f} |", flush=True)
    if has_gpu():
        for recipe in ("original", "clear"):
            options = ("--network", "vgg16", "--weights", "random", "--recipe", recipe, "--precision", "bfloat16")
            with tempfile.TemporaryDirectory() as home:
                for heat in ("nothing", "everything"):
                    seconds_, memory = build(*options, XDG_CACHE_HOME=home)
                    title = f"`{' '.join(options)}`, GPU, {heat} compiled before"
                    print(f"| {title} | {seconds_:.1f} | {memory:.2f} |", flush=True)
    else:
        print("| VGG16 on a GPU | not measured | |")
    print()


def starting() -> None:
    """How long one waits before anything happens."""
    command = [sys.executable, "-m", "amaxds", "--help"]
    times = []
    for _ in range(7):
        begun = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - begun)
    print("## Starting\n\n| what | seconds (median, spread) |\n|---|---|")
    print(f"| `amaxds --help` | {statistics.median(times):.2f} ({min(times):.2f}-{max(times):.2f}) |")
    one = ("--network", "demo", "--layers", "block1_conv2", "--filters", 0)
    print(f"| a valid dataset of one image | {_spread([build(*one)[0] for _ in range(3)])} |")
    if has("jax"):
        with tempfile.TemporaryDirectory() as homes:

            def on_jax(number: int) -> float:
                return build(*one, KERAS_BACKEND="jax", XDG_CACHE_HOME=f"{homes}/{number}")[0]

            for title in ("nothing", "everything"):
                print(f"| the same on JAX, {title} compiled before | {_spread([on_jax(number) for number in range(3)])} |")
    print()


def main() -> None:
    if sys.argv[1:2] == ["side"]:
        side(*sys.argv[2:])
        return
    parts: dict[str, Callable[[], None]] = {
        "layers": layers,
        "builds": builds,
        "starting": starting,
        "convolutions": convolutions,
        "depthwise": depthwise,
    }
    print("# Speed\n\n`python benchmarks/speed.py`\n")
    on_cpu = ("convolutions", "depthwise")
    for name in sys.argv[1:] or [each for each in parts if each not in on_cpu or not has_gpu()]:
        parts[name]()
    machine = next(
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    )
    print(f"{len(os.sched_getaffinity(0))} cores, {machine}; Python {sys.version.split()[0]}")
    own = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9
    print(f"Peak memory of the largest process: {own:.2f} GB.")


if __name__ == "__main__":
    main()
