"""What the tool may cost on 2 cores, measured: start-up, the demo build, validation, the uniformity index.

    python benchmarks/limits.py            all figures, as the table in benchmarks/limits.md
    python benchmarks/limits.py index      one of them

Commands are measured as whole processes, wall time and the largest resident memory; the median of several runs.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np

AMAXDS = (sys.executable, "-m", "amaxds")


def run(*arguments: str, cwd: str | None = None, **environment: str) -> tuple[float, float]:
    """Seconds and MB of one command."""
    began, variables = time.perf_counter(), os.environ | environment
    process = subprocess.Popen([*AMAXDS, *arguments], cwd=cwd, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(errors.decode())
    return time.perf_counter() - began, usage.ru_maxrss * 1024 / 1e6


def starting() -> str:
    seconds = [run("--help")[0] for _ in range(9)]
    return f"`amaxds --help` | {statistics.median(seconds):.2f} s | 0.5 s"


def building(*recipe: str) -> str:
    measured = []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as folder:
            measured.append(run("build", "--network", "demo", *recipe, cwd=folder))
    seconds, memory = (statistics.median(column) for column in zip(*measured, strict=True))
    command = " ".join(("amaxds build --network demo", *recipe))
    return f"`{command}` | {seconds:.0f} s, {memory / 1000:.2f} GB | 120 s, 2.5 GB"


def all_layers(network: str, *recipes: str) -> str:
    """A build that compiles the programs of every layer of a network and hardly computes anything with them."""
    choice = ("--network", network, "--weights", "random", "--steps", "2", "--filters", "0-3")
    choice += tuple(word for recipe in recipes for word in ("--recipe", recipe))
    with tempfile.TemporaryDirectory() as folder:
        seconds, memory = run("build", *choice, cwd=folder)
    return f"`amaxds build {' '.join(choice)}` | {seconds:.0f} s, {memory / 1000:.2f} GB (one run) | 2 GB"


def planning() -> str:
    """What --plan says beside what the build then takes."""
    said = []
    for choice in (
        ("--network", "demo"),
        ("--network", "vgg16", "--weights", "random", "--layers", "block5_conv3", "--filters", "0-7"),
    ):
        plan = subprocess.run([*AMAXDS, "build", *choice, "--plan"], capture_output=True, text=True, check=True).stdout
        with tempfile.TemporaryDirectory() as folder:
            seconds = run("build", *choice, cwd=folder)[0]
        estimate = (
            next(line for line in plan.splitlines() if line.startswith("time")).removeprefix("time").split(" on ")[0].strip()
        )
        said.append(f"{choice[1]}: {seconds:.0f} s, planned {estimate}")
    return f"`--plan` against the build | {'; '.join(said)} | –"


def validating() -> str:
    with tempfile.TemporaryDirectory() as folder:
        run("build", "--network", "demo", "--steps", "1", cwd=folder)
        measured = [run("validate", "demo-filter-activations", cwd=folder)[0] for _ in range(5)]
    return f"`amaxds validate`, 528 images | {statistics.median(measured):.1f} s | 10 s"


def validating_all() -> str:
    """VGG16's 4224 images as a dataset folder and as a bundle; noise stands in for them, because nothing compresses worse."""
    with tempfile.TemporaryDirectory() as folder:
        # Apart: the largest resident memory of a new process is at least that of the one that starts it.
        subprocess.run([sys.executable, __file__, "--write-noise", folder], check=True)
        run("bundle", "dataset", "bundle", cwd=folder)
        shutil.make_archive(f"{folder}/archive", "zip", f"{folder}/bundle")
        said = []
        for path in ("dataset", "bundle", "archive.zip"):
            seconds, memory = zip(*(run("validate", path, cwd=folder) for _ in range(3)), strict=True)
            said.append(f"{path} {statistics.median(seconds):.1f} s, {max(memory) / 1000:.2f} GB")
    return f"`amaxds validate`, 4224 images of 224x224 | {'; '.join(said)} | 15 s"


def publishing() -> str:
    """The same 4224 images, to servers on this machine that stand in for the hubs, and fetched back."""
    said = []
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, __file__, "--write-noise", folder], check=True)
        for hub in ("huggingface", "kaggle"):
            serving = [sys.executable, __file__, "--serve", hub]
            with subprocess.Popen(serving, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
                assert server.stdout is not None
                variables = json.loads(server.stdout.readline()) | {"HOME": folder}
                to = ("--to", hub, "--repo", "owner/vgg16-noise", "--yes")
                seconds, memory = run("publish", "dataset", *to, cwd=folder, **variables)
                said.append(f"{hub} {seconds:.0f} s, {memory / 1000:.2f} GB")
                server.communicate()
    return f"`amaxds publish`, 4224 images of 224x224, 0.64 GB, to this machine | {'; '.join(said)} (one run) | –"


def serve(hub: str) -> None:
    """Stand in for a hub until the standard input ends. Prints the variables with which its client comes here."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from support.huggingface_server import CLIENT, HuggingFaceServer
    from support.kaggle_server import KaggleServer

    kaggle = {"KAGGLE_API_ENVIRONMENT": "TEST", "KAGGLE_CONFIG_DIR": "", "KAGGLE_API_TOKEN": "", "NO_PROXY": "localhost"}
    with HuggingFaceServer() if hub == "huggingface" else KaggleServer() as server:
        login = {"KAGGLE_USERNAME": server.username, "KAGGLE_KEY": server.key} if isinstance(server, KaggleServer) else {}
        tokens = {"HF_TOKEN": server.token} if isinstance(server, HuggingFaceServer) else {}
        print(json.dumps(CLIENT | kaggle | login | tokens), flush=True)
        sys.stdin.read()


def write_noise(folder: Path) -> float:
    """A valid dataset of the recipe `clear` whose images are noise and whose activations are made up; seconds of packaging."""
    from amaxds.dataset.build_info import BuildRequest
    from amaxds.dataset.writer import Begun, write_dataset
    from amaxds.image import encode_png, pixels_sha256, uniformity_index
    from amaxds.spec.network import VGG16
    from amaxds.spec.plan import make_plan

    plan = make_plan(VGG16, ["clear"])
    versions = {name: version(name) for name in ("amaxds", "tensorflow", "pillow")}
    software = {"python": "3", "backend": "tensorflow", **versions, "settings": {}}
    device = {"kind": "cpu", "model": "none"}
    identity = BuildRequest.of_plan(plan, "pretrained", "0" * 64).on({"software": software, "device": device})
    rows = []
    for layer in VGG16.layers:
        for filter in range(layer.filters):
            pixels = np.random.default_rng((layer.index, filter)).integers(0, 256, (224, 224, 3), dtype=np.uint8)
            record = {"image": encode_png(pixels), "network": "vgg16", "layer": layer.name, "filter": filter, "recipe": "clear"}
            made = {"seed": 0, "status": "alive", "activation_start": 0.5, "activation": 1.5, "activation_rank": 1}
            judged = {"uniformity_index": uniformity_index(pixels), "pixels_sha256": pixels_sha256(pixels)}
            rows.append(record | made | judged)
    (folder / "dataset").mkdir()
    began = time.perf_counter()
    write_dataset(folder / "dataset", "dataset", identity, {"clear": ((row, row["filter"]) for row in rows)}, Begun())
    return time.perf_counter() - began


def describing() -> str:
    """Starting noise stands in for the 4224 published images: it has their size, and compresses worse."""
    from amaxds.image import encode_png
    from amaxds.spec.network import VGG16
    from amaxds.spec.recipes import ORIGINAL

    with tempfile.TemporaryDirectory() as folder:
        for layer in VGG16.layers:
            (Path(folder) / "images" / layer.name).mkdir(parents=True)
            for filter in range(layer.filters):
                pixels = ORIGINAL.decode(VGG16, ORIGINAL.start(VGG16, 0, layer.index, filter))
                (Path(folder) / "images" / layer.name / f"filter-{filter}.png").write_bytes(encode_png(pixels))
        seconds, memory = run("describe", "images", "described", cwd=folder)
        again = run("validate", "described", cwd=folder)[0]
    cost = f"{seconds:.0f} s, {memory / 1000:.2f} GB; `validate` of them {again:.0f} s (one run)"
    return f"`amaxds describe`, 4224 images | {cost} | 60 s; 15 s"


def indexing() -> str:
    from amaxds import uniformity_index

    images = np.random.default_rng(0).integers(0, 256, (4224, 174, 174, 3), dtype=np.uint8)
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        uniformity_index(images)
        seconds.append(time.perf_counter() - began)
    return f"`uniformity_index` of 4224 images of 174x174 | {statistics.median(seconds):.2f} s | 3 s"


FIGURES: dict[str, Callable[[], str]] = {
    "help": starting,
    "build": building,
    "original": lambda: building("--recipe", "original"),
    "all-layers": lambda: all_layers("vgg16", "clear"),
    "all-layers-of-both": lambda: all_layers("vgg16", "clear", "original"),
    "all-layers-of-resnet152": lambda: all_layers("resnet152", "clear"),  # Half an hour or more.
    "plan": planning,
    "validate": validating,
    "validate-all": validating_all,
    "publish": publishing,
    "describe": describing,
    "index": indexing,
}


def main() -> None:
    if sys.argv[1:2] == ["--write-noise"]:
        write_noise(Path(sys.argv[2]))
        return
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2])
        return
    chosen = sys.argv[1:] or list(FIGURES)
    print("# What the tool costs\n\n`python benchmarks/limits.py`\n\n| what | measured (median) | limit |\n|---|---|---|")
    for name in chosen:
        print(f"| {FIGURES[name]()} |", flush=True)
    print(f"\n{len(os.sched_getaffinity(0))} cores; Python {sys.version.split()[0]}")


if __name__ == "__main__":
    main()
