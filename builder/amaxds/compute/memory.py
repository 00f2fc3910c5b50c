"""The memory that a build needs, and the error where there is not enough.

It is checked before a build begins, because many systems kill a process that needs too much, which cannot be caught.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from amaxds.compute.machine import available_bytes
from amaxds.compute.programs import PROGRAMS_ON_GPU
from amaxds.errors import OutOfMemory
from amaxds.spec.network import Network
from amaxds.spec.plan import Unit

BATCH_ON_GPU = 64
"""Images in a batch on every GPU that has room for them: the bits of an image on a GPU depend on the size of its batch."""

# TensorFlow has an exception class for it. JAX has one for everything, and says it in the text.
_NO_MEMORY = re.compile("ResourceExhausted|RESOURCE_EXHAUSTED|out of memory", re.IGNORECASE)


def least_bytes(units: Sequence[Unit], workers: int) -> int:
    """The least memory that the ascents of these units need, with so many workers side by side.

    A gradient needs the outputs of all earlier layers at once. By XLA's own account the program of a step takes 0.96 to 4.8
    times as much, so nine tenths of their size are asked for.
    """
    together = Counter((unit.recipe.name, unit.layer.name) for unit in units)
    side_by_side = (min(workers, together[unit.recipe.name, unit.layer.name]) for unit in units)
    maps = (count * len(unit.rows) * 4 * unit.layer.values for count, unit in zip(side_by_side, units, strict=True))
    return max(maps, default=0) * 9 // 10


def batch_size_within(network: Network, limit: int) -> int:
    """BATCH_ON_GPU, or the largest power of two below for which the programs that run at the same time on a GPU fit into so
    many bytes. A step takes up to 4.8 times as much as the outputs of all layers; five times as much is counted, at
    least of the image."""
    values = max(3 * network.canvas**2, *(layer.values for layer in network.layers))
    fitting = limit // (PROGRAMS_ON_GPU * 5 * 4 * values)
    return 1 << (min(max(fitting, 1), BATCH_ON_GPU).bit_length() - 1)


def require_memory(units: Sequence[Unit], batch_size: int, workers: int) -> None:
    """OutOfMemory where the units need more memory than there is."""
    least, available = least_bytes(units, workers), available_bytes()
    if available is not None and least > available:
        needs = f"needs {least / 1e9:.1f} GB or more, and {available / 1e9:.1f} GB are left"
        raise out_of_memory(needs, batch_size, workers)


@contextlib.contextmanager
def memory_errors(batch_size: int, workers: int) -> Iterator[None]:
    """Turn any exception that says that memory has run out into OutOfMemory, with advice for this batch size and these
    workers."""
    try:
        yield
    except Exception as error:
        if not _is_out_of_memory(error):
            raise
        raise out_of_memory("needs more than there is", batch_size, workers) from error


def out_of_memory(what: str, batch_size: int, workers: int) -> OutOfMemory:
    """The exception to raise, which says that this batch size on these workers needs `what`, and what to do."""
    fewer = "with one worker (--workers 1) to go on, or " if workers > 1 else ""
    return OutOfMemory(
        f"out of memory: a batch size of {batch_size} on {workers} {'workers' if workers > 1 else 'worker'} {what}.",
        f"Run the same {fewer}with a smaller batch size (--batch-size) in a new OUT.",
    )


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether this error, or one that caused it, says that memory has run out: Python's own, or the array library's."""
    cause: BaseException | None = error
    while cause is not None:
        library = type(cause).__module__.partition(".")[0] in ("tensorflow", "jax", "jaxlib")
        if isinstance(cause, MemoryError) or (library and _NO_MEMORY.search(f"{type(cause).__name__} {cause}")):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
