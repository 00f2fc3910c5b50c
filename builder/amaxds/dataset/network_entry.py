"""The network in build.json: by its name, with its layers where they are not known by heart."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from amaxds.spec.network import LAYER_NAME

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("it has characters that cannot be shown")
    return text


Words = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_printable)]
"""A text of one line: it can be shown on a terminal and in a page without changing anything else there."""
Count = Annotated[int, Field(ge=1)]
_Colour = Annotated[list[float], Field(min_length=3, max_length=3)]


class Part(BaseModel):
    """A part of build.json: nothing but its fields, of exactly these types."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class LayerEntry(Part):
    """A Conv2D layer; its fields are those of `network.Layer`."""

    name: Annotated[str, Field(pattern=LAYER_NAME, max_length=200)]
    channels: Count
    filters: Annotated[int, Field(ge=1, le=65536)]
    stride: Count | None
    receptive_field: Count | None
    side: Count
    operations: Count
    values: Annotated[int, Field(ge=0)]


class DescribedNetwork(Part):
    """A network that this tool has no description of its own for."""

    model: Words
    """Where its Keras model is from: `keras.applications.<Name>`, or the name of a file."""
    architecture_sha256: Sha256 | None = None
    """Of everything that its layers compute with but their weights, as Keras writes it down."""
    channel_order: Literal["rgb", "bgr"]
    channel_mean: _Colour
    channel_scale: _Colour
    layers: Annotated[list[LayerEntry], Field(min_length=1, max_length=4096)]
    left_out: Annotated[list[Words], Field(max_length=4096)] = []
    """Convolutions that no images can be made for, with their kinds."""

    @pydantic.model_validator(mode="after")
    def _bounded(self) -> DescribedNetwork:
        if len({layer.name for layer in self.layers}) < len(self.layers):
            raise ValueError("two layers have one name")
        if sum(layer.filters for layer in self.layers) > 1_000_000:
            raise ValueError("more than a million filters")
        return self


class NetworkEntry(Part):
    """The network by name, its weights, and its layers where they are not known by heart."""

    name: Words
    canvas: Annotated[int, Field(ge=1, le=4096)]
    weights: Words
    weights_sha256: Sha256 | None
    weights_file: Words | None = None
    """The name of the file that pretrained weights were read from, where the user gave one."""
    described: DescribedNetwork | None = None
