"""The array library that Keras runs on, TensorFlow (the default) or JAX: how it is started, and what differs between the two.

All computation is written in `keras.ops`. Only three things differ: how a gradient is taken, how a function is compiled, and
how the library is told to be deterministic. With JAX, TensorFlow is not imported.

On a CPU every operation of a compiled program runs on one thread, and several programs run side by side. That is no slower, and
makes the bits of images independent of the number of cores. These settings must be made before the library starts.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import json
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from amaxds.compute import environment, tensorflow_programs
from amaxds.compute.xla_flags import set_flags
from amaxds.errors import UsageError, in_words

Tensor = Any

# What a user may set of JAX: where it runs, where it keeps programs, what it logs. The rest would change or stop programs.
_JAX_VARIABLES = re.compile(
    r"JAX_(PLATFORM|COMPILATION_CACHE|PERSISTENT_CACHE|ENABLE_COMPILATION_CACHE|ENABLE_X64|CUDA|LOG|TRACE)"
)

BACKENDS = "tensorflow", "jax"
_started: str | None = None
"""The backend that `start` has set up in this process."""


def start(workers: int, with_loops: bool = False) -> str:
    """Load Keras's backend for deterministic work on that many threads, and return its name. Later calls change nothing but
    the size of the pool below, which grows if more is asked for before the first program runs.

    with_loops: whether the compiled programs contain loops, see `networks.has_loops`. XLA runs loops on TensorFlow's pool of
    threads for single operations. With one thread in the pool, programs with loops that run side by side would wait for each
    other; programs without loops are faster with one, because each then stays on the thread that called it.

    Settings of Keras and JAX that would change images, in variables or in keras.json, are not heeded.

    UsageError where TensorFlow already runs in this process with other settings, Keras is set to another backend or to one that
    is not installed, or the settings of one of the libraries cannot be read.
    """
    global _started
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    name = os.environ["KERAS_BACKEND"] = _chosen_backend()
    if name not in BACKENDS:
        raise UsageError(f"Keras is set to run on {name!r}.", "Set KERAS_BACKEND=tensorflow or KERAS_BACKEND=jax.")
    if name != _started:
        _load(name, workers, with_loops)
    elif name == "tensorflow" and with_loops:
        _widen_pool(workers)
    import keras

    if keras.backend.backend() != name:
        raise UsageError(
            f"Keras already runs on {keras.backend.backend()!r} in this process, not on {name!r}.",
            "Start the build in a fresh process.",
        )
    _started = name
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    keras.config.set_dtype_policy("float32")
    return name


def _load(name: str, workers: int, with_loops: bool) -> None:
    """Load Keras and the backend of that name, set up as `start` says."""
    set_flags(name)
    for variable in ("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH"):
        os.environ.pop(variable, None)
    os.environ["KERAS_NNX_ENABLED"] = "false"
    try:
        if name == "jax":
            for variable in [each for each in os.environ if each.startswith("JAX_") and not _JAX_VARIABLES.match(each)]:
                del os.environ[variable]
            os.environ["JAX_DEFAULT_MATMUL_PRECISION"] = "highest"
            _keep_programs()
        else:
            with _uncollected():
                _start_tensorflow(workers, pool=workers if with_loops else 1)
        with _held_back_stderr(), _uncollected():
            importlib.import_module("keras")
            environment.device()
    except ImportError as error:
        raise UsageError(
            f"Keras cannot run on {name!r}: {in_words(error)}.",
            "Install it (pip install 'amaxds[jax]'), or set KERAS_BACKEND=tensorflow."
            if name == "jax"
            else "Install amaxds again.",
        ) from error
    except (AssertionError, AttributeError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise UsageError(
            f"Keras cannot be started on {name!r}{_settings_in_words()}: {in_words(error)}.",
            f"Correct {keras_home() / 'keras.json'} and the variables of {name}, or do without them.",
        ) from error


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Look for no garbage while libraries are loaded, nor ever among what they made: half a million objects stay of them, and
    each look at these takes 0.1 s."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collects:
            gc.enable()


def _keep_programs() -> None:
    """Have JAX keep compiled programs on disk and use them again, in a folder of ours unless the user has set one. Where the
    folder cannot be written, or a file in it is damaged, programs are compiled each time.

    TensorFlow can keep programs, too, but would find few of them: their names contain a count of all functions of the process.
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
    """The backend that Keras will load: that of KERAS_BACKEND, of its settings file, or the first that is installed."""
    if os.environ.get("KERAS_BACKEND"):
        return os.environ["KERAS_BACKEND"]
    installed = [name for name in BACKENDS if importlib.util.find_spec(name)] or [BACKENDS[0]]
    try:
        named = str(json.loads((keras_home() / "keras.json").read_text("utf-8")).get("backend", installed[0]))
    except (OSError, ValueError, AttributeError):
        named = installed[0]
    # Keras writes that file itself when it is first loaded, and TensorFlow into it.
    return installed[0] if named == BACKENDS[0] else named


def _settings_in_words() -> str:
    try:
        return f" with {' '.join((keras_home() / 'keras.json').read_text('utf-8').split())[:100]}"
    except (OSError, ValueError):
        return ""


def keras_home() -> Path:
    """The folder of Keras's settings and downloads, by Keras's own rules."""
    home = os.path.expanduser("~")
    default = os.path.join(home if os.access(home, os.W_OK) else "/tmp", ".keras")
    return Path(os.path.expanduser(os.environ.get("KERAS_HOME", default)))


def _start_tensorflow(workers: int, pool: int) -> None:
    with _held_back_stderr():
        import tensorflow as tf

    tf.get_logger().setLevel("ERROR")
    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_intra_op_parallelism_threads(pool)
        tf.config.threading.set_inter_op_parallelism_threads(workers)
    except RuntimeError:
        threads = tf.config.threading.get_intra_op_parallelism_threads()
        if threads != 1:
            raise UsageError(
                f"TensorFlow is already running in this process, with {threads or 'all'} threads per operation.",
                "Start the build in a fresh process, so that its images do not depend on the number of cores.",
            ) from None
    tf.config.experimental.enable_op_determinism()
    tf.config.experimental.enable_tensor_float_32_execution(False)


def _widen_pool(workers: int) -> None:
    """Have TensorFlow's pools so many threads at least. Once programs run they keep their size."""
    import tensorflow as tf

    of = tf.config.threading
    with contextlib.suppress(RuntimeError):
        of.set_intra_op_parallelism_threads(max(workers, of.get_intra_op_parallelism_threads()))
        of.set_inter_op_parallelism_threads(max(workers, of.get_inter_op_parallelism_threads()))


@contextlib.contextmanager
def _held_back_stderr() -> Iterator[None]:
    """Hold back what is printed on stderr, also by native code; with `--debug` print it if an exception is raised.

    TensorFlow prints messages as it starts that its log level does not suppress (tensorflow issue 100442).
    """
    sys.stderr.flush()
    with _scratch_file() as held:
        kept = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except Exception:  # It is raised again.
            if os.environ.get("AMAXDS_DEBUG"):
                held.seek(0)
                os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _scratch_file() -> IO[bytes]:
    """A temporary file without a name; the null device where no folder can be written."""
    try:
        return tempfile.TemporaryFile()
    except OSError:
        return open(os.devnull, "w+b")


def value_and_gradient(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """A function of x that returns function(x) and the gradient of its sum with respect to x.

    If function(x) is (n,), one value for each of n images, the gradient is that of each image's own value.
    """
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
        return values, tape.gradient(values, x, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    return with_tensorflow


def lasting_tensor(array: NDArray[np.floating[Any]], dtype: str | None = None) -> Tensor:
    """The array as a tensor of that type, its own by default, which takes its size in memory once.

    TensorFlow holds the values twice for as long as a tensor lives that was made of an array, and once for a copy of that.
    """
    import keras

    return keras.ops.copy(keras.ops.convert_to_tensor(array, dtype))


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function compiled by XLA, for arguments of one shape and type. They must be tensors: it would be compiled again for
    each value of a Python number."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        with_jax: Callable[..., Any] = jax.jit(function)
        return with_jax
    return tensorflow_programs.compiled(function)


def compiled_for(program: Callable[..., Any], arguments: Callable[[], tuple[Any, ...]]) -> Callable[..., Any]:
    """A `compiled` program, compiled now for arguments of those shapes and types, without computing anything.

    TensorFlow cannot do this: there the program is compiled by its first call, as before.
    """
    import keras

    if keras.backend.backend() != "jax":
        return program
    import jax

    jitted: Any = program
    ahead: Callable[..., Any] = jitted.lower(*jax.eval_shape(arguments)).compile()
    return ahead
