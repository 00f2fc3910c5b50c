"""Networks: their convolutional layers, and the preprocessing that they were trained with.

A network is described here without weights and without Keras, so that plans, records and layer tables need neither. VGG16 and
the demo network are written down here; the layers of any other are read from its Keras model.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amaxds.errors import UsageError, nearest

LAYER_NAME = "^[A-Za-z0-9_][A-Za-z0-9_.-]*$"
"""Regular expression for the names of layers, which become names of files and folders."""
LEAST_SIDE = 5
"""The smallest side of a layer's output that images can be made for: recipes average it without two rows or columns at each
edge."""
LEAST_CANVAS, LARGEST_CANVAS = 32, 4096
"""The sides of a canvas that can be chosen."""
_SHOWN = 6
Colour = tuple[float, float, float]
"""A number for each of a picture's three channels."""
Preprocessing = tuple[str, Colour, float | Colour]
"""`channel_order`, `channel_mean` and `channel_scale` of a `Network`."""


@dataclass(frozen=True)
class Layer:
    """One Conv2D layer of a network. One that is called several times is a layer at each call."""

    name: str
    index: int
    """Position among the network's layers, from 0. Part of every image's seed."""
    channels: int
    """Input channels."""
    filters: int
    stride: int | None
    """Distance in input pixels between neighbouring outputs; None where it is not known, or no whole number."""
    receptive_field: int | None
    """Side in input pixels of the square that one output depends on; None where it may depend on the whole image."""
    side: int
    """The smaller of height and width of its output on the network's canvas."""
    operations: int
    """Floating-point operations of one image's forward pass up to one filter of this layer."""
    values: int
    """How many numbers the outputs of all earlier layers with a kernel have, for one image."""

    @property
    def usable(self) -> bool:
        """Whether its output is large enough for a recipe to average."""
        return self.side >= LEAST_SIDE

    @property
    def pooled(self) -> bool:
        """Whether 2x2 max pooling comes before it, in a network without a Keras model."""
        return self.index > 0 and self.name.endswith("_conv1")


@dataclass(frozen=True)
class Network:
    """Convolutional layers, and the preprocessing that the network was trained with."""

    name: str
    layers: tuple[Layer, ...]
    canvas: int
    """Side in pixels of the image that is optimised."""
    channel_order: str
    """`rgb` or `bgr`: the order in which the network takes an image's channels."""
    channel_mean: Colour
    """Subtracted from 8-bit values, in the network's channel order."""
    channel_scale: float | Colour
    """Divides the result of the subtraction."""
    weights_choices: str
    """What `--weights` takes, for messages."""
    model: str | None = None
    """Where its Keras model is from, `keras.applications.<Name>` or the name of a file; None for a network that has none."""
    pretrained_sha256: str | None = None
    """Digest of its pretrained weights, see `Weights.digest`; None where it is not known."""
    architecture: str | None = None
    """Digest of what its Keras model computes with beside its weights; None where it is not known."""
    left_out: tuple[str, ...] = ()
    """Convolutions that no images can be made for, with their kinds: `up (Conv2DTranspose)`."""

    @property
    def has_keras_model(self) -> bool:
        """Whether a Keras model computes it. Without one it is a plain stack of 3x3 convolutions, as VGG16 is: stride 1, zero
        padding, ReLU, and 2x2 max pooling in front of the layers that are `pooled`."""
        return self.model is not None

    @property
    def preprocessing(self) -> Preprocessing:
        """Channel order, mean and scale, to compare or to describe another network with."""
        return self.channel_order, self.channel_mean, self.channel_scale

    @property
    def from_file(self) -> bool:
        """Whether its Keras model is in a file of the user's, which holds its weights, too."""
        return self.model is not None and not self.model.startswith("keras.applications.")

    @property
    def note(self) -> str:
        """What to say of convolutions that no images are made for; empty where there are none."""
        small = [layer.name for layer in self.layers if not layer.usable]
        reasons = {"as no plain Conv2D layers": self.left_out, f"as too small on a canvas of {self.canvas}": small}
        said = [f"{reason}: {_some(names)}" for reason, names in reasons.items() if names]
        return f"left out of {self.name}, {'; '.join(said)}" if said else ""

    @property
    def usable(self) -> tuple[Layer, ...]:
        """The layers that images can be made for on the canvas."""
        return tuple(layer for layer in self.layers if layer.usable)

    @property
    def filters(self) -> int:
        """The number of filters of all usable layers."""
        return sum(layer.filters for layer in self.usable)

    def is_complete(self, scope: Mapping[str, Sequence[int]]) -> bool:
        """Whether these filters of layers are all of every convolution that the network has."""
        every = sum(layer.filters for layer in self.layers)
        return sum(map(len, scope.values())) == every and not self.left_out

    def layer(self, name: str) -> Layer:
        """The layer of that name; UsageError where there is none."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise UsageError(
            f"network {self.name} has no layer {name!r}.",
            f"{nearest(name, [each.name for each in self.layers])}Its layers: {', '.join(each.name for each in self.layers)}.",
        )

    def preprocess(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """8-bit RGB images (n, h, w, 3) as the network expects them, float32 of the same shape."""
        ordered = images[..., ::-1] if self.channel_order == "bgr" else images
        centred = ordered.astype(np.float32) - np.asarray(self.channel_mean, np.float32)
        return (centred / np.asarray(self.channel_scale, np.float32)).astype(np.float32)


def _some(names: Sequence[str]) -> str:
    more = f", … ({len(names)} in all)" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _vgg_layers(canvas: int, widths: tuple[int, ...]) -> tuple[Layer, ...]:
    """The 13 convolutional layers of VGG16 (configuration D of arXiv 1409.1556), with so many filters in the layers of each
    block, on a canvas of that side.

    A 3x3 convolution widens the receptive field by two strides. 2x2 pooling widens it by one stride, doubles the stride and
    drops the last pixel of an odd side.
    """
    layers: list[Layer] = []
    channels, stride, field = 3, 1, 1
    operations, values = 0, 0
    for block, (count, width) in enumerate(zip((2, 2, 3, 3, 3), widths, strict=True), start=1):
        if block > 1:
            field, stride = field + stride, 2 * stride
        for conv in range(1, count + 1):
            field, side = field + 2 * stride, canvas // stride
            one_filter = 2 * 9 * channels * side**2
            done = (side, operations + one_filter, values)
            layers.append(Layer(f"block{block}_conv{conv}", len(layers), channels, width, stride, field, *done))
            operations, values, channels = operations + width * one_filter, values + width * side**2, width
    return tuple(layers)


PREPROCESSING: dict[str, Preprocessing] = {
    "none": ("rgb", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "tf": ("rgb", (127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),
    "torch": ("rgb", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "caffe": ("bgr", (103.939, 116.779, 123.68), (1.0, 1.0, 1.0)),
}
"""By the names of Keras's modes. `none` is for models whose own first layers do the preprocessing."""

VGG16 = Network(
    name="vgg16",
    layers=_vgg_layers(224, (64, 128, 256, 512, 512)),
    canvas=224,
    channel_order="bgr",
    channel_mean=(103.939, 116.779, 123.68),
    channel_scale=1.0,
    weights_choices="pretrained (Keras's ImageNet file), random, or a .keras, .weights.h5, .h5 or .safetensors file",
    pretrained_sha256="a47f1748545491639adb10e108cb2c0d700814877a3441b6a510a8d5c00d25c5",
)

DEMO = Network(
    name="demo",
    layers=_vgg_layers(112, (8, 16, 32, 64, 64)),
    canvas=112,
    channel_order="rgb",
    channel_mean=(127.5, 127.5, 127.5),
    channel_scale=127.5,
    weights_choices="pretrained (inside the package), random, or a .keras, .weights.h5, .h5 or .safetensors file",
    pretrained_sha256="aa058decbf12f27e22787a9fb8498548f18f26ec581cdde3a9a0acf94e8a3a39",
)

KERAS_WEIGHTS_CHOICES = "pretrained, random, or a .keras, .weights.h5, .h5 or .safetensors file with the network's layers"
"""`Network.weights_choices` of a network with a Keras model."""

NETWORKS = {network.name: network for network in (VGG16, DEMO)}
"""The networks that are written down here, by name."""


def get_network(name: str) -> Network:
    """The network of that name among NETWORKS; UsageError, which lists the names, for any other."""
    if name not in NETWORKS:
        raise UsageError(f"unknown network {name!r}.", f"{nearest(name, NETWORKS)}There is {' and '.join(sorted(NETWORKS))}.")
    return NETWORKS[name]


def network_of(entry: Mapping[str, Any]) -> Network:
    """The network of build.json's `network`: one of NETWORKS by its name, or another from the description there."""
    described = entry.get("described")
    if described is None:
        return get_network(entry["name"])
    return Network(
        name=entry["name"],
        layers=tuple(Layer(index=index, **layer) for index, layer in enumerate(described["layers"])),
        canvas=entry["canvas"],
        channel_order=described["channel_order"],
        channel_mean=tuple(described["channel_mean"]),
        channel_scale=tuple(described["channel_scale"]),
        weights_choices=KERAS_WEIGHTS_CHOICES,
        model=described["model"],
        architecture=described.get("architecture_sha256"),
        left_out=tuple(described.get("left_out", ())),
    )


def description(network: Network) -> dict[str, Any]:
    """What build.json's `network` holds beside the name, so that `network_of` finds the network again: nothing for one of
    NETWORKS."""
    if network.name in NETWORKS:
        return {}
    layers = [{key: value for key, value in vars(layer).items() if key != "index"} for layer in network.layers]
    preprocessing = {key: getattr(network, key) for key in ("channel_order", "channel_mean", "channel_scale")}
    stored = {"model": network.model, **preprocessing, "layers": layers}
    if network.architecture:
        stored["architecture_sha256"] = network.architecture
    if network.left_out:
        stored["left_out"] = network.left_out
    return {"described": {key: list(value) if isinstance(value, tuple) else value for key, value in stored.items()}}


def tensor_shapes(network: Network) -> dict[str, tuple[int, ...]]:
    """Name and shape of every kernel (3, 3, in, out) and bias (out,) of a network without a Keras model, in network order."""
    pairs = (((f"{a.name}/kernel", (3, 3, a.channels, a.filters)), (f"{a.name}/bias", (a.filters,))) for a in network.layers)
    return dict(itertools.chain.from_iterable(pairs))
