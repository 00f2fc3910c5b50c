"""Programs on TensorFlow, without what it would keep of them as long as the process lives.

Of VGG16's programs that is more than a gigabyte for each recipe. There are no settings for it, so this reaches into TensorFlow;
where another version has other names inside, programs are the same and take more memory.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

_tracing = threading.RLock()
"""Held while a program is traced. Threads could not do that side by side anyway: it is Python. A program may be
used while another is traced."""


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function compiled by XLA, at its first call, for arguments of one shape and type."""
    import tensorflow as tf

    program, traced = tf.function(function, jit_compile=True, autograph=False), False

    @functools.wraps(program, updated=())
    def run(*arguments: Any) -> Any:
        nonlocal traced
        if not traced:
            with _tracing, _no_stack_traces():
                graph = program.get_concrete_function(*arguments).graph
                _drop_custom_gradients(graph)
            traced = True
        return program(*arguments)

    return run


@contextlib.contextmanager
def _no_stack_traces() -> Iterator[None]:
    """Have TensorFlow keep no Python stack with the operations that are traced in this context. It is for the text of errors,
    where it would say in which line of ours an operation was made."""
    try:
        from tensorflow.python.client import pywrap_tf_session

        kept = pywrap_tf_session.TF_SetOpStackTrace
    except (ImportError, AttributeError):
        yield
        return
    pywrap_tf_session.TF_SetOpStackTrace = lambda operation, stack: None
    try:
        yield
    finally:
        pywrap_tf_session.TF_SetOpStackTrace = kept


def _drop_custom_gradients(graph: Any) -> None:
    """Have TensorFlow forget the custom gradients of this graph's own operations: it would keep them, and the graph with them.
    They are not needed again once the graph has the gradient. Those of functions that it calls stay: others may call them."""
    with contextlib.suppress(ImportError, AttributeError):
        from tensorflow.python.framework import ops

        registered = ops.gradient_registry._registry
        for operation in graph.get_operations():
            if operation.type == "IdentityN":
                registered.pop(operation.node_def.attr["_gradient_op_type"].s.decode(), None)
