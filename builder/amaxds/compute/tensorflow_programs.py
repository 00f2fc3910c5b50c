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

_tracing = threading.Lock()
"""Held while a program is traced. Threads could not do that side by side anyway: it is Python."""


def keep_no_stack_traces() -> None:
    """Have TensorFlow keep no Python stack with each operation of a graph. It is for the text of errors that our programs do
    not have."""
    with contextlib.suppress(ImportError, AttributeError):
        from tensorflow.python.client import pywrap_tf_session

        if callable(pywrap_tf_session.TF_SetOpStackTrace):
            pywrap_tf_session.TF_SetOpStackTrace = lambda operation, stack: None


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function compiled by XLA, at its first call."""
    import tensorflow as tf

    program, traced = tf.function(function, jit_compile=True, autograph=False), False

    @functools.wraps(program, updated=())
    def run(*arguments: Any) -> Any:
        nonlocal traced
        if not traced:
            with _tracing, _custom_gradients_dropped():
                program.get_concrete_function(*arguments)
            traced = True
        return program(*arguments)

    return run


@contextlib.contextmanager
def _custom_gradients_dropped() -> Iterator[None]:
    """Have TensorFlow forget the custom gradients of a function that is traced in this context: it would keep them, and with
    them the function's graph. They are not needed again once the gradient is in the graph."""
    registered: dict[str, Any] = {}
    with contextlib.suppress(ImportError, AttributeError):
        from tensorflow.python.framework import ops

        registered = ops.gradient_registry._registry
    before = set(registered)
    try:
        yield
    finally:
        for name in [each for each in registered if each not in before and each.startswith("CustomGradient-")]:
            del registered[name]
