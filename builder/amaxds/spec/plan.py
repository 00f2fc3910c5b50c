"""The plan: which images a build makes, and in which units, known before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from amaxds.errors import UsageError
from amaxds.spec.network import Layer, Network
from amaxds.spec.recipes import RECIPES, AscentRecipe, get_recipe
from amaxds.spec.selection import Scope, make_scope

PRECISIONS = ("float32", "bfloat16")
"""Of the network's arithmetic in the steps of an ascent. Activations and ranks are always computed in float32."""


@dataclass(frozen=True)
class Unit:
    """Some filters of one layer under one recipe: one run of one compiled program, one shard file.

    A unit is an aligned block of the layer's full list of filters. It always runs whole, each filter in its own row of
    the batch, also where only some are wanted: so an image has the same bits in every subset.
    """

    recipe: AscentRecipe
    layer: Layer
    rows: tuple[int, ...]
    """The filter in each row of the batch; a last short block is filled up with its first filter."""
    wanted: tuple[int, ...]
    """The filters whose images are kept."""

    @property
    def name(self) -> str:
        """The shard's file name without its ending."""
        return f"{self.layer.name}-{self.rows[0]:04d}"

    @property
    def operations(self) -> float:
        """Floating-point operations that it takes."""
        return len(self.rows) * (self.recipe.steps + 1) * operations_per_step(self.layer)


@dataclass(frozen=True)
class Plan:
    """The units of a build, in the order of recipe, layer, filter."""

    network: Network
    recipes: tuple[AscentRecipe, ...]
    seed: int
    scope: Scope
    batch_size: int
    precision: str = "float32"

    @property
    def images(self) -> int:
        return len(self.recipes) * sum(map(len, self.scope.values()))

    @property
    def complete(self) -> bool:
        """Whether every filter of every convolution of the network is in the scope."""
        return self.network.is_complete(self.scope)

    def units(self) -> Iterator[Unit]:
        for recipe in self.recipes:
            for name, wanted in self.scope.items():
                yield from self._units_of(recipe, self.network.layer(name), set(wanted))

    def _units_of(self, recipe: AscentRecipe, layer: Layer, wanted: set[int]) -> Iterator[Unit]:
        # A layer with fewer filters than the batch runs as one smaller batch: no row of it is wasted.
        size = min(self.batch_size, layer.filters)
        for first in range(0, layer.filters, size):
            block = range(first, min(first + size, layer.filters))
            kept = tuple(filter for filter in block if filter in wanted)
            if kept:
                rows = tuple(block) + (first,) * (size - len(block))
                yield Unit(recipe, layer, rows, kept)


def operations_per_step(layer: Layer) -> float:
    """Multiplications and additions of one forward and one gradient pass for one image, cut at the layer.

    A convolution costs as much again for the gradient to its input. Of the last layer only one filter is computed.
    """
    return 2.0 * layer.operations


def default_batch_size(network: Network) -> int:
    """Images in one program on a CPU: small enough for two programs to share the caches of two cores."""
    return 8 if network.name == "demo" else 4


def require_precision(network: Network, precision: str) -> None:
    """UsageError where the network cannot be computed in that precision: a Keras model's layers have their own types."""
    if precision != "float32" and network.has_keras_model:
        raise UsageError(f"{network.name} cannot be computed in {precision}.", "Leave out the precision (--precision).")


def make_plan(
    network: Network,
    recipes: Sequence[str],
    seed: int = 0,
    layers: str | None = None,
    filters: str | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    precision: str = "float32",
) -> Plan:
    """The plan that the options of `amaxds build` describe; UsageError for any that cannot be carried out."""
    if not 0 <= seed < 2**63:
        raise UsageError(f"seed {seed} is out of range.", "Give a number from 0 to 2^63 - 1.")
    size = default_batch_size(network) if batch_size is None else batch_size
    for name, value in (("batch size", size), ("workers", 1 if workers is None else workers)):
        if not 1 <= value <= 4096:
            raise UsageError(f"{name} {value} is out of range.", "Give a number from 1 to 4096.")
    if precision not in PRECISIONS:
        raise UsageError(f"unknown precision {precision!r}.", f"Choose from {', '.join(PRECISIONS)}.")
    require_precision(network, precision)
    chosen = {name: get_recipe(name, steps) for name in recipes}
    ordered = tuple(chosen[name] for name in RECIPES if name in chosen)
    return Plan(network, ordered, seed, make_scope(network, layers, filters), size, precision)
