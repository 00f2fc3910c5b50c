"""What a plan will cost: work, disk, time. Time is scaled from a short measurement of this machine."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from amaxds.spec.plan import Plan

# The share of the matrix-product ceiling that the ascent reaches, by network; the seconds that a program
# takes to compile; and those of start, packaging and validation. `benchmarks/limits.py plan` holds them against real builds.
_EFFICIENCY = {"demo": 0.22, "vgg16": 1.2}
_EFFICIENCY_OF_OTHERS = 0.3
"""A guess: less where convolutions are depthwise, more where they are not."""
_COMPILE_SECONDS = 0.5
_FIXED_SECONDS = 8.0
# Noise-like images hardly compress; while packaging, shards and dataset are both there.
_BYTES_PER_VALUE = 0.9
_COPIES = 2


@dataclass(frozen=True)
class Estimate:
    """The cost of a plan on this machine's CPU."""

    images: int
    units: int
    operations: float
    """Floating-point operations."""
    disk_bytes: float
    """At the most, while the build runs."""
    seconds: float


def estimate(plan: Plan) -> Estimate:
    """What the plan will cost. Takes about half a second, for measuring the machine."""
    units = list(plan.units())
    operations = sum(plan.operations(unit) for unit in units)
    programs = len({(unit.recipe.name, unit.layer.name) for unit in units})
    values = sum(len(unit.wanted) * 3 * unit.recipe.image_side(plan.network) ** 2 for unit in units)
    efficiency = _EFFICIENCY.get(plan.network.name, _EFFICIENCY_OF_OTHERS)
    return Estimate(
        images=plan.images,
        units=len(units),
        operations=operations,
        disk_bytes=values * _BYTES_PER_VALUE * _COPIES,
        seconds=operations / (efficiency * matrix_product_ceiling()) + programs * _COMPILE_SECONDS + _FIXED_SECONDS,
    )


def matrix_product_ceiling(side: int = 1500) -> float:
    """Operations per second of a float32 matrix product on all cores, the best of three."""
    matrix = np.ones((side, side), np.float32)
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        matrix @ matrix
        seconds.append(time.perf_counter() - began)
    return 2 * side**3 / min(seconds)
