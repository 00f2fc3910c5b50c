"""What a GPU is asked to do, and where there is one, whether it does the same twice.

    python benchmarks/gpu.py > benchmarks/gpu.md

`bytes` needs no GPU: JAX compiles the ascent of every layer of VGG16 for an H100 without having one, and what its kernels read
and write is added up. That takes two minutes, and `pip install jax-cuda12-plugin jax-cuda12-pjrt` in the version of JAX.
`smoke`, with a GPU, makes a dataset twice, in two processes with nothing compiled before, compares the bits, and audits it.
With one of the two names it does that alone. For times run `python benchmarks/speed.py layers builds` there.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

BATCH = 64
TARGET = """
gpu_device_info {
  threads_per_block_limit: 1024
  threads_per_warp: 32
  shared_memory_per_block: 49152
  shared_memory_per_core: 233472
  threads_per_core_limit: 2048
  core_count: 132
  fpus_per_core: 128
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  memory_bandwidth: 3352320000000
  l2_cache_size: 52428800
  clock_rate_ghz: 1.98
  device_memory_size: 84978434048
  shared_memory_per_block_optin: 232448
  cuda_compute_capability { major: 9 minor: 0 }
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 8 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""
"""An H100, as XLA describes it to itself."""

_TYPE = re.compile(r"\b(pred|[suf]8|[suf]16|bf16|[suf]32|[suf]64)\[([\d,]*)\]")
_COMPUTATION = re.compile(r"(?:ENTRY )?%?([\w.\-]+) \(.*\{")
_INSTRUCTION = re.compile(r"\s+(?:ROOT )?%([\w.\-]+) = (.*?) ([\w\-]+)\(([^)]*)\)")
_FREE = ("parameter", "tuple", "get-tuple-element", "bitcast", "constant")
"""Instructions that move nothing."""


def size_of(shape: str) -> int:
    """The bytes of a shape as XLA prints it, such as `bf16[64,112,112,128]{3,2,1,0}`, or of a tuple of such."""
    widths = {"pred": 8}
    bits = ((widths.get(kind) or int(kind.lstrip("bsuf")), sides) for kind, sides in _TYPE.findall(shape))
    return sum(width // 8 * int(np.prod([int(side) for side in sides.split(",") if side])) for width, sides in bits)


def moved_by_loops(program: str) -> int:
    """How many bytes the kernels of a program's loops read and write in one turn, what they are given and what they return."""
    computations: dict[str, list[tuple[str, str, str, str]]] = {}
    inside: list[tuple[str, str, str, str]] = []
    for line in program.splitlines():
        if begins := _COMPUTATION.fullmatch(line):
            inside = computations.setdefault(begins[1], [])
        elif found := _INSTRUCTION.match(line):
            inside.append((found[1], found[2], found[3], found[4]))
    total = 0
    for loop in re.findall(r"body=%([\w.\-]+)", program):
        shapes = {name: shape for name, shape, _, _ in computations[loop]}
        for _, shape, kind, given in computations[loop]:
            if kind not in _FREE:
                total += size_of(shape) + sum(size_of(shapes[each]) for each in re.findall(r"%([\w.\-]+)", given))
    return total


def compiled_ascents(recipe_name: str) -> Iterator[tuple[Any, int, str]]:
    """Each layer of VGG16, how many images its program ascends, and that program, for a GPU and in bfloat16."""
    import jax
    import keras
    from jax.experimental import topologies
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    from amaxds.compute.ascent import make_climb, make_value
    from amaxds.compute.networks import forward_pass, load_weights
    from amaxds.spec.network import VGG16
    from amaxds.spec.recipes import get_recipe

    devices = topologies.get_topology_desc("", platform="cuda", topology="1x1x1", target_config=TARGET).devices
    there = NamedSharding(Mesh(np.array(devices), ("gpu",)), PartitionSpec())
    forward = forward_pass(VGG16)(VGG16, load_weights(VGG16, "random", 0), "bfloat16")
    recipe = get_recipe(recipe_name)
    for layer in VGG16.layers:
        filters = list(range(min(BATCH, layer.filters)))
        drawn = [(VGG16, 0, layer.index, filter) for filter in filters]
        start, schedule = (np.stack([draw(*each) for each in drawn]) for draw in (recipe.start, recipe.schedule))
        state, moved = recipe.first_state(keras.ops.convert_to_tensor(start)), keras.ops.zeros(len(filters), "bool")
        params = forward.params(layer), forward.own_filters(layer, filters)
        given = jax.tree.map(
            lambda each: jax.ShapeDtypeStruct(each.shape, each.dtype, sharding=there), (params, state, moved, schedule)
        )
        climb = make_climb(VGG16, recipe, make_value(VGG16, forward, recipe, layer), recipe.wandering(VGG16, layer))
        lowered = jax.jit(climb, out_shardings=there).trace(*given).lower(lowering_platforms=("cuda",))
        yield layer, len(filters), lowered.compile().as_text()


def count_bytes() -> None:
    """The bytes of a step by layer and recipe, and of all steps of all 4224 filters."""
    print("## Bytes that an ascent moves\n")
    if not find_spec("jax_cuda12_plugin"):
        print("Not counted: JAX's plugin for CUDA is not installed.\n")
        return
    os.environ |= {"JAX_PLATFORMS": "cpu", "KERAS_BACKEND": "jax"}
    from amaxds.compute import backend

    backend.start(1)
    from amaxds.spec.recipes import get_recipe

    recipes = ("original", "clear")
    rows, totals = {}, []
    for recipe in recipes:
        terabytes = 0.0
        for layer, images, program in compiled_ascents(recipe):
            each = moved_by_loops(program) / images
            rows.setdefault(layer.name, []).append(f"{each / 1e6:.1f}")
            terabytes += each * get_recipe(recipe).steps * layer.filters / 1e12
        totals.append(f"{terabytes:.1f} TB")
    print(f"MB for each image and step, {BATCH} images at once, in bfloat16, compiled for an H100. Kernels that are fused")
    print("read and write what they are given and return; what the tuning of kernels would change is not in it.\n")
    print(f"| layer | {' | '.join(recipes)} |\n|---|{'--:|' * len(recipes)}")
    for name, cells in rows.items():
        print(f"| {name} | {' | '.join(cells)} |")
    print(f"| all steps of all filters | {' | '.join(totals)} |\n")


def smoke() -> None:
    """Whether a GPU makes the same bits twice, in two processes that compile everything anew, and what `audit` says."""
    from amaxds.compute.machine import has_nvidia_gpu

    print("## The same bits twice\n")
    if not has_nvidia_gpu():
        print("Not measured: no GPU at hand.\n")
        return
    command = [sys.executable, "-m", "amaxds", "build"]
    choice = ["--network", "demo", "--recipe", "original", "--recipe", "clear", "--precision", "bfloat16"]
    given = {name: value for name, value in os.environ.items() if name not in ("JAX_PLATFORMS", "JAX_COMPILATION_CACHE_DIR")}
    given["KERAS_BACKEND"] = "jax"
    with tempfile.TemporaryDirectory() as folder:
        one, other = Path(folder, "one"), Path(folder, "other")
        for each in (one, other):
            variables = given | {"XDG_CACHE_HOME": f"{folder}/cache-{each.name}"}
            subprocess.run([*command, each, *choice], env=variables, stdout=sys.stderr, check=True, timeout=300)
        device = json.loads((one / "build.json").read_text())["device"]
        if device["kind"] != "gpu":
            sys.exit(f"JAX computed on a {device['kind']}: install amaxds[jax-cuda].")
        files = [path.relative_to(one) for path in one.rglob("*.parquet")]
        same = all((one / each).read_bytes() == (other / each).read_bytes() for each in files)
        said = "the same" if files and same else "NOT the same"
        print(f"{device['model']}; {len(files)} parquet files of `amaxds build {' '.join(choice)}`: {said}.\n")
        audit = [sys.executable, "-m", "amaxds", "audit", one, "--sample", "26", "--seed", "0"]
        found = subprocess.run(audit, env=given, stdout=subprocess.PIPE, text=True, timeout=300, check=False)
        print(f"```text\n{found.stdout.strip()}\nexit {found.returncode}\n```\n")


def main() -> None:
    parts: dict[str, Callable[[], None]] = {"smoke": smoke, "bytes": count_bytes}
    print("# GPU\n\n`python benchmarks/gpu.py`\n")
    for name in sys.argv[1:] or parts:
        parts[name]()


if __name__ == "__main__":
    main()
