"""What is found out before anything is made: whether the compiler has a program for an operation and for its gradient, and what
shapes a function returns."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from amaxds.compute import backend
from amaxds.errors import UsageError, in_words

Operation = Any
Tensor = Any

_known: dict[str, str] = {}
"""For each operation that was tried, with its settings and shapes, why it cannot be compiled; empty if it can."""


@dataclass(frozen=True)
class Call:
    """An operation with the arguments that it is called with, in which images are symbolic tensors."""

    operation: Operation
    function: Callable[..., Any]
    """What is called: the operation, or something in place of it."""
    args: tuple[Any, ...]
    options: dict[str, Any]

    @property
    def tensors(self) -> list[Any]:
        """The symbolic tensors among the arguments."""
        import keras

        return [each for each in keras.tree.flatten((self.args, self.options)) if isinstance(each, keras.KerasTensor)]


def require_compiled(call: Call, network: str) -> None:
    """UsageError, which names the layer, where the operation or its gradient cannot be compiled for these arguments."""
    operation, kind = call.operation, type(call.operation).__name__
    key = f"{kind} {_settings(operation)} {[(each.shape, str(each.dtype)) for each in call.tensors]} {call.options}"
    if key not in _known:
        try:
            _compile(call)
            _known[key] = ""
        except Exception as error:  # A compiler's complaints are of many types.
            _known[key] = in_words(error)
    if _known[key]:
        raise UsageError(
            f"layer {operation.name} ({kind}) of {network} cannot be compiled: {_known[key]}.",
            "Take it out of the model: what it does can be done to images before they are given to the network.",
        )


def _settings(operation: Operation) -> Any:
    try:
        return {key: each for key, each in operation.get_config().items() if key != "name"}
    except Exception:  # Operations of a graph need not have any.
        return operation.name


def _compile(call: Call) -> None:
    """Compile the operation and its gradient, and run them on zeros."""
    import keras

    tensors, takes = call.tensors, inspect.signature(call.operation.call).parameters
    inference = {"training": False} if "training" in takes else {}
    values = [np.zeros((2, *(side or 2 for side in each.shape[1:])), np.float32) for each in tensors]

    def run(given: list[Any]) -> Any:
        found = {id(each): keras.ops.cast(value, each.dtype) for each, value in zip(tensors, given, strict=True)}
        args, options = keras.tree.map_structure(lambda each: found.get(id(each), each), (call.args, call.options))
        outputs = keras.tree.flatten(call.function(*args, **options | inference))
        return sum(keras.ops.sum(keras.ops.cast(each, "float32")) for each in outputs)

    backend.compiled(backend.value_and_gradient(run))([keras.ops.convert_to_tensor(each) for each in values])


@contextlib.contextmanager
def eagerly() -> Iterator[None]:
    """Compute at once what is computed in this context, also while a program is traced."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        with jax.ensure_compile_time_eval():
            yield
        return
    import tensorflow as tf

    with tf.init_scope():
        yield


def output_shapes(function: Callable[[Tensor], list[Tensor]], shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The shapes of what a function returns for a float32 tensor of this shape. It is traced, and nothing is computed."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        return [each.shape for each in jax.eval_shape(function, jax.ShapeDtypeStruct(shape, "float32"))]
    import tensorflow as tf

    traced = tf.function(function, autograph=False).get_concrete_function(tf.TensorSpec(shape, tf.float32))
    return [tuple(each.shape) for each in traced.structured_outputs]
