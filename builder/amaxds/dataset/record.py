"""The record: what is known about one image. The only definition of the dataset's columns.

JSON Schema, Hugging Face features, shard columns and the card's table are all rendered from `Record`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema, model_validator

from amaxds.spec.network import LAYER_NAME, Network
from amaxds.spec.recipes import DESCRIBED

if TYPE_CHECKING:
    import datasets

STATUSES = ("alive", "dead")


@dataclass(frozen=True)
class Stored:
    """How a column is stored: `image`, a ClassLabel (`layer`, `status`), or the name of an Arrow type."""

    type: str


def _one_of(names: tuple[str, ...]) -> tuple[AfterValidator, Any]:
    """A pydantic check that a value is one of these names, and the same as JSON Schema."""

    def check(value: str) -> str:
        if value not in names:
            raise ValueError(f"not one of {', '.join(names)}")
        return value

    return AfterValidator(check), WithJsonSchema({"type": "string", "enum": list(names)})


class Record(BaseModel):
    """One image of one filter, and the evidence for it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    image: Annotated[
        bytes,
        Stored("image"),
        Field(
            description="The image: PNG, 8-bit RGB.",
            json_schema_extra={"format": "byte", "contentEncoding": "base64", "contentMediaType": "image/png"},
        ),
    ]
    network: Annotated[str, Stored("string"), Field(description="The network's name.")]
    layer: Annotated[
        str,
        Stored("layer"),
        Field(
            pattern=LAYER_NAME,
            description="The layer's Keras name. As a class label, layers are numbered in network order.",
        ),
    ]
    filter: Annotated[int, Stored("int32"), Field(ge=0, description="The filter: the layer's output channel, from 0.")]
    recipe: Annotated[str, Stored("string"), Field(description="The name of the recipe; build.json holds it in full.")]
    seed: Annotated[
        int | None,
        Stored("int64"),
        Field(
            ge=0,
            lt=2**63,
            description="The build's seed. Null, like the activations and the rank, where the image was described, not made.",
        ),
    ]
    status: Annotated[
        str,
        Stored("status"),
        *_one_of(STATUSES),
        Field(description="Whether the ascent ever saw a gradient. A dead image is its own starting noise."),
    ]
    activation_start: Annotated[
        float | None,
        Stored("float32"),
        Field(ge=0, description="The filter's mean output after ReLU over the recipe's window, for the starting noise."),
    ]
    activation: Annotated[
        float | None, Stored("float32"), Field(ge=0, description="The same for the final image, before it is made 8 bit.")
    ]
    activation_rank: Annotated[
        int | None,
        Stored("int32"),
        Field(
            ge=1,
            description="Among all images of this layer and recipe in the build, as saved and fed back with the network's own "
            "preprocessing: this image's place by this filter's mean output after ReLU over the recipe's window. "
            "1: none excites the filter more.",
        ),
    ]
    uniformity_index: Annotated[
        float,
        Stored("float64"),
        Field(
            ge=0,
            le=1,
            description="Distance of the colour histograms from uniform: 0 perfectly uniform, 1 a constant image.",
        ),
    ]
    pixels_sha256: Annotated[
        str,
        Stored("string"),
        Field(pattern="^[0-9a-f]{64}$", description="SHA-256 of the RGB bytes, row by row."),
    ]

    @model_validator(mode="after")
    def _known_where_it_was_made(self) -> Record:
        """Seed, activations and rank are null exactly where the image was described and not made here."""
        for name in ("seed", "activation_start", "activation", "activation_rank"):
            if (getattr(self, name) is None) != (self.recipe == DESCRIBED.name):
                raise ValueError(f"{name} is {getattr(self, name)} under recipe {self.recipe}")
        return self


def stored_types() -> dict[str, str]:
    """How each column is stored, by name, in column order."""
    return {
        name: next(each.type for each in field.metadata if isinstance(each, Stored))
        for name, field in Record.model_fields.items()
    }


def descriptions() -> dict[str, str]:
    """What each column means, by name, in column order."""
    return {name: field.description or "" for name, field in Record.model_fields.items()}


def features(network: Network) -> datasets.Features:
    """The columns as Hugging Face features."""
    import datasets

    special = {
        "image": datasets.Image(),
        "layer": datasets.ClassLabel(names=[layer.name for layer in network.layers]),
        "status": datasets.ClassLabel(names=list(STATUSES)),
    }
    return datasets.Features({name: special.get(kind) or datasets.Value(kind) for name, kind in stored_types().items()})


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of one record; class labels by name."""
    schema = Record.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema


Row = dict[str, Any]
"""A record with its labels as names, and besides it `place`, where it was found, and `split`, where it was put."""
