"""Networks: the convolutional layers that the tool looks into, and what pictures they expect.

A network is described here without any weights and without Keras, so that plans, records and layer tables need neither. Two
are known by heart, plain chains that `chain` computes; any other is described by `graph`, which computes it, too.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amaxds.errors import UsageError

LAYER_NAME = "^[A-Za-z0-9_][A-Za-z0-9_.-]*$"
"""What a layer may be called: the name becomes that of files and folders."""
LEAST_SIDE = 5
"""Of a layer's output: recipes leave out two rows and columns at each side of the window that they average."""
Colour = tuple[float, float, float]
Fed = tuple[str, Colour, float | Colour]
"""`Network.channel_order`, `channel_mean` and `channel_scale`."""


@dataclass(frozen=True)
class Layer:
    """One Conv2D layer. In a chain: 3x3 kernels, stride 1, zero padding, ReLU."""

    name: str
    index: int
    """Place in network order, from 0. Part of every image's seed."""
    channels: int
    """Input channels."""
    filters: int
    stride: int
    """Distance in input pixels between neighbouring outputs."""
    receptive_field: int | None
    """Side in input pixels of the square that one output depends on; None where that is not bounded."""
    side: int
    """The smaller side of its output on the network's canvas."""
    operations: int
    """Floating-point operations of one forward pass for one image, cut at the layer, of which one filter is computed."""
    values: int
    """Numbers in the maps of all convolutions, and of what else has a kernel, before it, for one image."""

    @property
    def usable(self) -> bool:
        """Whether its output is large enough to have a window in it."""
        return self.side >= LEAST_SIDE

    @property
    def pooled(self) -> bool:
        """Whether, in a chain, a 2x2 max pooling stands between this layer and the one before it."""
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
    """Divides what is left."""
    weights_choices: str
    """What `--weights` takes, for messages."""
    model: str | None = None
    """Where its Keras model is from: `keras.applications.<Name>`, or the name of a file. None: a chain."""

    @property
    def fed(self) -> Fed:
        return self.channel_order, self.channel_mean, self.channel_scale

    @property
    def from_file(self) -> bool:
        """Whether its model, with its weights, is in a file of the user's."""
        return self.model is not None and not self.model.startswith("keras.applications.")

    @property
    def usable(self) -> tuple[Layer, ...]:
        """The layers that images can be made for on the canvas."""
        return tuple(layer for layer in self.layers if layer.usable)

    @property
    def filters(self) -> int:
        """Of all layers that images are made for."""
        return sum(layer.filters for layer in self.usable)

    def layer(self, name: str) -> Layer:
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise UsageError(
            f"network {self.name} has no layer {name!r}.",
            f"Its layers: {', '.join(each.name for each in self.layers)}.",
        )

    def preprocess(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """8-bit RGB images (n, h, w, 3) as the network was trained to see them, float32."""
        ordered = images[..., ::-1] if self.channel_order == "bgr" else images
        centred = ordered.astype(np.float32) - np.asarray(self.channel_mean, np.float32)
        return (centred / np.asarray(self.channel_scale, np.float32)).astype(np.float32)


def _vgg_layers(canvas: int, widths: tuple[int, ...]) -> tuple[Layer, ...]:
    """The 13 convolutional layers of VGG16 (configuration D of arXiv 1409.1556), with these widths per block.

    A 3x3 convolution widens the receptive field by 2 strides, a 2x2 pooling by 1 stride and doubles the stride, dropping an
    odd last pixel.
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


PREPROCESSING: dict[str, Fed] = {
    "none": ("rgb", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "tf": ("rgb", (127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),
    "torch": ("rgb", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "caffe": ("bgr", (103.939, 116.779, 123.68), (1.0, 1.0, 1.0)),
}
"""How a network is fed, by the names of Keras's modes: order of channels, what is subtracted from 8-bit values, what divides
the rest. `none` is for models that begin with it."""

VGG16 = Network(
    name="vgg16",
    layers=_vgg_layers(224, (64, 128, 256, 512, 512)),
    canvas=224,
    channel_order="bgr",
    channel_mean=(103.939, 116.779, 123.68),
    channel_scale=1.0,
    weights_choices="pretrained (Keras's ImageNet file), random, or a .h5, .weights.h5 or .safetensors file",
)

DEMO = Network(
    name="demo",
    layers=_vgg_layers(112, (8, 16, 32, 64, 64)),
    canvas=112,
    channel_order="rgb",
    channel_mean=(127.5, 127.5, 127.5),
    channel_scale=127.5,
    weights_choices="pretrained (inside the package), random, or a .h5, .weights.h5 or .safetensors file",
)

GRAPH_WEIGHTS = "pretrained, random, or a .weights.h5, .h5 or .safetensors file of the network"

NETWORKS = {network.name: network for network in (VGG16, DEMO)}


def get_network(name: str) -> Network:
    """The network of that name, or UsageError listing the names there are."""
    if name not in NETWORKS:
        raise UsageError(f"unknown network {name!r}.", f"There is {' and '.join(sorted(NETWORKS))}.")
    return NETWORKS[name]


def network_of(entry: Mapping[str, Any]) -> Network:
    """The network that build.json's `network` names: a known one, or the one that it describes."""
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
        weights_choices=GRAPH_WEIGHTS,
        model=described["model"],
    )


def description(network: Network) -> dict[str, Any]:
    """What build.json's `network` says of a network that is not known by heart, for `network_of`; nothing of another."""
    if network.model is None:
        return {}
    layers = [{key: value for key, value in vars(layer).items() if key != "index"} for layer in network.layers]
    preprocessing = {key: getattr(network, key) for key in ("channel_order", "channel_mean", "channel_scale")}
    stored = {"model": network.model, **preprocessing, "layers": layers}
    return {"described": {key: list(value) if isinstance(value, tuple) else value for key, value in stored.items()}}


def tensor_shapes(network: Network) -> dict[str, tuple[int, ...]]:
    """Name and shape of every weight, in network order: kernels (3, 3, in, out), biases (out,)."""
    pairs = (((f"{a.name}/kernel", (3, 3, a.channels, a.filters)), (f"{a.name}/bias", (a.filters,))) for a in network.layers)
    return dict(itertools.chain.from_iterable(pairs))
