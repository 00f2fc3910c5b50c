"""Keras models from inside: their layers, and their graph run again with other operations.

Keras has no public functions for this. Everything that uses private parts of Keras is here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Model = Any
Operation = Any
"""A layer, or an operation of `keras.ops`, in a model's graph."""


def all_layers(model: Model) -> list[Any]:
    """All layers of a model, those of models inside it, too."""
    return list(model._flatten_layers())


def is_graph(model: Model) -> bool:
    """Whether the model is a functional or sequential one, which `run_graph` can run."""
    return _functional(model) is not None


def run_graph(model: Model, x: Any, replace: Callable[[Operation], Callable[..., Any]]) -> Any:
    """The model's output for x, symbolic or not, with `replace(operation)` called in place of each operation of its graph.
    Models inside the model are opened: their operations are replaced, too."""

    def called(operation: Operation) -> Callable[..., Any]:
        inner = _functional(operation)
        return replace(operation) if inner is None else lambda inputs, **_: inner._run_through_graph(inputs, called)

    return called(model)(x)


def _functional(operation: Operation) -> Any:
    """The graph of a functional or sequential model; None for anything else."""
    from keras.src.models.functional import Functional
    from keras.src.models.sequential import Sequential

    found = operation._functional if isinstance(operation, Sequential) else operation
    return found if isinstance(found, Functional) else None
