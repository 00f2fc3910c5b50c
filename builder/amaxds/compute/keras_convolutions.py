"""The Conv2D layers of a Keras model: where they are in its graph, what an output of theirs depends on, and what they cost."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from amaxds.compute import environment
from amaxds.compute.depthwise import by_taps, is_depthwise
from amaxds.compute.keras_trace import Model, Operation, all_layers, is_graph, run_graph
from amaxds.compute.pooling import max_pool
from amaxds.errors import UsageError, in_words
from amaxds.spec.network import KERAS_WEIGHTS_CHOICES, LAYER_NAME, LEAST_SIDE, Layer, Network, Preprocessing

# Operations whose output at a position depends on nothing but their inputs at that position.
_POINTWISE = {
    *("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax", "Relu", "Relu6", "Sigmoid", "Silu", "HardSigmoid", "Gelu"),
    *("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Divide", "TrueDivide", "Negative"),
    *("BatchNormalization", "Normalization", "Rescaling", "LayerScale", "CustomScaleLayer", "Dense", "Identity"),
    *("Dropout", "SpatialDropout2D", "GaussianNoise", "StochasticDepth", "ZeroPadding2D", "Cropping2D"),
}


@dataclass(frozen=True)
class _Origin:
    """What the values of a tensor in the graph depend on."""

    stride: Fraction
    """Distance in input pixels between neighbouring positions."""
    field: tuple[Fraction, Fraction] | None
    """Height and width in input pixels of what one position depends on; None where that may be the whole image."""
    costs: Mapping[int, tuple[int, int]]
    """For each operation with a kernel that was needed, by its id: floating-point operations, and numbers in its output."""


@dataclass(frozen=True)
class Convolution:
    """A Conv2D layer at its first call in the graph."""

    layer: Any
    input: Any
    """The symbolic tensor that it is called with."""
    origin: _Origin
    """That of its output."""
    side: int
    """The smaller of height and width of its output."""


def find_convolutions(model: Model, canvas: int) -> tuple[Any, list[Convolution], dict[str, tuple[Any, Any]]]:
    """A new graph of the model's computation for images (canvas, canvas, 3): its symbolic input, its Conv2D layers in graph
    order, and its Dense layers by name, each with the symbolic tensor that it is called with. Max pooling, and on a CPU
    depthwise convolutions, are replaced by our own.

    UsageError for a model that has no graph, that takes anything else than one RGB image, or none of this size.
    """
    import keras

    x = keras.Input((canvas, canvas, 3))
    origins = {id(x): _Origin(Fraction(1), (Fraction(1), Fraction(1)), {})}
    kept, on_cpu = [x], not environment.on_gpu()
    convolutions: dict[str, Convolution] = {}
    dense: dict[str, tuple[Any, Any]] = {}

    def traced(operation: Operation) -> Callable[..., Any]:

        def call(*args: Any, **options: Any) -> Any:
            inputs = [each for each in keras.tree.flatten((args, options)) if id(each) in origins]
            outputs = _replacement(operation, on_cpu)(*args, **options)
            kept.extend(keras.tree.flatten(outputs))  # As long as they live, no other has their id.
            for output in keras.tree.flatten(outputs):
                origins[id(output)] = origin = _origin_after(operation, output, [origins[id(each)] for each in inputs])
            if isinstance(operation, keras.layers.Conv2D) and operation.name not in convolutions:
                if operation.data_format != "channels_last":
                    raise UsageError(f"{operation.name} takes channels first.", "Save the model with channels last.")
                convolutions[operation.name] = Convolution(operation, inputs[0], origin, min(outputs.shape[1:3]))
            if isinstance(operation, keras.layers.Dense):
                dense.setdefault(operation.name, (operation, inputs[0]))
            return outputs

        return call

    inputs = model.inputs if is_graph(model) else []
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].shape[-1] not in (None, 3):
        raise UsageError(
            f"{model.name} is no graph of layers from one colour image.", "Give a functional or sequential Keras model for RGB."
        )
    try:
        run_graph(model, x, traced)
    except (ValueError, TypeError) as error:
        # A classification head after the last convolution may want another size; it is not needed.
        if any(isinstance(each, keras.layers.Conv2D) and each.name not in convolutions for each in all_layers(model)):
            raise UsageError(
                f"{model.name} does not take a canvas of {canvas}: {in_words(error)}.",
                f"Give another canvas (--canvas); its own input is {model.input_shape[1:]}.",
            ) from error
    return x, list(convolutions.values()), dense


def _replacement(operation: Operation, on_cpu: bool) -> Callable[..., Any]:
    """What is called in place of an operation: mostly the operation itself."""
    import keras

    if type(operation) is keras.layers.MaxPooling2D:
        return lambda x, **_: max_pool(x, operation.pool_size, operation.strides, operation.padding)
    found: Callable[..., Any] = by_taps(operation) if on_cpu and is_depthwise(operation) else operation
    return found


def _origin_after(operation: Operation, output: Any, before: list[_Origin]) -> _Origin:
    """What an operation's output depends on, from what its inputs depend on."""
    stride = max((each.stride for each in before), default=Fraction(1))
    bounded = [each.field for each in before if each.field is not None]
    field = (max(f[0] for f in bounded), max(f[1] for f in bounded)) if bounded and len(bounded) == len(before) else None
    costs = {key: cost for each in before for key, cost in each.costs.items()}
    kind, size = type(operation).__name__, getattr(operation, "kernel_size", None) or getattr(operation, "pool_size", None)
    if cost := _cost(operation, output):
        costs[id(operation)] = cost, math.prod(output.shape[1:])
    if len(output.shape) != 4:
        return _Origin(stride, None, costs)
    if kind.endswith("Conv2D") or kind in ("MaxPooling2D", "AveragePooling2D"):
        dilation = getattr(operation, "dilation_rate", (1, 1))
        steps = (operation.strides,) * 2 if isinstance(operation.strides, int) else operation.strides
        reach = [(each - 1) * wide * stride for each, wide in zip(size, dilation, strict=True)] if size else [0, 0]
        field = None if field is None else (field[0] + reach[0], field[1] + reach[1])
        stride *= max(steps)
    elif kind in ("UpSampling2D", "Conv2DTranspose"):
        stride /= max(operation.size if kind == "UpSampling2D" else operation.strides)
        field = field if getattr(operation, "interpolation", None) == "nearest" else None
    elif kind not in _POINTWISE and not (kind == "LayerNormalization" and operation.axis in (-1, [-1], 3, [3])):
        field = None
    return _Origin(stride, field, costs)


def _cost(operation: Operation, output: Any) -> int:
    """Floating-point operations for one image; 0 for an operation without a kernel."""
    positions = math.prod(output.shape[1:-1])  # 1 for the vector of a dense layer.
    kernels = [getattr(operation, name, None) for name in ("kernel", "depthwise_kernel", "pointwise_kernel")]
    return sum(2 * positions * math.prod(each.shape) for each in kernels if each is not None)


def describe_model(model: Model, name: str, origin: str, canvas: int, preprocessing: Preprocessing) -> Network:
    """The Keras model as a network called `name`, on that canvas; `origin` is its `Network.model`. UsageError for a model that
    cannot be used."""
    layers = []
    for index, each in enumerate(find_convolutions(model, canvas)[1]):
        if not re.match(LAYER_NAME, each.layer.name):
            raise UsageError(f"a layer is called {each.layer.name!r}.", "Give it a name of letters, digits, ., - and _.")
        own, _ = each.origin.costs[id(each.layer)]
        before = [cost for operation, cost in each.origin.costs.items() if operation != id(each.layer)]
        layers.append(
            Layer(
                name=each.layer.name,
                index=index,
                channels=int(each.input.shape[-1]),
                filters=each.layer.filters,
                stride=max(1, math.ceil(each.origin.stride)),
                receptive_field=None if each.origin.field is None else math.ceil(max(each.origin.field)),
                side=each.side,
                operations=sum(cost for cost, _ in before) + own // each.layer.filters,
                values=sum(values for _, values in before),
            )
        )
    found = Network(name, tuple(layers), canvas, *preprocessing, KERAS_WEIGHTS_CHOICES, origin)
    if not found.usable:
        raise UsageError(
            f"{name} has no Conv2D layer with an output of {LEAST_SIDE} or more on a canvas of {canvas}.",
            "Give a larger canvas (--canvas), or another network.",
        )
    return found
