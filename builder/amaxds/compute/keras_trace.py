"""Keras models from inside: their layers, and their graph run again with other operations.

Keras has no public functions for this. Everything that uses private parts of Keras is here.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

Model = Any
Operation = Any
"""A layer, or an operation of `keras.ops`, in a model's graph."""


def located_layers(model: Model) -> Iterator[tuple[Any, tuple[str, ...]]]:
    """All layers of a model, also those inside of others, each once, with the names of the models and wrappers around it."""
    found: set[int] = set()

    def inside(layer: Any, path: tuple[str, ...]) -> Iterator[tuple[Any, tuple[str, ...]]]:
        for each in layer._layers:
            if id(each) not in found:
                found.add(id(each))
                yield each, path
                yield from inside(each, (*path, each.name) if _is_container(each) else path)

    yield from inside(model, ())


def names_of(layers: Iterable[tuple[Any, tuple[str, ...]]]) -> dict[int, str]:
    """What each of these `located_layers` is called, by its id: its own name where no other of them has it, else with the names
    of the models that it is in: `left.conv1`."""
    known = list(layers)
    times = Counter(layer.name for layer, _ in known)
    return {id(each): each.name if times[each.name] == 1 else ".".join((*path, each.name)) for each, path in known}


def is_graph(model: Model) -> bool:
    """Whether the model is a functional or sequential one, which `run_graph` can run."""
    return _functional(model) is not None


def run_graph(model: Model, x: Any, replace: Callable[[Operation], Callable[..., Any]]) -> Any:
    """The model's output for x, symbolic or not, with `replace(operation)` called in place of each operation of its graph.
    Models inside the model are opened: their operations are replaced, too. Spectral normalisation is left out: it changes the
    weights of the layer inside it during training only."""

    def called(operation: Operation) -> Callable[..., Any]:
        if _is_normalised(operation):
            return lambda inputs, **_: called(operation.layer)(inputs)
        inner = _functional(operation)
        return replace(operation) if inner is None else lambda inputs, **_: inner._run_through_graph(inputs, called)

    return called(model)(x)


def layer_of(operation: Operation, function: Callable[[Any], Any]) -> Callable[..., Any]:
    """A Keras layer that computes a function of its one input in place of an operation, with the operation's variables. In a
    model, the function is called with maps of whatever size the model is given, as the operation would be."""
    layer: Callable[..., Any] = _layer_class()(operation, function)
    return layer


@functools.cache
def _layer_class() -> Any:
    import keras

    class InPlaceOf(keras.layers.Layer):  # type: ignore[misc]  # the library has no types
        def __init__(self, operation: Operation, function: Callable[[Any], Any]) -> None:
            super().__init__(name=f"in_place_of_{operation.name}")
            self.operation, self.function = operation, function

        def call(self, x: Any) -> Any:
            return self.function(x)

    return InPlaceOf


def calls(model: Model) -> Iterator[Operation]:
    """The operations that `run_graph` calls, in their order, as often as they are called."""
    inner = _functional(model)
    if inner is None:
        yield model.layer if _is_normalised(model) else model
        return
    for depth in sorted(inner._nodes_by_depth, reverse=True):
        for node in inner._nodes_by_depth[depth]:
            if node.operation and not node.is_input:
                yield from calls(node.operation)


def make_names_unique(outputs: Iterable[Any]) -> None:
    """Rename operations that these symbolic tensors are computed by, so that a model can be made of them. Two models inside of
    another may have layers of one name, but in one model without inner ones that is not allowed."""
    operations: dict[int, Operation] = {}
    left = list(outputs)
    seen = set()
    while left:
        operation, place, _ = left.pop()._keras_history
        if (id(operation), place) not in seen:
            seen.add((id(operation), place))
            operations[id(operation)] = operation
            left += operation._inbound_nodes[place].input_tensors
    names = Counter(each.name for each in operations.values())
    for each in operations.values():
        if names[each.name] > 1:
            names[each.name] -= 1
            number = next(number for number in range(1, len(names) + 2) if f"{each.name}-{number}" not in names)
            each.name = f"{each.name}-{number}"
            names[each.name] = 1


def _is_normalised(operation: Operation) -> bool:
    return type(operation).__name__ == "SpectralNormalization"


def _is_container(layer: Any) -> bool:
    import keras

    return isinstance(layer, (keras.Model, keras.layers.Wrapper))


def _functional(operation: Operation) -> Any:
    """The graph of a functional or sequential model; None for anything else."""
    from keras.src.models.functional import Functional
    from keras.src.models.sequential import Sequential

    found = operation._functional if isinstance(operation, Sequential) else operation
    return found if isinstance(found, Functional) else None
