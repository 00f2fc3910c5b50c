"""Any other network: a Keras model's graph, its Conv2D layers, what they see and cost, and its computation cut at a layer.

Read from keras.applications by name, or from a model file. The model's own classification head is left out or ignored;
models inside the model are opened.
"""

from __future__ import annotations

import functools
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from amaxds import backend
from amaxds.applications import APPLICATIONS
from amaxds.depthwise import by_taps, convolve, is_depthwise
from amaxds.errors import UsageError, WeightsError, in_words
from amaxds.model import Model, application, fed_as, random_tensors, read_model, read_tensors_for, variables_of
from amaxds.network import GRAPH_WEIGHTS, LAYER_NAME, LEAST_SIDE, NETWORKS, PREPROCESSING, Fed, Layer, Network, get_network
from amaxds.weights import Weights

Tensor = Any
Given = tuple[list[Tensor], list[Tensor], tuple[Tensor, ...]]
"""The values of a cut model's variables, trainable and other, and kernel and bias of the layer that it is cut at."""

DEFAULT_CANVAS = 224
# Operations that take every place of a map by itself.
_POINTWISE = {
    *("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax", "Relu", "Relu6", "Sigmoid", "Silu", "HardSigmoid", "Gelu"),
    *("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Divide", "TrueDivide", "Negative"),
    *("BatchNormalization", "Normalization", "Rescaling", "LayerScale", "CustomScaleLayer", "Dense", "Identity"),
    *("Dropout", "SpatialDropout2D", "GaussianNoise", "StochasticDepth", "ZeroPadding2D", "Cropping2D"),
}


def find_network(choice: str, canvas: int | None = None, preprocessing: str | None = None) -> Network:
    """The network that `--network` names: a known one, one of keras.applications, or a Keras model file.

    canvas: side in pixels of the image that is optimised, where the network has more than one. preprocessing: how a file's
    model is fed, one of PREPROCESSING. UsageError for anything else.
    """
    if choice in NETWORKS:
        if canvas is not None or preprocessing is not None:
            raise UsageError(
                f"{choice} has a canvas of {NETWORKS[choice].canvas} and a preprocessing of its own.",
                "Leave out --canvas and --preprocessing, or choose another --network.",
            )
        return get_network(choice)
    if canvas is not None and not 32 <= canvas <= 4096:
        raise UsageError(f"--canvas {canvas} is out of range.", "Give a number from 32 to 4096.")
    if choice in APPLICATIONS:
        if preprocessing is not None:
            raise UsageError(f"{choice} has a preprocessing of its own.", "Leave out --preprocessing.")
        known = APPLICATIONS[choice]
        return describe_application(choice, known.builder, canvas or known.canvas)
    path = Path(os.path.expanduser(choice))
    if not path.is_file():
        raise UsageError(
            f"unknown network {choice!r}.", "Give vgg16, demo, a name that `amaxds networks` lists, or a Keras model file."
        )
    if preprocessing is not None and preprocessing not in PREPROCESSING:
        raise UsageError(f"unknown preprocessing {preprocessing!r}.", f"Choose from {', '.join(PREPROCESSING)}.")
    if not re.fullmatch(r"[A-Za-z0-9][\w-]*", path.stem, re.ASCII) or path.stem in {*NETWORKS, *APPLICATIONS}:
        raise UsageError(
            f"the network would be called {path.stem!r}, after its file.",
            "Give the file another name, of letters, digits, - and _, that no known network has.",
        )
    model = read_model(path)
    own = model.input_shape[1] if isinstance(model.input_shape, tuple) and len(model.input_shape) == 4 else None
    return _described(model, path.stem, path.name, canvas or own or DEFAULT_CANVAS, PREPROCESSING[preprocessing or "none"])


def describe_application(name: str, builder: str, canvas: int) -> Network:
    """The network that a model of keras.applications is on that canvas."""
    return _described(application(builder, canvas), name, f"keras.applications.{builder}", canvas, fed_as(builder))


def load_graph_weights(network: Network, choice: str, seed: int, file: Path | None = None) -> Weights:
    """What `--weights` names for a network that `find_network` described; `file` is its model file, where it is from one."""
    source = choice
    if not network.from_file:
        builder = str(network.model).rpartition(".")[2]
        model, fed = application(builder, network.canvas, pretrained=choice == "pretrained"), fed_as(builder)
    elif file is None or choice not in ("pretrained", "random"):
        raise UsageError(f"the weights of {network.name} are in {network.model}.", "Choose those, or random.")
    else:
        model, fed = read_model(file), network.fed
        source = str(network.model) if choice == "pretrained" else choice
    if _described(model, network.name, str(network.model), network.canvas, fed) != network:
        raise WeightsError(f"{file or network.model} is another network than {network.name}.", "Give the one it was made from.")
    if choice == "random":
        tensors = random_tensors(model, seed)
    elif choice == "pretrained":
        tensors = {name: np.asarray(each, np.float32) for name, each in variables_of(model).items()}
    else:
        source, tensors = Path(choice).name, read_tensors_for(model, Path(os.path.expanduser(choice)), network)
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise WeightsError(
                f"{source} is damaged: {name} has values that are not finite.", f"--weights takes {GRAPH_WEIGHTS}."
            )
    return Weights(source, tensors, model.to_json())


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


# Computing.


class Graph:
    """A Keras model with its weights, cut where it is asked for."""

    def __init__(self, network: Network, weights: Weights, precision: str = "float32") -> None:
        """UsageError for another precision than float32: the layers of such a model say themselves what they compute in."""
        import keras

        if precision != "float32":
            raise UsageError(f"{network.name} cannot be computed in {precision}.", "Leave out --precision.")
        model = keras.models.model_from_json(weights.model or "")
        self._x, traced = _trace(model, network.canvas)
        self._convolutions = {each.layer.name: each for each in traced}
        self._usable = [layer.name for layer in network.usable]
        self._tensors, self._on_cpu = weights.tensors, backend.device()["kind"] == "cpu"
        self._names = {id(each): name for name, each in variables_of(model).items()}
        self._on_device = {name: keras.ops.convert_to_tensor(value) for name, value in weights.tensors.items()}
        self._cut = functools.lru_cache(maxsize=None)(self._cut_at)

    def given(self, layer: Layer | None = None) -> Given:
        """The weights as programs take them for this layer, or for all."""
        cut = self._cut(layer.name if layer else None)
        names = [layer.name] if layer else self._usable
        own = tuple(self._on_device[each] for name in names for each in self._own(name))
        return self._values(cut.trainable_variables), self._values(cut.non_trainable_variables), own

    def own(self, layer: Layer, filters: list[int]) -> tuple[Tensor, Tensor]:
        """Kernel and bias of each image's own filter, as `response` takes them: (h, w, c, n), (n,).

        A filter of a grouped convolution is one of all channels, zero outside of its group.
        """
        import keras

        variables = [self._tensors[each] for each in self._own(layer.name)]
        kernel = np.zeros((*variables[0].shape[:2], layer.channels, len(filters)), np.float32)
        width, per_group = variables[0].shape[2], layer.filters // self._convolutions[layer.name].layer.groups
        for place, filter in enumerate(filters):
            first = filter // per_group * width
            kernel[:, :, first : first + width, place] = variables[0][..., filter]
        bias = variables[1][filters] if len(variables) > 1 else np.zeros(len(filters), np.float32)
        return keras.ops.convert_to_tensor(kernel), keras.ops.convert_to_tensor(bias)

    def response(self, given: Given, own: tuple[Tensor, Tensor], layer: Layer, x: Tensor) -> Tensor:
        """Each image's own filter's output before any activation, for network input x: (n, height, width)."""
        import keras

        maps = self._convolve(layer.name, self._inputs_of(given, layer, x), *own)
        return keras.ops.sum(maps * np.eye(maps.shape[-1], dtype=np.float32)[:, None, None], axis=-1)

    def activated(self, given: Given, layer: Layer, x: Tensor) -> Tensor:
        """The layer's output after ReLU, for network input x: (n, height, width, filters)."""
        import keras

        return keras.ops.relu(self._convolve(layer.name, self._inputs_of(given, layer, x), *given[2]))

    def all_activated(self, given: Given, x: Tensor) -> Iterator[Tensor]:
        """The same of every layer that images are made for, in turn."""
        import keras

        inputs, own = self._run(self._cut(None), given, x), list(given[2])
        for name, maps in zip(self._usable, inputs, strict=True):
            yield keras.ops.relu(self._convolve(name, maps, *(own.pop(0) for _ in self._own(name))))

    def _own(self, name: str) -> list[str]:
        """Its kernel and, where it has one, its bias."""
        layer = self._convolutions[name].layer
        return [self._names[id(each)] for each in (layer.kernel, layer.bias) if each is not None]

    def _values(self, variables: list[Any]) -> list[Tensor]:
        return [self._on_device[self._names[id(each)]] if id(each) in self._names else each.value for each in variables]

    def _cut_at(self, name: str | None) -> Model:
        """The model up to what the layer is given, or what all are."""
        import keras

        inputs = [self._convolutions[each].input for each in self._usable]
        return keras.Model(self._x, inputs if name is None else self._convolutions[name].input)

    def _inputs_of(self, given: Given, layer: Layer, x: Tensor) -> Tensor:
        return self._run(self._cut(layer.name), given, x)

    def _run(self, cut: Model, given: Given, x: Tensor) -> Any:
        return cut.stateless_call(given[0], given[1], x, training=False)[0]

    def _convolve(self, name: str, x: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
        import keras

        layer = self._convolutions[name].layer
        if self._on_cpu and is_depthwise(layer) and kernel.shape[2] == 1:
            maps = convolve(x, kernel[:, :, 0], layer.strides, layer.padding, layer.dilation_rate)
            return maps if bias is None else maps + bias
        options = {"strides": layer.strides, "padding": layer.padding, "dilation_rate": layer.dilation_rate}
        maps = keras.ops.conv(x, kernel, data_format="channels_last", **options)
        return maps if bias is None else maps + bias
