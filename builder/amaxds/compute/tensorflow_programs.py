"""Programs on TensorFlow, without what it would keep of them as long as the process lives.

Of VGG16's programs that is more than a gigabyte for each recipe. On a CPU each program runs in a session of its own, which has
what XLA compiled, and is closed when the program is let go of. For the rest there are no settings, so this reaches into
TensorFlow; where another version has other names inside, programs are the same and take more memory.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from amaxds.compute import environment

_tracing = threading.RLock()
"""Held while a program is traced. Threads could not do that side by side anyway: it is Python. A program may be
used while another is traced."""


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function compiled by XLA, at its first call, for arguments of one shape and type. On a CPU it returns arrays of NumPy
    in place of tensors, which are the same there; on a GPU tensors, which stay in its memory."""
    import tensorflow as tf

    program = tf.function(function, jit_compile=True, autograph=False)
    on_cpu, made = not environment.on_gpu(), threading.Lock()
    running: Callable[..., Any] | None = None

    def run(*arguments: Any) -> Any:
        nonlocal program, running
        with made:
            if running is None:
                with _tracing, _no_stack_traces():
                    # Some arguments are variables, of which only the values are meant.
                    specs = tf.nest.map_structure(lambda each: tf.TensorSpec(each.shape, each.dtype), arguments)
                    traced = program.get_concrete_function(*(specs if on_cpu else arguments))
                    _drop_custom_gradients(traced.graph)
                    has_variables = any(each.dtype == tf.resource for each in traced.captured_inputs)
                    running = _in_session(traced, specs) if on_cpu and not has_variables else program
                program = None
        return running(*arguments)

    return run


def _in_session(traced: Any, specs: tuple[Any, ...]) -> Callable[..., Any]:
    """What calls a traced function in a session of its own, for arguments as specified, in the thread that calls it. The
    session is closed with the last reference to what is returned."""
    import tensorflow as tf

    flatten, pack, v1 = tf.nest.flatten, tf.nest.pack_sequence_as, tf.compat.v1
    with tf.Graph().as_default() as graph:
        inputs = [v1.placeholder(each.dtype, each.shape) for each in flatten(specs)]
        # Tensors that layers have made beforehand belong to no graph.
        traced.set_external_captures([tf.constant(np.asarray(each)) for each in traced.captured_inputs])
        results = traced(*pack(specs, inputs))
    config, in_this_thread = v1.ConfigProto(), v1.RunOptions(inter_op_thread_pool=-1)
    config.graph_options.rewrite_options.disable_meta_optimizer = True  # There is one operation: the call.
    session, fetched = v1.Session(graph=graph, config=config), flatten(results)

    def call(*arguments: Any) -> Any:
        given = dict(zip(inputs, map(np.asarray, flatten(arguments)), strict=True))
        return pack(results, session.run(fetched, given, in_this_thread))

    return call


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
