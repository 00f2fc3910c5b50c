"""Memory: what the programs of a build take at the least, what there is, and the error where that is less.

Where a system gives out more memory than it has, nothing can be caught: it kills the process. So it is asked beforehand.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence

from amaxds.compute import backend
from amaxds.compute.machine import available_bytes
from amaxds.compute.programs import PROGRAMS_ON_GPU
from amaxds.errors import OutOfMemory
from amaxds.spec.network import Network
from amaxds.spec.plan import Unit


def least_bytes(units: Sequence[Unit], workers: int) -> int:
    """What the ascents that run side by side hold at the least.

    A gradient needs what it has seen of all maps before the layer at once. By XLA's own account a step takes 0.96 to 4.4 times
    as much as those maps, so nine tenths of them are asked for.
    """
    together = Counter((unit.recipe.name, unit.layer.name) for unit in units)
    side_by_side = (min(workers, together[unit.recipe.name, unit.layer.name]) for unit in units)
    maps = (count * len(unit.rows) * 4 * unit.layer.values for count, unit in zip(side_by_side, units, strict=True))
    return max(maps, default=0) * 9 // 10


def batch_size_within(network: Network, limit: int) -> int:
    """The most images, a power of two up to 128, for which the programs that run at once surely fit into so many bytes: a step
    takes up to 4.4 times as much as the maps of all layers, so five times as much is given to each."""
    fitting = limit // (PROGRAMS_ON_GPU * 5 * 4 * max(layer.values for layer in network.layers))
    return 1 << (min(max(fitting, 1), 128).bit_length() - 1)


def require_memory(units: Sequence[Unit], batch_size: int, workers: int) -> None:
    """OutOfMemory where the units cannot fit."""
    least, available = least_bytes(units, workers), available_bytes()
    if available is not None and least > available:
        needs = f"needs {least / 1e9:.1f} GB or more, and {available / 1e9:.1f} GB are left"
        raise out_of_memory(needs, batch_size, workers)


@contextlib.contextmanager
def memory_errors(batch_size: int, workers: int) -> Iterator[None]:
    """Turn what says, in whatever words, that memory has run out into OutOfMemory."""
    try:
        yield
    except Exception as error:
        if not backend.is_out_of_memory(error):
            raise
        raise out_of_memory("needs more than there is", batch_size, workers) from error


def out_of_memory(what: str, batch_size: int, workers: int) -> OutOfMemory:
    fewer = "with --workers 1 to go on, or " if workers > 1 else ""
    return OutOfMemory(
        f"out of memory: --batch-size {batch_size} on {workers} {'workers' if workers > 1 else 'worker'} {what}.",
        f"Run the same command {fewer}with a smaller --batch-size in a new OUT.",
    )
