"""Networks: the convolutional layers that the tool looks into, and what pictures they expect.

A network is described here without any weights and without Keras, so that plans, records and layer tables need neither.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amaxds.errors import UsageError


@dataclass(frozen=True)
class Layer:
    """One Conv2D layer: 3x3 kernels, stride 1, zero padding, ReLU."""

    name: str
    index: int
    """Place in network order, from 0. Part of every image's seed."""
    channels: int
    """Input channels."""
    filters: int
    stride: int
    """Distance in input pixels between neighbouring outputs."""
    receptive_field: int
    """Side in input pixels of the square that one output depends on."""

    @property
    def pooled(self) -> bool:
        """Whether a 2x2 max pooling stands between this layer and the one before it."""
        return self.index > 0 and self.name.endswith("_conv1")

    def outputs(self, side: int) -> int:
        """Side of the layer's output for a square input of that side (pooling drops an odd last pixel)."""
        return side // self.stride


@dataclass(frozen=True)
class Network:
    """A plain chain of convolutions and poolings, and the preprocessing it was trained with."""

    name: str
    layers: tuple[Layer, ...]
    canvas: int
    """Side in pixels of the image that is optimised."""
    channel_order: str
    """`rgb` or `bgr`: the order in which the network takes an image's channels."""
    channel_mean: tuple[float, float, float]
    """Subtracted from 8-bit values, in the network's channel order."""
    channel_scale: float
    """Divides what is left."""
    weights_choices: str
    """What `--weights` takes, for messages."""

    @property
    def filters(self) -> int:
        return sum(layer.filters for layer in self.layers)

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
        return centred / np.float32(self.channel_scale)


def _vgg_layers(widths: tuple[int, ...]) -> tuple[Layer, ...]:
    """The 13 convolutional layers of VGG16 (configuration D of arXiv 1409.1556), with these widths per block.

    A 3x3 convolution widens the receptive field by 2 strides, a 2x2 pooling by 1 stride and doubles the stride.
    """
    layers: list[Layer] = []
    channels, stride, field = 3, 1, 1
    for block, (count, width) in enumerate(zip((2, 2, 3, 3, 3), widths, strict=True), start=1):
        if block > 1:
            field, stride = field + stride, 2 * stride
        for conv in range(1, count + 1):
            field += 2 * stride
            layers.append(Layer(f"block{block}_conv{conv}", len(layers), channels, width, stride, field))
            channels = width
    return tuple(layers)


VGG16 = Network(
    name="vgg16",
    layers=_vgg_layers((64, 128, 256, 512, 512)),
    canvas=224,
    channel_order="bgr",
    channel_mean=(103.939, 116.779, 123.68),
    channel_scale=1.0,
    weights_choices="pretrained (Keras's ImageNet file), random, or a .h5, .weights.h5 or .safetensors file",
)

DEMO = Network(
    name="demo",
    layers=_vgg_layers((8, 16, 32, 64, 64)),
    canvas=112,
    channel_order="rgb",
    channel_mean=(127.5, 127.5, 127.5),
    channel_scale=127.5,
    weights_choices="pretrained (inside the package), random, or a .h5, .weights.h5 or .safetensors file",
)

NETWORKS = {network.name: network for network in (VGG16, DEMO)}


def get_network(name: str) -> Network:
    """The network of that name, or UsageError listing the names there are."""
    if name not in NETWORKS:
        raise UsageError(f"unknown network {name!r}.", f"There is {' and '.join(sorted(NETWORKS))}.")
    return NETWORKS[name]


def tensor_shapes(network: Network) -> dict[str, tuple[int, ...]]:
    """Name and shape of every weight, in network order: kernels (3, 3, in, out), biases (out,)."""
    pairs = (((f"{a.name}/kernel", (3, 3, a.channels, a.filters)), (f"{a.name}/bias", (a.filters,))) for a in network.layers)
    return dict(itertools.chain.from_iterable(pairs))
