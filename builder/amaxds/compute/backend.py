"""The one place that knows which array library Keras runs on: TensorFlow (the default) or JAX.

Everything else is written in `keras.ops`. Only three things differ between the two: how a gradient is taken, how a function
is compiled, and how the library is told to be deterministic. With JAX nothing here imports TensorFlow.

On a CPU every operation of a compiled program runs on one thread, and several programs run side by side: that costs nothing,
and makes the bits independent of the number of cores. The settings must be in place before the library starts.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import IO, Any

from amaxds.errors import UsageError

Tensor = Any

# One thread for each operation, operations in their order, and vectors as wide as the CPU has them.
_XLA_FLAGS = (
    "--xla_cpu_multi_thread_eigen=false",
    "--xla_cpu_enable_concurrency_optimized_scheduler=false",
    "--xla_cpu_prefer_vector_width=512",
    "--xla_gpu_deterministic_ops=true",
)
# Whatever else is set here changes how results are rounded, so it is part of what a build was made with.
_ROUNDING_SETTINGS = (
    *("XLA_FLAGS", "TF_XLA_FLAGS", "TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"),
    *("ONEDNN_DEFAULT_FPMATH_MODE", "NVIDIA_TF32_OVERRIDE", "JAX_ENABLE_X64"),
)

# TensorFlow has a class for it; JAX has one for everything, and names the kind in the text or does not.
_NO_MEMORY = re.compile("ResourceExhausted|RESOURCE_EXHAUSTED|out of memory", re.IGNORECASE)


_started_tensorflow = False


def start(workers: int, with_loops: bool = False) -> str:
    """Load Keras's backend for deterministic work on that many threads; its name. Once loaded, it stays as it is.

    with_loops: whether the compiled programs hold loops. XLA hands these to the pool of threads that TensorFlow keeps for
    single operations: with one thread there, programs that run side by side wait for each other. Programs without loops
    are faster with one, which leaves each where it was called.

    UsageError where the process already runs TensorFlow in another way, or Keras is set to some other backend.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    name = os.environ["KERAS_BACKEND"] = _chosen_backend()
    flags = os.environ.get("XLA_FLAGS", "").split()
    os.environ["XLA_FLAGS"] = " ".join([*flags, *(flag for flag in _XLA_FLAGS if flag not in flags)])
    if name == "jax":
        os.environ["JAX_DEFAULT_MATMUL_PRECISION"] = "highest"
        _keep_programs()
    elif name == "tensorflow":
        _start_tensorflow(workers, pool=workers if with_loops else 1)
    else:
        raise UsageError(f"Keras is set to run on {name!r}.", "Set KERAS_BACKEND=tensorflow or KERAS_BACKEND=jax.")
    with _held_back_stderr():
        import keras

        device()
    if keras.backend.backend() != name:
        raise UsageError(
            f"Keras already runs on {keras.backend.backend()!r} in this process, not on {name!r}.",
            "Start the build in a fresh process.",
        )
    return name


def _keep_programs() -> None:
    """Have JAX keep compiled programs on disk, under what they were compiled from, with and for, and find them again. Where
    no folder can be written, or what is kept is damaged, they are compiled anew each time; a folder that the user chose stays.

    TensorFlow could do the same, but finds few again: it looks them up under names that count all functions of the process.
    """
    with contextlib.suppress(OSError, RuntimeError):
        home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
        folder = home / "amaxds" / "programs"
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(folder))
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache", UserWarning)


def _chosen_backend() -> str:
    """The backend that Keras will load: the environment's, or its settings file's, or TensorFlow."""
    if "KERAS_BACKEND" in os.environ:
        return os.environ["KERAS_BACKEND"]
    try:
        settings = json.loads((keras_home() / "keras.json").read_text("utf-8"))
        return str(settings.get("backend", "tensorflow"))
    except (OSError, ValueError, AttributeError):
        return "tensorflow"


def keras_home() -> Path:
    """The folder of Keras's settings and downloads, found as Keras finds it."""
    home = os.path.expanduser("~")
    default = os.path.join(home if os.access(home, os.W_OK) else "/tmp", ".keras")
    return Path(os.path.expanduser(os.environ.get("KERAS_HOME", default)))


def _start_tensorflow(workers: int, pool: int) -> None:
    global _started_tensorflow
    with _held_back_stderr():
        import tensorflow as tf

    tf.get_logger().setLevel("ERROR")
    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_intra_op_parallelism_threads(pool)
        tf.config.threading.set_inter_op_parallelism_threads(workers)
    except RuntimeError:
        threads = tf.config.threading.get_intra_op_parallelism_threads()
        if threads != 1 and not _started_tensorflow:
            raise UsageError(
                f"TensorFlow is already running in this process, with {threads or 'all'} threads per operation.",
                "Start the build in a fresh process, so that its images do not depend on the number of cores.",
            ) from None
    _started_tensorflow = True
    tf.config.experimental.enable_op_determinism()
    tf.config.experimental.enable_tensor_float_32_execution(False)


@contextlib.contextmanager
def _held_back_stderr() -> Iterator[None]:
    """Hold back what native code prints on stderr, and show it only where the work fails.

    TensorFlow greets with messages that its own log level does not reach (tensorflow issue 100442).
    """
    sys.stderr.flush()
    with _scratch_file() as held:
        kept = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except Exception:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _scratch_file() -> IO[bytes]:
    """An unnamed file to read and write; where no folder takes one, the null device."""
    try:
        return tempfile.TemporaryFile()
    except OSError:
        return open(os.devnull, "w+b")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether Python or the array library says with this error, or one that it came from, that memory has run out."""
    cause: BaseException | None = error
    while cause is not None:
        library = type(cause).__module__.partition(".")[0] in ("tensorflow", "jax", "jaxlib")
        if isinstance(cause, MemoryError) or (library and _NO_MEMORY.search(f"{type(cause).__name__} {cause}")):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def value_and_gradient(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """x -> (function(x), gradient of its sum with respect to x). For values (n,) that do not mix images: n gradients."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        def with_jax(x: Tensor) -> tuple[Tensor, Tensor]:
            values, pull_back = jax.vjp(function, x)
            return values, pull_back(keras.ops.ones_like(values))[0]

        return with_jax
    import tensorflow as tf

    def with_tensorflow(x: Tensor) -> tuple[Tensor, Tensor]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            values = function(x)
        return values, tape.gradient(values, x)

    return with_tensorflow


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function under XLA. Arguments must be tensors: a Python number would compile anew for each value."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        with_jax: Callable[..., Any] = jax.jit(function)
        return with_jax
    import tensorflow as tf

    with_tensorflow: Callable[..., Any] = tf.function(function, jit_compile=True, autograph=False)
    return with_tensorflow


def compiled_for(program: Callable[..., Any], arguments: Callable[[], tuple[Any, ...]]) -> Callable[..., Any]:
    """A `compiled` program, compiled here and now for such arguments; neither they nor their results are computed.

    TensorFlow can do no such thing: there it is still compiled by its first call.
    """
    import keras

    if keras.backend.backend() != "jax":
        return program
    import jax

    jitted: Any = program
    ahead: Callable[..., Any] = jitted.lower(*jax.eval_shape(arguments)).compile()
    return ahead


def device() -> dict[str, Any]:
    """The device that programs run on, as build.json holds it: kind, model and instruction sets."""
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


def gpu_bytes() -> int | None:
    """The GPU memory that programs may take; None on a CPU, and where the library does not say, as TensorFlow never does."""
    import keras

    if keras.backend.backend() != "jax" or device()["kind"] != "gpu":
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
        "model": model[1].strip() if model else platform.machine(),
        "instructions": f"{platform.machine()} {' '.join(vector)}",
    }


def environment() -> dict[str, str]:
    """The settings of this process that decide which library runs, and how it rounds; another process can be given them."""
    return {name: os.environ[name] for name in ("KERAS_BACKEND", *_ROUNDING_SETTINGS) if name in os.environ}


PIXEL_SOFTWARE = ("backend", "amaxds", "keras", "tensorflow", "jax", "jaxlib", "numpy", "settings")
"""What of `software` an image's bits depend on; the rest only writes files."""


def software() -> dict[str, Any]:
    """Versions of everything that an image's bits or a file's bytes depend on, and the settings that change rounding."""
    import keras

    backend = keras.backend.backend()
    libraries = ("jax", "jaxlib") if backend == "jax" else ("tensorflow",)
    names = ("amaxds", "keras", *libraries, "numpy", "pillow", "pyarrow", "datasets", "huggingface_hub", "jinja2", "pyyaml")
    settings = {name: os.environ[name] for name in _ROUNDING_SETTINGS if name in os.environ}
    versions = {name: version_of(name) for name in names}
    return {"python": platform.python_version(), "backend": backend} | versions | {"settings": settings}


def version_of(name: str) -> str:
    """The version of an installed library; "unknown" where there is none."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        if name == "tensorflow":
            return version_of("tensorflow-cpu")
        return "unknown"
