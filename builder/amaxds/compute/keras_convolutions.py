"""The Conv2D layers of a Keras model: where they are in its graph, what an output of theirs depends on, and what they cost."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from amaxds.compute import environment
from amaxds.compute.compilation import Call, require_compiled
from amaxds.compute.depthwise import by_taps, is_depthwise
from amaxds.compute.keras_trace import Model, Operation, calls, is_graph, located_layers, names_of, run_graph
from amaxds.compute.pooling import is_pooling, pooled_by, windows_of
from amaxds.compute.resizing import is_resizing, resized_by
from amaxds.errors import UsageError, in_words
from amaxds.spec.network import KERAS_WEIGHTS_CHOICES, LAYER_NAME, LEAST_SIDE, Layer, Network, Preprocessing

# Operations whose output at a position depends on nothing but their inputs at that position.
_POINTWISE = {
    *("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Relu", "Relu6", "Sigmoid", "Silu", "HardSigmoid", "Gelu"),
    *("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Divide", "TrueDivide", "Negative"),
    *("BatchNormalization", "Normalization", "Rescaling", "LayerScale", "CustomScaleLayer", "Dense", "Identity"),
    *("Dropout", "SpatialDropout2D", "GaussianNoise", "StochasticDepth", "ZeroPadding2D", "Cropping2D"),
}
_OVER_AXES = {"LayerNormalization", "Softmax", "LogSoftmax"}
"""Operations whose output depends on all their inputs along some axes."""
_POOLING = {"MaxPooling2D", "MaxPool", "AveragePooling2D", "AveragePool"}
_RESIZING = {"Resizing", "Resize", "AdaptiveAveragePooling2D", "AdaptiveMaxPooling2D"}
_CROPPING = {"CenterCrop", "Pad"}
_COMPILED = {
    *("Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose", "MaxPooling2D", "MaxPool", "AveragePooling2D"),
    *("GlobalAveragePooling2D", "GlobalMaxPooling2D", "Reshape", "Flatten", "GroupNormalization"),
}
"""More operations that XLA has, as it has pointwise ones. Others are tried."""
_RESIZED, _INTERPOLATED = {"Resizing", "UpSampling2D"}, {"bilinear", "nearest"}
_LONGEST_NAME = 200


@dataclass(frozen=True)
class _Origin:
    """What the values of a tensor in the graph depend on."""

    stride: Fraction | None
    """Distance in input pixels between neighbouring positions; None where it is not known."""
    field: tuple[Fraction, Fraction] | None
    """Height and width in input pixels of what one position depends on; None where that may be the whole image."""
    costs: Mapping[int, tuple[int, int]]
    """For each call of an operation with a kernel that was needed, by its number: floating-point operations, and numbers in its
    output."""
    unproven: Mapping[int, Call]
    """The calls of operations, by their numbers, of which it is not known whether they can be compiled."""


@dataclass(frozen=True)
class Convolution:
    """A Conv2D layer at one of its calls in the graph."""

    name: str
    """Of the `Layer`: the layer's own; with those of the models that it is in where another layer has its name, `left.conv1`;
    and with a number at each call after the first, `conv1.2`."""
    layer: Any
    input: Any
    """The symbolic tensor that it is called with."""
    origin: _Origin
    """That of its output."""
    number: int
    """Of the call."""
    side: int
    """The smaller of height and width of its output."""


class _NotTaken(Exception):
    """An operation does not take what it is called with."""


def find_convolutions(model: Model, called: str, canvas: int) -> tuple[Any, list[Convolution], dict[str, tuple[Any, Any]]]:
    """A new graph of the model's computation for images (canvas, canvas, 3): its symbolic input, its Conv2D layers in graph
    order, and its Dense layers by name, numbered as the convolutions are, each with the symbolic tensor that it is called with.
    Max pooling, resizing that XLA lacks, and on a CPU depthwise convolutions, are replaced by our own.

    UsageError, which calls the model as it is `called`, where it has no graph, takes anything else than one RGB image, or none
    of this size.
    """
    import keras

    x = keras.Input((canvas, canvas, 3))
    origins = {id(x): _Origin(Fraction(1), (Fraction(1), Fraction(1)), {}, {})}
    kept, on_cpu, number = [x], not environment.on_gpu(), itertools.count()
    names = names_of(each for each in located_layers(model) if _is_named(each[0]))
    convolutions: dict[str, Convolution] = {}
    dense: dict[str, tuple[Any, Any]] = {}

    def traced(operation: Operation) -> Callable[..., Any]:

        def call(*args: Any, **options: Any) -> Any:
            inputs = [each for each in keras.tree.flatten((args, options)) if id(each) in origins]
            place, function = next(number), _replacement(operation, on_cpu)
            try:
                outputs = function(*args, **options)
            except Exception as error:  # Layers raise anything for what they do not take.
                raise _NotTaken(in_words(error)) from error
            now = Call(operation, function, args, options)
            kept.extend(keras.tree.flatten(outputs))  # As long as they live, no other has their id.
            for output in keras.tree.flatten(outputs):
                before = [origins[id(each)] for each in inputs]
                origins[id(output)] = origin = _origin_after(operation, now, output, place, before)
            if getattr(operation, "data_format", None) == "channels_first" and (is_pooling(operation) or _convolves(operation)):
                raise UsageError(f"{operation.name} takes channels first.", "Save the model with channels last.")
            if isinstance(operation, keras.layers.Conv2D):
                name = _free(names[id(operation)], convolutions, operation)
                require_any_number(inputs[0], name, called)
                convolutions[name] = Convolution(name, operation, inputs[0], origin, place, min(outputs.shape[1:3]))
            if isinstance(operation, keras.layers.Dense):
                name = next(each for each in _numbered(names[id(operation)]) if each not in dense)
                dense[name] = operation, inputs[0]
            return outputs

        return call

    inputs = model.inputs if is_graph(model) else []
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].shape[-1] not in (None, 3):
        takes = f": it takes {' and '.join(str(each.shape[1:]) for each in inputs)}" if inputs else ""
        raise UsageError(
            f"{called} is no graph of layers from one colour image{takes}.",
            "Give a functional or sequential Keras model for RGB.",
        )
    try:
        run_graph(model, x, traced)
    except _NotTaken as error:
        # A classification head after the last convolution may want another size; it is not needed.
        if sum(isinstance(each, keras.layers.Conv2D) for each in calls(model)) > len(convolutions):
            raise UsageError(
                f"{called} does not take a canvas of {canvas}: {error}.",
                f"Give another canvas (--canvas); its own input is {model.input_shape[1:]}.",
            ) from error
    return x, list(convolutions.values()), dense


def require_any_number(tensor: Any, name: str, called: str) -> None:
    """UsageError where the model has fixed how many images the layer called `name`, with this input, is computed for."""
    if (images := tensor.shape[0]) is not None:
        raise UsageError(
            f"{called} computes {name} for {images} image{'s' * (images > 1)} at a time, no more and no less.",
            "Save it for any number: with keras.Input((height, width, 3)), and -1 where it reshapes.",
        )


def _is_named(layer: Any) -> bool:
    """Whether it is a Dense layer or a convolution of any kind."""
    import keras

    return isinstance(layer, keras.layers.Dense) or _convolves(layer)


def _convolves(operation: Operation) -> bool:
    return "Conv" in type(operation).__name__ and not type(operation).__name__.endswith("Cell")


def _free(name: str, taken: Mapping[str, Convolution], layer: Any) -> str:
    """The name of the layer's next call. UsageError where another layer has it."""
    found = next(each for each in _numbered(name) if each not in taken or taken[each].layer is not layer)
    if found in taken:
        raise UsageError(f"two layers would be called {found!r}.", "Give one of them another name.")
    return found


def _numbered(name: str) -> Iterator[str]:
    """What a layer's calls are named: `conv`, `conv.2` and so on."""
    return (name if number == 1 else f"{name}.{number}" for number in itertools.count(1))


def _left_out(model: Model, made: Iterable[Convolution]) -> tuple[str, ...]:
    """The convolutions that no images are made for, by name and kind: those of another kind than Conv2D, those that are called
    by a layer around them, and those that are operations without a layer."""
    located = list(located_layers(model))
    names, ours = names_of(each for each in located if _is_named(each[0])), {id(each.layer) for each in made}
    found = {id(layer): f"{names[id(layer)]} ({type(layer).__name__})" for layer, _ in located if _convolves(layer)}
    for each in calls(model):
        if _convolves(each):
            found.setdefault(id(each), f"{each.name} ({type(each).__name__})")
    return tuple(said for each, said in found.items() if each not in ours)


def _replacement(operation: Operation, on_cpu: bool) -> Callable[..., Any]:
    """What is called in place of an operation: mostly the operation itself."""
    if is_resizing(operation):
        return resized_by(operation)
    if is_pooling(operation):
        return pooled_by(operation)
    found: Callable[..., Any] = by_taps(operation) if on_cpu and is_depthwise(operation) else operation
    return found


def _origin_after(operation: Operation, call: Call, output: Any, place: int, before: list[_Origin]) -> _Origin:
    """What an operation's output depends on, from what its inputs depend on. place: the number of the call."""
    strides = [each.stride for each in before if each.stride is not None]
    stride = max(strides, default=Fraction(1)) if len(strides) == len(before) else None
    bounded = [each.field for each in before if each.field is not None]
    field = (max(f[0] for f in bounded), max(f[1] for f in bounded)) if bounded and len(bounded) == len(before) else None
    costs = {key: cost for each in before for key, cost in each.costs.items()}
    unproven = {key: each for origin in before for key, each in origin.unproven.items()}
    kind = type(operation).__name__
    if cost := _cost(operation, output):
        costs[place] = cost, math.prod(output.shape[1:])
    simple = kind in _RESIZED and getattr(operation, "interpolation", "") in _INTERPOLATED
    if kind not in _POINTWISE | _COMPILED | _OVER_AXES and not simple:
        unproven[place] = call
    if len(output.shape) != 4:
        return _Origin(stride, None, costs, unproven)
    if kind.endswith("Conv2D") or kind in _POOLING:
        dilation = getattr(operation, "dilation_rate", (1, 1))
        size, steps = windows_of(operation) if kind in _POOLING else (operation.kernel_size, operation.strides)
        scaled = 0 if stride is None else stride
        reach = [(each - 1) * wide * scaled for each, wide in zip(size, dilation, strict=True)]
        field = None if field is None or stride is None else (field[0] + reach[0], field[1] + reach[1])
        stride = None if stride is None else stride * max(steps)
    elif kind in ("UpSampling2D", "Conv2DTranspose"):
        stride = None if stride is None else stride / max(operation.size if kind == "UpSampling2D" else operation.strides)
        field = field if getattr(operation, "interpolation", None) == "nearest" else None
    elif kind not in _POINTWISE and not (kind in _OVER_AXES and operation.axis in (-1, [-1], (-1,), 3, [3], (3,))):
        field = None
        stride = _rescaled(stride, kind, call, output)
    return _Origin(stride, field, costs, unproven)


def _rescaled(stride: Fraction | None, kind: str, call: Call, output: Any) -> Fraction | None:
    """The stride after an operation on maps of which little is known."""
    inputs = [each for each in call.tensors if len(each.shape) == 4]
    if stride is None or not inputs or any(each.shape[1:3] == output.shape[1:3] for each in inputs):
        return stride
    before, after = inputs[0].shape[1:3], output.shape[1:3]
    if after == (1, 1):  # A mean over all positions, by which others are weighted: it has no neighbour.
        return stride
    if kind not in _RESIZING or before[0] * after[1] != before[1] * after[0]:
        return None if kind not in _CROPPING else stride
    return stride * Fraction(before[0], after[0])


def _cost(operation: Operation, output: Any) -> int:
    """Floating-point operations for one image; 0 for an operation without a kernel."""
    positions = math.prod(output.shape[1:-1])  # 1 for the vector of a dense layer.
    kernels = [getattr(operation, name, None) for name in ("kernel", "depthwise_kernel", "pointwise_kernel")]
    return sum(2 * positions * math.prod(each.shape) for each in kernels if each is not None)


def describe_model(model: Model, name: str, origin: str, canvas: int, preprocessing: Preprocessing) -> Network:
    """The Keras model as a network called `name`, on that canvas; `origin` is its `Network.model`. UsageError for a model that
    cannot be used."""
    layers, convolutions = [], find_convolutions(model, name, canvas)[1]
    for index, each in enumerate(convolutions):
        if not re.match(LAYER_NAME, each.name) or len(each.name) > _LONGEST_NAME:
            raise UsageError(
                f"a layer is called {each.name!r}.",
                f"Give it a name of letters, digits, ., - and _, no longer than {_LONGEST_NAME}.",
            )
        own, _ = each.origin.costs[each.number]
        before = [cost for number, cost in each.origin.costs.items() if number != each.number]
        stride, field = each.origin.stride, each.origin.field
        layers.append(
            Layer(
                name=each.name,
                index=index,
                channels=int(each.input.shape[-1]),
                filters=each.layer.filters,
                stride=int(stride) if stride and stride.denominator == 1 else None,
                receptive_field=None if field is None else math.ceil(max(field)),
                side=each.side,
                operations=sum(cost for cost, _ in before) + own // each.layer.filters,
                values=sum(values for _, values in before),
            )
        )
    left_out = _left_out(model, convolutions)
    found = Network(name, tuple(layers), canvas, *preprocessing, KERAS_WEIGHTS_CHOICES, origin, left_out=left_out)
    if not found.usable:
        besides = f" It has {', '.join(left_out)}." if left_out else ""
        raise UsageError(
            f"{name} has no Conv2D layer with an output of {LEAST_SIDE} or more on a canvas of {canvas}.{besides}",
            "Give a larger canvas (--canvas), or another network.",
        )
    usable = {layer.name for layer in found.usable}
    needed = {number: call for each in convolutions if each.name in usable for number, call in each.origin.unproven.items()}
    for _, call in sorted(needed.items()):
        require_compiled(call, name)
    return found
