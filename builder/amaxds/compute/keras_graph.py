"""The forward pass of a Keras model, cut at the layer that is asked for."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amaxds.compute import environment
from amaxds.compute.backend import lasting_tensor
from amaxds.compute.compilation import output_shapes
from amaxds.compute.depthwise import convolve, is_depthwise
from amaxds.compute.forward import OwnFilters
from amaxds.compute.keras_convolutions import find_convolutions, require_any_number
from amaxds.compute.keras_models import variables_of
from amaxds.compute.keras_trace import Model, located_layers, make_names_unique
from amaxds.compute.weights import Weights
from amaxds.errors import UsageError, in_words, nearest
from amaxds.spec.network import Layer, Network
from amaxds.spec.plan import require_precision

Tensor = Any
Params = tuple[list[Tensor], list[Tensor], tuple[Tensor, ...]]
"""The trainable and the other variables of the model up to the layer's input, and the layer's kernel and bias."""


def _settle_statistics(model: Model, weights: Weights) -> None:
    """Give `Normalization` layers, which make constants of their mean and variance, those of the weights. Other layers read
    their variables in each call."""
    import keras

    names = {id(each): name for name, each in variables_of(model).items()}
    for layer, _ in located_layers(model):
        if isinstance(layer, keras.layers.Normalization):
            for each in layer.variables:
                each.assign(weights.tensors[names[id(each)]].astype(str(each.dtype)))
            layer.finalize_state()


class KerasForward:
    """The `ForwardPass` of a network with a Keras model."""

    def __init__(self, network: Network, weights: Weights, precision: str = "float32") -> None:
        """UsageError for any precision but float32."""
        import keras

        require_precision(network, precision)
        model = keras.models.model_from_json(weights.model or "")
        _settle_statistics(model, weights)
        self._x, found, self._dense = find_convolutions(model, network.name, network.canvas)
        self._convolutions = {each.name: each for each in found}
        self._network, self._usable = network.name, tuple(layer.name for layer in network.usable)
        self._tensors, self._on_cpu = weights.tensors, not environment.on_gpu()
        self._names = {id(each): name for name, each in variables_of(model).items()}
        self._on_device = {name: lasting_tensor(value) for name, value in weights.tensors.items()}
        self._cut = functools.lru_cache(maxsize=None)(self._cut_at)

    @staticmethod
    def has_loops(network: Network) -> bool:
        """False: nothing in such a model is computed in a loop."""
        return False

    def output_sizes(self, layers: Sequence[Layer], side: int) -> list[tuple[int, int]]:
        """As a program for these images would have them."""
        names = tuple(layer.name for layer in layers)
        params = self._params_of(names)
        try:
            shapes = output_shapes(lambda x: list(self._outputs(names, params, x)), (1, side, side, 3))
        except Exception as error:  # Layers raise anything for what they do not take.
            raise UsageError(
                f"{self._network} does not take images of {side}x{side}: {in_words(error)}.",
                "Choose another recipe (--recipe), another canvas (--canvas), or other layers (--layers).",
            ) from error
        return [(shape[1], shape[2]) for shape in shapes]

    def params(self, layer: Layer | None = None) -> Params:
        """The weights for programs of this layer; without one, with kernel and bias of every usable layer in turn."""
        return self._params_of((layer.name,) if layer else self._usable)

    def own_filters(self, layer: Layer, filters: list[int]) -> OwnFilters:
        """Kernels (h, w, c, n) and biases (n,). A filter of a grouped convolution is given all channels, with zeros for those
        outside of its group.
        """
        import keras

        variables = [self._tensors[each] for each in self._variables_of(layer.name)]
        kernel = np.zeros((*variables[0].shape[:2], layer.channels, len(filters)), np.float32)
        width, per_group = variables[0].shape[2], layer.filters // self._convolutions[layer.name].layer.groups
        for place, filter in enumerate(filters):
            first = filter // per_group * width
            kernel[:, :, first : first + width, place] = variables[0][..., filter]
        bias = variables[1][filters] if len(variables) > 1 else np.zeros(len(filters), np.float32)
        return keras.ops.convert_to_tensor(kernel), keras.ops.convert_to_tensor(bias)

    def own_direction(self, layer: Layer, vector: NDArray[np.float32], images: int) -> OwnFilters:
        """Kernels (h, w, c, n) and biases (n,)."""
        import keras

        kernels, biases = self.own_filters(layer, list(range(layer.filters)))
        kernel, bias = (keras.ops.tensordot(each, vector, axes=1) for each in (kernels, biases))
        return keras.ops.repeat(kernel[..., None], images, axis=-1), keras.ops.repeat(bias[None], images)

    def dense_params(self, name: str, unit: int) -> tuple[Params, OwnFilters]:
        """The variables up to the layer's input, and the unit's kernel (inputs, 1) and bias (1,)."""
        import keras

        if name not in self._dense:
            known = ", ".join(self._dense) or "none that its canvas fits"
            problem = f"{self._network} has no dense layer {name!r}."
            raise UsageError(problem, f"{nearest(name, self._dense)}Its dense layers: {known}.")
        layer, tensor = self._dense[name]
        require_any_number(tensor, name, self._network)
        if mode := getattr(layer, "quantization_mode", None):
            problem = f"{name} of {self._network} is quantised ({mode}), and its units are not computed."
            raise UsageError(problem, "Give the model as it was before quantize().")
        if not 0 <= unit < layer.units:
            problem = f"unit {unit} is out of range for {name} of {self._network}."
            raise UsageError(problem, f"It has units 0 to {layer.units - 1}.")
        cut = self._cut((name,), dense=True)
        tensors = [self._tensors[self._names[id(each)]] for each in (layer.kernel, layer.bias) if each is not None]
        bias = tensors[1][unit : unit + 1] if len(tensors) > 1 else np.zeros(1, np.float32)
        own = keras.ops.convert_to_tensor(tensors[0][:, unit : unit + 1]), keras.ops.convert_to_tensor(bias)
        return (self._values(cut.trainable_variables), self._values(cut.non_trainable_variables), ()), own

    def dense_output(self, params: Params, own: OwnFilters, name: str, x: Tensor) -> Tensor:
        """The unit's output before any activation, averaged over positions where the layer has several: (n,)."""
        import keras

        outputs = keras.ops.matmul(self._run(self._cut((name,), dense=True), params, x)[0], own[0]) + own[1]
        return keras.ops.mean(keras.ops.reshape(outputs, (x.shape[0], -1)), axis=1)

    def response(self, params: Params, own: OwnFilters, layer: Layer, x: Tensor) -> Tensor:
        """The output before any activation of each image's own filter: (n, height, width).

        All n filters are computed for each image, and the other images' filters are then left out.
        """
        import keras

        maps = self._convolve(layer.name, self._run(self._cut((layer.name,)), params, x)[0], *own)
        return keras.ops.sum(maps * np.eye(maps.shape[-1], dtype=np.float32)[:, None, None], axis=-1)

    def activated(self, params: Params, layer: Layer, x: Tensor) -> Tensor:
        """The layer's output after ReLU, whatever its own activation: (n, height, width, filters)."""
        import keras

        return keras.ops.relu(next(self._outputs((layer.name,), params, x)))

    def all_activated(self, params: Params, x: Tensor) -> Iterator[Tensor]:
        """The output after ReLU of every usable layer, in network order."""
        import keras

        yield from map(keras.ops.relu, self._outputs(self._usable, params, x))

    def _params_of(self, names: tuple[str, ...]) -> Params:
        """The weights for programs of these layers."""
        cut = self._cut(names)
        own = tuple(self._on_device[each] for name in names for each in self._variables_of(name))
        return self._values(cut.trainable_variables), self._values(cut.non_trainable_variables), own

    def _outputs(self, names: tuple[str, ...], params: Params, x: Tensor) -> Iterator[Tensor]:
        """The outputs of these layers before any activation, with their params."""
        own = list(params[2])
        for name, maps in zip(names, self._run(self._cut(names), params, x), strict=True):
            yield self._convolve(name, maps, *(own.pop(0) for _ in self._variables_of(name)))

    def _variables_of(self, name: str) -> list[str]:
        """The names of the layer's kernel and, where it has one, its bias."""
        layer = self._convolutions[name].layer
        return [self._names[id(each)] for each in (layer.kernel, layer.bias) if each is not None]

    def _values(self, variables: list[Any]) -> list[Tensor]:
        return [self._on_device[self._names[id(each)]] if id(each) in self._names else each.value for each in variables]

    def _cut_at(self, names: tuple[str, ...], dense: bool = False) -> Model:
        """The model from its input to the inputs of those Conv2D layers, or Dense layers, which may have the same names."""
        import keras

        inputs = [self._dense[name][1] if dense else self._convolutions[name].input for name in names]
        make_names_unique(inputs)
        return keras.Model(self._x, inputs)

    def _run(self, cut: Model, params: Params, x: Tensor) -> list[Any]:
        """The inputs of the layers at which the model was cut."""
        import keras

        return list(keras.tree.flatten(cut.stateless_call(params[0], params[1], x, training=False)[0]))

    def _convolve(self, name: str, x: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
        """The convolution of the layer of that name, with this kernel and bias."""
        import keras

        layer = self._convolutions[name].layer
        if self._on_cpu and is_depthwise(layer) and kernel.shape[2] == 1:
            maps = convolve(x, kernel[:, :, 0], layer.strides, layer.padding, layer.dilation_rate)
            return maps if bias is None else maps + bias
        options = {"strides": layer.strides, "padding": layer.padding, "dilation_rate": layer.dilation_rate}
        maps = keras.ops.conv(x, kernel, data_format="channels_last", **options)
        return maps if bias is None else maps + bias
