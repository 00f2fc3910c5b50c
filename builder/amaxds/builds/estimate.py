"""What a plan will cost in operations, disk space and time. The time follows from a short measurement of this machine."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from amaxds.spec.plan import Plan

# `benchmarks/limits.py plan` compares these figures with real builds.
_EFFICIENCY = {"demo": 0.22, "vgg16": 1.2}
"""How fast an ascent of the network is, as a share of the speed of a large matrix product."""
_EFFICIENCY_OF_OTHERS = 0.3
"""A guess: less where convolutions are depthwise, more where they are not."""
_COMPILE_SECONDS = 0.5
"""For one program."""
_FIXED_SECONDS = 8.0
"""For starting, packaging and validating."""
_BYTES_PER_VALUE = 0.9
"""Noise-like images hardly compress."""
_COPIES = 2
"""While the dataset is packaged, its shards are still there."""


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


def estimate(plan: Plan) -> Estimate:
    """What the plan will cost. Takes about half a second, in which this machine is measured."""
    units = list(plan.units())
    operations = sum(unit.operations for unit in units)
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
    """Floating-point operations per second of a float32 matrix product on all cores, the best of three runs."""
    matrix = np.ones((side, side), np.float32)
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        matrix @ matrix
        seconds.append(time.perf_counter() - began)
    return 2 * side**3 / min(seconds)
