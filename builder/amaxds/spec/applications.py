"""The networks of keras.applications, as `applications.csv` lists them: known without loading Keras."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True)
class Application:
    """A network of keras.applications, without its classification head."""

    name: str
    builder: str
    """Keras's name for it."""
    canvas: int
    """Side in pixels of the images that it was trained with."""
    layers: int
    """Conv2D layers that images can be made for on that canvas."""
    filters: int
    """Of these layers."""


def _read() -> dict[str, Application]:
    lines = (resources.files("amaxds") / "data" / "applications.csv").read_text("utf-8").splitlines()
    return {name: Application(name, builder, *map(int, numbers)) for name, builder, *numbers in list(csv.reader(lines))[1:]}


APPLICATIONS = _read()
