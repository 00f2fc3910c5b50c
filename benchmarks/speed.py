"""How fast images are made: this tool against the original study's loop, tf-keras-vis and PyTorch, in one run.

`python benchmarks/speed.py > benchmarks/speed.md` measures everything: some forty minutes on 2 cores. It needs the extras
`test` and `bench`. With one of the names of its parts, `layers`, `builds` or `starting`, it measures that alone.

On a machine with a GPU the same command, with KERAS_BACKEND=jax and PyTorch, leaves out what is not installed, and times the
whole VGG16 builds.

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
from sides import SIDES, STEPS, Run, ours

from amaxds.compute.machine import cores

ROUNDS = 3
SAMPLE = ("block1_conv2", "block3_conv3", "block5_conv3")
"""The layers of those sides that are not measured on all of them, to save time."""
SAMPLED = ("amaxds on JAX", "PyTorch, compiled")


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
    print("VGG16 with random weights, images of 224x224, recipe `original`.")
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
    }
    print("# Speed\n\n`python benchmarks/speed.py`\n")
    for name in sys.argv[1:] or parts:
        parts[name]()
    machine = next(
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    )
    print(f"{len(os.sched_getaffinity(0))} cores, {machine}; Python {sys.version.split()[0]}")
    own = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9
    print(f"Peak memory of the largest process: {own:.2f} GB.")


if __name__ == "__main__":
    main()
