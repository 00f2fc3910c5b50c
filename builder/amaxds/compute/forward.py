"""The forward pass of a network, as programs use it, whatever kind of network it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from amaxds.compute.weights import Weights
from amaxds.errors import UsageError
from amaxds.spec.network import Layer, Network

Tensor = Any
Params = Any
"""A network's weights on the device, in the form that its forward pass needs. Programs take them as an argument, because JAX
would copy constants into every compiled program."""
OwnFilters = tuple[Tensor, Tensor]
"""Kernel and bias of each image's own filter."""


class ForwardPass(Protocol):
    """A network with its weights, computed up to the layer that is asked for and no further.

    The methods that take `params` are pure functions of tensors, to be compiled. Tensors are channels last.
    """

    def __init__(self, network: Network, weights: Weights, precision: str = "float32") -> None:
        """precision: what the weights, and so everything that is computed, are cast to: one of plan.PRECISIONS. UsageError
        where the network cannot be computed in it."""

    @staticmethod
    def has_loops(network: Network) -> bool:
        """Whether the network's programs contain loops on a CPU; no backend is loaded to find out."""

    def output_sizes(self, layers: Sequence[Layer], side: int) -> list[tuple[int, int]]:
        """For each of these layers, height and width of its output for images (side, side, 3). UsageError where the network
        does not take them."""

    def params(self, layer: Layer | None = None) -> Params:
        """The weights for programs of this layer; without one, for `all_activated`."""

    def own_filters(self, layer: Layer, filters: list[int]) -> OwnFilters:
        """Kernel and bias of one filter of the layer for each image, as `response` takes them."""

    def own_direction(self, layer: Layer, vector: NDArray[np.float32], images: int) -> OwnFilters:
        """Kernel and bias of a weighted sum of the layer's filters, the same for so many images, as `response` takes them.
        vector: the weights, (filters,)."""

    def response(self, params: Params, own: OwnFilters, layer: Layer, x: Tensor) -> Tensor:
        """The output before ReLU of each image's own filter, for network input x (n, h, w, 3): (n, height, width)."""

    def activated(self, params: Params, layer: Layer, x: Tensor) -> Tensor:
        """The layer's output after ReLU, for network input x (n, h, w, 3): (n, height, width, filters)."""

    def all_activated(self, params: Params, x: Tensor) -> Iterator[Tensor]:
        """The output after ReLU of every usable layer, in network order."""


@runtime_checkable
class DenseForward(Protocol):
    """What the forward pass of a network with Dense layers has besides."""

    def dense_params(self, name: str, unit: int) -> tuple[Params, OwnFilters]:
        """The weights for `dense_output` of one unit of a Dense layer; UsageError where the network has none such."""

    def dense_output(self, params: Params, own: OwnFilters, name: str, x: Tensor) -> Tensor:
        """The output before any activation of that unit, for network input x (n, h, w, 3): (n,)."""


def require_side(forward: ForwardPass, network: Network, side: int, layers: Sequence[Layer], least: int) -> None:
    """UsageError where the network does not take images (side, side, 3), or gives one of these layers an output with a side
    below `least`. Images are saved in another size than they are optimised in, or were made elsewhere."""
    if side == network.canvas:
        return
    for layer, size in zip(layers, forward.output_sizes(layers, side), strict=True):
        if min(size) < least:
            raise UsageError(
                f"images of {side}x{side} are too small for layer {layer.name} of {network.name}: they give {min(size)} places "
                f"a side, {least} are needed.",
                "Choose another recipe (--recipe), a larger canvas (--canvas), or other layers (--layers).",
            )
