"""The settings of XLA, the compiler of both backends: ours, and those that the user has made."""

from __future__ import annotations

import contextlib
import functools
import os
from pathlib import Path

from amaxds.compute.machine import run_python
from amaxds.errors import UsageError

# One thread for each operation, operations in their order, and vectors as wide as the CPU has them.
_XLA_FLAGS = (
    "--xla_cpu_multi_thread_eigen=false",
    "--xla_cpu_enable_concurrency_optimized_scheduler=false",
    "--xla_cpu_prefer_vector_width=512",
    "--xla_gpu_deterministic_ops=true",
)
_TRIAL = {
    "jax": "import jax; jax.jit(lambda x: x + 1)(1.0)",
    "tensorflow": "import tensorflow as tf; tf.function(lambda x: x + 1, jit_compile=True)(tf.constant(1.0))",
}
"""Programs that end with an error where a flag of XLA's is wrong: it ends the process that it runs in."""


def set_flags(name: str) -> None:
    """Add our flags, for the backend of that name, to those that the user has set of XLA, in the variable or in a file that it
    names. UsageError where XLA does not take these."""
    given = os.environ.get("XLA_FLAGS", "").strip()
    if given and not given.startswith("-"):
        with contextlib.suppress(OSError, UnicodeDecodeError):  # Then XLA itself says that it is no file.
            given = Path(given).read_text("utf-8")
    own = [flag for flag in given.split() if flag not in _XLA_FLAGS]
    os.environ["XLA_FLAGS"] = " ".join([*own, *_XLA_FLAGS])
    others = os.environ.get("TF_XLA_FLAGS") if name == "tensorflow" else None
    if own or others:
        _require_running(name, os.environ["XLA_FLAGS"], others)


@functools.cache
def _require_running(name: str, flags: str, others: str | None) -> None:
    """UsageError where XLA does not run with these flags. It is tried in another process, as XLA would end this one."""
    ended = run_python("-c", _TRIAL[name])
    if ended.returncode:
        said = [line for line in ended.stderr.splitlines() if "FLAGS" in line] or [f"it ends with {ended.returncode}"]
        raise UsageError(
            f"XLA does not run with its flags: {said[0].rpartition('] ')[2]}.",
            "Correct XLA_FLAGS and TF_XLA_FLAGS, or unset them.",
        )
