"""A Keras model's graph, written out layer by layer: its convolutions, what they see and what they cost."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from amaxds.compute import backend
from amaxds.compute.depthwise import by_taps, is_depthwise
from amaxds.compute.keras_models import Model
from amaxds.errors import UsageError, in_words
from amaxds.spec.network import GRAPH_WEIGHTS, LAYER_NAME, LEAST_SIDE, Fed, Layer, Network

# Operations that take every place of a map by itself.
_POINTWISE = {
    *("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax", "Relu", "Relu6", "Sigmoid", "Silu", "HardSigmoid", "Gelu"),
    *("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Divide", "TrueDivide", "Negative"),
    *("BatchNormalization", "Normalization", "Rescaling", "LayerScale", "CustomScaleLayer", "Dense", "Identity"),
    *("Dropout", "SpatialDropout2D", "GaussianNoise", "StochasticDepth", "ZeroPadding2D", "Cropping2D"),
}


# What a model is made of.


@dataclass(frozen=True)
class _Seen:
    """What a map depends on."""

    stride: Fraction
    """Distance in input pixels between neighbouring places."""
    field: tuple[Fraction, Fraction] | None
    """Height and width in input pixels of what a place depends on; None where that is not bounded, or not known."""
    behind: Mapping[int, tuple[int, int]]
    """Each operation with a kernel before it -> its floating-point operations, and the numbers in its map."""


@dataclass(frozen=True)
class _Conv:
    """A Conv2D layer where it is first called."""

    layer: Any
    input: Any
    """The symbolic tensor that it is given."""
    seen: _Seen
    """Of its output, but for the layer itself."""
    side: int


def _trace(model: Model, canvas: int) -> tuple[Any, list[_Conv]]:
    """The model's computation written out again for that canvas, without its inner models: its symbolic input, and its
    Conv2D layers in graph order. UsageError for a model that has no such graph."""
    import keras

    x = keras.Input((canvas, canvas, 3))
    seen = {id(x): _Seen(Fraction(1), (Fraction(1), Fraction(1)), {})}
    kept, on_cpu = [x], backend.device()["kind"] == "cpu"
    convolutions: dict[str, _Conv] = {}

    def called(operation: Any) -> Callable[..., Any]:
        inner = _functional(operation)
        if inner is not None:
            return lambda inputs, **_: inner._run_through_graph(inputs, called)

        def call(*args: Any, **options: Any) -> Any:
            inputs = [each for each in keras.tree.flatten((args, options)) if id(each) in seen]
            if type(operation) is keras.layers.MaxPooling2D:
                outputs = _pooled(operation, *args)
            else:
                outputs = (by_taps(operation) if on_cpu and is_depthwise(operation) else operation)(*args, **options)
            kept.extend(keras.tree.flatten(outputs))  # As long as they live, no other has their id.
            for output in keras.tree.flatten(outputs):
                seen[id(output)] = after = _after(operation, inputs, output, [seen[id(each)] for each in inputs])
            if isinstance(operation, keras.layers.Conv2D) and operation.name not in convolutions:
                if operation.data_format != "channels_last":
                    raise UsageError(f"{operation.name} takes channels first.", "Save the model with channels last.")
                convolutions[operation.name] = _Conv(operation, inputs[0], after, min(outputs.shape[1:3]))
            return outputs

        return call

    inner = _functional(model)
    if inner is None or len(model.inputs) != 1 or len(model.inputs[0].shape) != 4 or model.inputs[0].shape[-1] not in (None, 3):
        raise UsageError(
            f"{model.name} is no graph of layers from one colour image.", "Give a functional or sequential Keras model for RGB."
        )
    try:
        inner._run_through_graph(x, called)
    except (ValueError, TypeError) as error:
        # Behind the last convolution a head may want another size; nobody asks for it.
        if any(isinstance(each, keras.layers.Conv2D) and each.name not in convolutions for each in model._flatten_layers()):
            raise UsageError(
                f"{model.name} does not take a canvas of {canvas}: {in_words(error)}.",
                f"Give another --canvas; its own input is {model.input_shape[1:]}.",
            ) from error
    return x, list(convolutions.values())


def _pooled(pooling: Any, x: Any) -> Any:
    """Max pooling, element by element: the gradient of a window reduction is slow, and TensorFlow has no deterministic one."""
    import keras

    (down, across), (below, beside) = pooling.pool_size, pooling.strides
    height, width = pooling.compute_output_spec(x).shape[1:3]
    rows, columns = (height - 1) * below + down, (width - 1) * beside + across
    if pooling.padding == "same":
        outside = [max(most - side, 0) for most, side in zip((rows, columns), x.shape[1:3], strict=True)]
        around = [(each // 2, each - each // 2) for each in outside]
        x = keras.ops.pad(x, ((0, 0), *around, (0, 0)), constant_values=-3.4e38)
    shifted = (
        x[:, top : top + rows - down + 1 : below, left : left + columns - across + 1 : beside]
        for top in range(down)
        for left in range(across)
    )
    return functools.reduce(keras.ops.maximum, shifted)


def _functional(operation: Any) -> Any:
    """The graph of a model, functional or sequential; None for anything else."""
    from keras.src.models.functional import Functional
    from keras.src.models.sequential import Sequential

    found = operation._functional if isinstance(operation, Sequential) else operation
    return found if isinstance(found, Functional) else None


def _after(operation: Any, inputs: list[Any], output: Any, before: list[_Seen]) -> _Seen:
    """What the output of an operation depends on, for what its inputs do."""
    stride = max((each.stride for each in before), default=Fraction(1))
    bounded = [each.field for each in before if each.field is not None]
    field = (max(f[0] for f in bounded), max(f[1] for f in bounded)) if bounded and len(bounded) == len(before) else None
    behind = {name: cost for each in before for name, cost in each.behind.items()}
    kind, size = type(operation).__name__, getattr(operation, "kernel_size", None) or getattr(operation, "pool_size", None)
    if cost := _cost(operation, output):
        behind[id(operation)] = cost, math.prod(output.shape[1:])
    if len(output.shape) != 4:
        return _Seen(stride, None, behind)
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
    return _Seen(stride, field, behind)


def _cost(operation: Any, output: Any) -> int:
    """Floating-point operations of one image."""
    places = math.prod(output.shape[1:-1])  # One, of a dense layer's row of numbers.
    kernels = [getattr(operation, name, None) for name in ("kernel", "depthwise_kernel", "pointwise_kernel")]
    return sum(2 * places * math.prod(each.shape) for each in kernels if each is not None)


def _described(model: Model, name: str, origin: str, canvas: int, fed: Fed) -> Network:
    """The network that the model is on that canvas, fed in that way."""
    layers = []
    for index, each in enumerate(_trace(model, canvas)[1]):
        if not re.match(LAYER_NAME, each.layer.name):
            raise UsageError(f"a layer is called {each.layer.name!r}.", "Give it a name of letters, digits, ., - and _.")
        own, _ = each.seen.behind[id(each.layer)]
        before = [cost for operation, cost in each.seen.behind.items() if operation != id(each.layer)]
        layers.append(
            Layer(
                name=each.layer.name,
                index=index,
                channels=int(each.input.shape[-1]),
                filters=each.layer.filters,
                stride=max(1, math.ceil(each.seen.stride)),
                receptive_field=None if each.seen.field is None else math.ceil(max(each.seen.field)),
                side=each.side,
                operations=sum(cost for cost, _ in before) + own // each.layer.filters,
                values=sum(values for _, values in before),
            )
        )
    found = Network(name, tuple(layers), canvas, *fed, GRAPH_WEIGHTS, origin)
    if not found.usable:
        raise UsageError(
            f"{name} has no Conv2D layer with an output of {LEAST_SIDE} or more on a canvas of {canvas}.",
            "Give a larger --canvas, or another network.",
        )
    return found
