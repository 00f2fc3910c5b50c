"""What a plan will cost in operations, disk space and time. The time follows from a short measurement of this machine.

Where time is compared, it is counted in floating-point operations of matrix products that take as long on the same CPU.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import numpy as np

from amaxds.compute.machine import cores
from amaxds.dataset.contact_sheet import SIDE, per_layer
from amaxds.spec.network import Layer, Network
from amaxds.spec.plan import Plan, Unit, operations_per_step

# From processor times of single layers of demo, vgg16 and resnet50. `benchmarks/limits.py plan` compares the sum with builds.
_PER_PIXEL, _PER_VALUE = 8_000.0, 390.0
"""What a step takes for each pixel of the canvas, which is rendered, and for each value of the maps, which are moved through
the memory."""
_SPEED = {"vgg16": 3.2}
"""How fast convolutions are against matrix products of as many operations. Most of vgg16's are Winograd's, which need fewer."""
_SPEED_OF_OTHERS = 0.85
_COMPILED, _COMPILED_PER_LAYER, _COMPILED_PER_WINOGRAD = 6.5e10, 1.1e10, 1.15e11
"""What it takes to compile the programs of a layer, and besides for each layer before it."""
_UNCERTAINTY, _UNCERTAINTY_OF_OTHERS = 1.4, 2.0
"""A build may be faster or slower than estimated by this factor: processors differ in more than their matrix products."""
_FIXED_SECONDS = 8.0
"""For starting, packaging and validating."""
_BYTES_PER_VALUE = 0.9
"""Noise-like images hardly compress."""
_COPIES = 2
"""While the dataset is packaged, its shards are still there."""
_MEASURED_SECONDS, _SIDE = 0.5, 512


@dataclass(frozen=True)
class Speed:
    """What the cores do in this moment."""

    quiet: float
    """Floating-point operations per second of float32 matrix products on all of them when nothing else runs."""
    share: float
    """Which part of their time this process gets, beside what else runs: 1 when nothing does."""


@dataclass(frozen=True)
class Estimate:
    """The cost of a plan on this machine's CPU."""

    images: int
    units: int
    operations: float
    """Floating-point operations."""
    disk_bytes: float
    """The most that is needed at any time of the build."""
    seconds: float
    """When nothing else runs."""
    uncertainty: float
    """The factor by which it may be faster or slower."""

    @property
    def range(self) -> tuple[float, float]:
        """The least and the most seconds that it is expected to take when nothing else runs."""
        return self.seconds / self.uncertainty, self.seconds * self.uncertainty


def unit_cost(network: Network, unit: Unit) -> float:
    """How long the steps of a unit take."""
    convolved = operations_per_step(unit.layer) / _SPEED.get(network.name, _SPEED_OF_OTHERS)
    moved = _PER_PIXEL * network.canvas**2 + _PER_VALUE * unit.layer.values
    return len(unit.rows) * (unit.recipe.steps + 1) * (convolved + moved)


def compilation_cost(network: Network, layer: Layer) -> float:
    """How long it takes to compile the programs of a layer, for one recipe."""
    return _COMPILED + layer.index * (_COMPILED_PER_WINOGRAD if network.name in _SPEED else _COMPILED_PER_LAYER)


def estimate(plan: Plan, speed: Speed) -> Estimate:
    """What the plan will cost on cores of this speed."""
    units = list(plan.units())
    operations = sum(unit.operations for unit in units)
    values = sum(len(unit.wanted) * 3 * unit.recipe.image_side(plan.network) ** 2 for unit in units)
    layers = {(unit.recipe.name, unit.layer.name): 0 for unit in units}
    for unit in units:
        layers[unit.recipe.name, unit.layer.name] += len(unit.wanted)
    cost = sum(unit_cost(plan.network, unit) for unit in units)
    cost += sum(compilation_cost(plan.network, plan.network.layer(layer)) for _, layer in layers)
    on_sheets = sum(min(per_layer(len(plan.scope)), images) * 3 * SIDE**2 for images in layers.values())
    name = plan.network.name
    return Estimate(
        images=plan.images,
        units=len(units),
        operations=operations,
        disk_bytes=(values * _COPIES + on_sheets) * _BYTES_PER_VALUE,
        seconds=cost / speed.quiet + _FIXED_SECONDS,
        uncertainty=_UNCERTAINTY if name in ("demo", "vgg16") else _UNCERTAINTY_OF_OTHERS,
    )


def measure_speed(workers: int | None = None) -> Speed:
    """Measure this machine for half a second, with one thread for each of the workers (by default one per core).

    Each thread is timed by the processor time that it gets, which other programs hardly change; how much of the time that is
    says how busy they keep the cores.
    """
    from threadpoolctl import threadpool_limits

    threads = min(workers or cores(), cores())
    done = [(0.0, 0.0, 0.0)] * threads

    def work(place: int) -> None:
        matrix = np.ones((_SIDE, _SIDE), np.float32)
        began, began_here, products = time.perf_counter(), time.thread_time(), 0
        while (passed := time.perf_counter() - began) < _MEASURED_SECONDS or not products:
            matrix @ matrix
            products += 1
        done[place] = products, time.thread_time() - began_here, passed

    with threadpool_limits(1):
        running = [threading.Thread(target=work, args=(place,)) for place in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
    quiet = sum(2 * _SIDE**3 * products / seconds for products, seconds, _ in done)
    return Speed(quiet, min(1.0, sum(seconds for _, seconds, _ in done) / sum(passed for *_, passed in done)))
