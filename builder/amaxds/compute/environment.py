"""The environment of a process: the software and the device that decide the bits of its images, as build.json holds them."""

from __future__ import annotations

import os
import platform
import re
from importlib import metadata
from pathlib import Path
from typing import Any

PIXEL_SOFTWARE = ("backend", "amaxds", "keras", "tensorflow", "jax", "jaxlib", "numpy", "settings")
"""The entries of `software` that the bits of images depend on. The other libraries only write files."""

_ROUNDING_VARIABLES = (
    *("XLA_FLAGS", "TF_XLA_FLAGS", "TF_ENABLE_ONEDNN_OPTS", "NVIDIA_TF32_OVERRIDE", "JAX_ENABLE_X64"),
    # oneDNN reads each of its variables under two names.
    *("ONEDNN_MAX_CPU_ISA", "ONEDNN_CPU_ISA_HINTS", "ONEDNN_DEFAULT_FPMATH_MODE"),
    *("DNNL_MAX_CPU_ISA", "DNNL_CPU_ISA_HINTS", "DNNL_DEFAULT_FPMATH_MODE"),
)
_READ_AT_START = re.compile(r"(CUDA|DNNL|JAX|KERAS|NVIDIA|OMP|ONEDNN|TF|XLA)_|(HOME|XDG_CACHE_HOME)$")


def variables() -> dict[str, str]:
    """The environment variables that decide which array library runs and how it rounds, as another process can be given
    them."""
    return {name: os.environ[name] for name in ("KERAS_BACKEND", *_ROUNDING_VARIABLES) if name in os.environ}


def read_at_start() -> tuple[tuple[str, str], ...]:
    """All environment variables that the array libraries read as they are loaded, with their values."""
    return tuple(sorted((name, value) for name, value in os.environ.items() if _READ_AT_START.match(name)))


def software() -> dict[str, Any]:
    """Versions of everything that an image's bits or a file's bytes depend on, and the variables that change rounding."""
    import keras

    backend = keras.backend.backend()
    libraries = ("jax", "jaxlib") if backend == "jax" else ("tensorflow",)
    names = ("amaxds", "keras", *libraries, "numpy", "pillow", "pyarrow", "datasets", "huggingface_hub", "jinja2", "pyyaml")
    settings = {name: os.environ[name] for name in _ROUNDING_VARIABLES if name in os.environ}
    versions = {name: version_of(name) for name in names}
    return {"python": platform.python_version(), "backend": backend} | versions | {"settings": settings}


def version_of(name: str) -> str:
    """The version of an installed library; "unknown" where it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        if name == "tensorflow":
            return version_of("tensorflow-cpu")
        return "unknown"


def device() -> dict[str, Any]:
    """The device that programs run on: its kind, `cpu` or `gpu`, its model, and the instruction sets of a CPU."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        gpus = [each.device_kind for each in jax.devices() if each.platform == "gpu"]
    else:
        import tensorflow as tf

        found = tf.config.list_physical_devices("GPU")
        gpus = [tf.config.experimental.get_device_details(each).get("device_name", "GPU") for each in found]
    if gpus:
        return {"kind": "gpu", "model": gpus[0]}
    return {"kind": "cpu"} | _processor()


def on_gpu() -> bool:
    """Whether programs run on a GPU."""
    return bool(device()["kind"] == "gpu")


def gpu_bytes() -> int | None:
    """The GPU memory that programs may take. None on a CPU, and with TensorFlow, which does not say."""
    import keras

    if keras.backend.backend() != "jax" or not on_gpu():
        return None
    import jax

    known = jax.devices()[0].memory_stats() or {}
    return known.get("bytes_limit")


def _processor() -> dict[str, str]:
    """Model and vector instruction sets of the CPU: they decide how XLA rounds."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return {"model": platform.processor() or platform.machine(), "instructions": platform.machine()}
    model = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*: (.*)$", text, re.MULTILINE)
    vector = sorted(flag for flag in (flags[1].split() if flags else ()) if re.match(r"avx|fma|amx|asimd|sve", flag))
    return {
        "model": (model and model[1].strip()) or platform.machine(),
        "instructions": f"{platform.machine()} {' '.join(vector)}",
    }
