"""The audit: some of a dataset's images made again, and compared with what is stored.

On the software and device that a dataset was made on, bits must match. Elsewhere the ascent is chaotic and ends in another
image of the same kind. Then what does not depend on the ascent must agree closely: the activation of the start, and what the
stored image itself excites. What does depend on it must agree within tolerances, which were measured between two backends and
between two instruction sets.
"""

from __future__ import annotations

import dataclasses
import math
import os
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amaxds.builds.executors import local
from amaxds.builds.executors.base import Check
from amaxds.builds.own_weights import own_weights
from amaxds.builds.progress import BuildProgress
from amaxds.builds.synthesis import layer_scores, synthesise
from amaxds.compute import backend, environment
from amaxds.compute.machine import cores
from amaxds.compute.networks import has_loops
from amaxds.compute.programs import Programs
from amaxds.dataset.build_info import BuildInfo
from amaxds.dataset.reader import DatasetReader
from amaxds.dataset.record import Row
from amaxds.errors import UsageError
from amaxds.image import decode_png, psnr
from amaxds.spec.network import Layer
from amaxds.spec.plan import Plan, Unit
from amaxds.spec.recipes import AscentRecipe
from amaxds.storage.values import differences

# On other software or another device. Twice to six times the largest difference among 1056 images of the demo network between
# TensorFlow and JAX, and between two instruction sets: `benchmarks/audit.md`.
START_TOLERANCE = 1e-3
"""Of the activation of the start, relative: no step has been taken, so only rounding differs."""
ACTIVATION_TOLERANCE = 0.1
"""Of the activation that the ascent reaches, relative."""
INDEX_TOLERANCE = 0.1
"""Of the uniformity index of another image of the same kind."""
SCORE_TOLERANCE = 1e-3
"""Of what stored images excite, relative, where two of them are ranked."""
SEEN_TOLERANCE = 0.01
"""Between the activation of the final image and what it excites once it is 8 bit, relative to the layer's. Only where the
recipe feeds the network with pictures."""


@dataclass(frozen=True)
class Remade:
    """One image as it is stored and as it was made again."""

    recipe: str
    """The recipe's name."""
    layer: str
    """The layer's name."""
    filter: int
    """The filter's number, from 0."""
    psnr: float | None
    """Peak signal-to-noise ratio of the two images in dB; None where they are the same, bit for bit."""
    stored: Mapping[str, Any]
    """Column -> value in the dataset: status, activation_start, activation, activation_rank, uniformity_index."""
    made: Mapping[str, Any]
    """The same columns of the image made again. Its rank is that of the stored image, computed again from the stored images of
    the layer."""
    seen: float
    """The filter's mean output after ReLU for the stored 8-bit image, fed with the network's own preprocessing."""
    problems: tuple[str, ...]
    """What differs, or lies beyond the tolerances, a sentence each; empty where the image passes."""


@dataclass(frozen=True)
class AuditReport:
    """What an audit found in the sample of images that it made again.

    Examples:
        >>> report = amaxds.audit("demo-filter-activations", sample=2, seed=1)
        >>> report.passed, len(report.images)
        (True, 2)
        >>> [(each.layer, each.filter, each.psnr) for each in report.images]  # None: the same bits
        [('block1_conv2', 1, None), ('block5_conv1', 15, None)]
    """

    seed: int
    """The seed that the sample was drawn with: the same seed draws the same sample."""
    differs: tuple[str, ...]
    """In what this machine's software and device are not those of the build. Empty where they are the same and bits must match;
    otherwise images are compared within tolerances."""
    images: list[Remade]
    """The images of the sample, in the order of recipe, layer and filter."""

    ranks: list[str]
    """What the stored images of the sample's layers show to be false of the ranks of their other images, a sentence each."""

    @property
    def passed(self) -> bool:
        """Whether no image has problems, and no rank of the sample's layers is false."""
        return not self.ranks and not any(each.problems for each in self.images)

    def as_json(self) -> dict[str, Any]:
        """What `amaxds audit --json` prints: passed, seed, differs, images and ranks."""
        return {"passed": self.passed} | dataclasses.asdict(self)

    def lines(self) -> list[str]:
        """The lines that `amaxds audit` prints: one or more for each image, and the result."""
        found = [line for each in self.images for line in _lines_of(each)] + [f"failed {each}" for each in self.ranks]
        if self.differs:
            found.append(f"other software or device than the build's ({', '.join(self.differs)}): compared within tolerances")
        else:
            found.append("the software and device of the build: bits must match")
        failed, same = sum(bool(each.problems) for each in self.images), sum(each.psnr is None for each in self.images)
        ranks = f"; {len(self.ranks)} false of the ranks of other images" if self.ranks else ""
        result = f"{len(self.images)} images made again (--seed {self.seed}): {same} the same bits, {failed} failed{ranks}"
        return [*found, result]


def _lines_of(image: Remade) -> Iterator[str]:
    stored, made = image.stored, image.made
    pixels = "same bits" if image.psnr is None else f"PSNR {image.psnr:.1f} dB"
    figures = [
        f"{name} {stored[column]:.5g} -> {made[column]:.5g}" * (stored[column] != made[column])
        for name, column in (("start", "activation_start"), ("activation", "activation"), ("index", "uniformity_index"))
    ]
    verdict = "failed" if image.problems else "ok"
    yield f"{verdict:6} {image.recipe} {image.layer}/{image.filter}: {', '.join([pixels, *filter(None, figures)])}"
    yield from (f"       {problem}" for problem in image.problems)


def audit(dataset: DatasetReader, count: int, seed: int, weights: str | None = None, workers: int | None = None) -> AuditReport:
    """Make a sample of a valid dataset's images again and compare them with the stored ones.

    The sample has as many images of each layer as of any other, as far as there are.

    weights: the file, where the dataset was built with one. UsageError for images that were made elsewhere, and for other
    weights than the build's.
    """
    info = dataset.info
    recipes = [recipe for recipe in info.recipes.values() if isinstance(recipe, AscentRecipe)]
    if len(recipes) < len(info.recipes):
        raise UsageError(
            "these images were made elsewhere, in a way that is not known.", "Only a built dataset can be audited."
        )
    if count < 1:
        raise UsageError(f"sample {count} is out of range.", "Give the number of images to make again, from 1.")
    _prefer(info.software.backend)
    workers = workers or cores()
    backend.start(workers, has_loops(info.network))
    loaded = own_weights(info, weights)
    differs = tuple(_other_software(info))
    programs = Programs(info.network, loaded, info.plan.precision)
    sample = draw_sample(info, count, seed)
    images: list[Remade] = []
    ranks: list[str] = []
    scopes = {each: {layer: filters for (name, layer), filters in sample.items() if name == each.name} for each in recipes}
    plans = [dataclasses.replace(info.plan, recipes=(recipe,), scope=scope) for recipe, scope in scopes.items()]
    with BuildProgress(info.network, (unit for plan in plans for unit in plan.units())) as progress:
        for plan in plans:
            made: dict[tuple[str, int], Row] = {}

            def make(unit: Unit, check: Check, plan: Plan = plan) -> list[Row]:
                return synthesise(plan, programs, unit, check)

            for unit, rows in local.run_local(plan.units(), make, workers):
                made |= {(unit.layer.name, row["filter"]): row for row in rows}
                progress.unit_done(unit)
            for name in plan.scope:
                found, false = _compare_layer(dataset, programs, plan, info.network.layer(name), made, not differs)
                images, ranks = images + found, ranks + false
    return AuditReport(seed, differs, images, ranks)


def draw_sample(info: BuildInfo, count: int, seed: int) -> dict[tuple[str, str], tuple[int, ...]]:
    """A random sample as (recipe, layer) -> filters: of no layer one more before there is one of every other, as far as there
    are, and of each layer under its recipes in turn."""
    rng = np.random.default_rng(seed)
    layers = list(info.scope)
    strata = [(recipe, layer) for recipe in info.recipes for layer in layers]
    shuffled = {stratum: rng.permutation(info.scope[stratum[1]]).tolist() for stratum in strata}
    permuted = [layers[place] for place in rng.permutation(len(layers))]
    recipes = {layer: rng.permutation(list(info.recipes)).tolist() for layer in layers}
    order = [(recipes[layer][turn], layer) for turn in range(len(info.recipes)) for layer in permuted]
    turns = [(turn, place) for place, stratum in enumerate(order) for turn in range(len(shuffled[stratum]))]
    drawn: dict[tuple[str, str], list[int]] = {stratum: [] for stratum in strata}
    for turn, place in sorted(turns)[:count]:
        drawn[order[place]].append(shuffled[order[place]][turn])
    return {stratum: tuple(sorted(filters)) for stratum, filters in drawn.items() if filters}


def _prefer(name: str) -> None:
    """Use the build's backend, if it is installed and the user did not choose another."""
    if "KERAS_BACKEND" not in os.environ and find_spec(name) is not None:
        os.environ["KERAS_BACKEND"] = name


def _other_software(info: BuildInfo) -> Iterator[str]:
    said, here = info.software.model_dump(), environment.software()
    for name in environment.PIXEL_SOFTWARE:
        if said.get(name) != here.get(name):
            yield f"{name} {said.get(name, 'none')}, here {here.get(name, 'none')}"
    for at, stored, found in differences(info.as_json()["device"], environment.device()):
        yield f"{at} {stored}, here {found}"


def _compare_layer(
    dataset: DatasetReader, programs: Programs, plan: Plan, layer: Layer, made: Mapping[tuple[str, int], Row], exact: bool
) -> tuple[list[Remade], list[str]]:
    """The layer's images of the sample, and what is false of the ranks of its other images."""
    recipe, remade, ranked = plan.recipes[0], list[Remade](), list[str]()
    rows = dataset.rows(recipe, layer)
    filters, images = [row["filter"] for row in rows], [decode_png(row["image"]) for row in rows]
    scores = layer_scores(programs, recipe, layer, filters, images, plan.batch_size)
    usual = statistics.median(row["activation"] for row in rows)
    for place, stored in enumerate(rows):
        again, tolerance = made.get((layer.name, stored["filter"])), 0.0 if exact else SCORE_TOLERANCE
        ranks = _ranks(scores, place, tolerance)
        false = _rank_problems(stored["activation_rank"], *ranks)
        best = dataset.info.best_of.get((recipe.name, layer.name, stored["filter"]))
        if best is not None and scores[filters.index(best), place] < scores[:, place].max() * (1 - tolerance):
            due = filters[int(scores[:, place].argmax())]
            false.append(f"outranked by filter {best}, says build.json, the stored images say by {due}")
        if again is None:
            ranked += [f"{recipe.name} {layer.name}/{stored['filter']}: {each}" for each in false]
            continue
        seen, apart = float(scores[place, place]), psnr(images[place], decode_png(again["image"]))
        problems = _exact_problems(stored, again) if exact else _problems(stored, again)
        if not exact and recipe.preprocessing == "network":
            problems += _seen_problems(stored["activation"], seen, usual)
        columns = ("status", "activation_start", "activation", "uniformity_index")
        remade.append(
            Remade(
                recipe.name,
                layer.name,
                stored["filter"],
                None if math.isinf(apart) else apart,
                {column: stored[column] for column in (*columns, "activation_rank")},
                {column: again[column] for column in columns} | {"activation_rank": ranks[0]},
                seen,
                (*problems, *false),
            )
        )
    return remade, ranked


def _ranks(scores: NDArray[np.float32], place: int, tolerance: float) -> tuple[int, int]:
    """The best and the worst rank that the image may have if every score is right within the relative tolerance."""
    own, others = scores[place, place], np.delete(scores[:, place], place)
    return 1 + int((others > own * (1 + tolerance)).sum()), 1 + int((others > own * (1 - tolerance)).sum())


def _exact_problems(stored: Row, made: Row) -> list[str]:
    columns = ("status", "activation_start", "activation", "uniformity_index", "pixels_sha256")
    differing = [column for column in columns if stored[column] != made[column]]
    return [f"{column} is {stored[column]}, made again {made[column]}" for column in differing]


def _problems(stored: Row, made: Row) -> list[str]:
    found = []
    if stored["status"] != made["status"]:
        found.append(f"status is {stored['status']}, made again {made['status']}")
    for column, relative, absolute in (
        ("activation_start", START_TOLERANCE, 1e-5),
        ("activation", ACTIVATION_TOLERANCE, 1e-5),
        ("uniformity_index", 0.0, INDEX_TOLERANCE),
    ):
        if not math.isclose(stored[column], made[column], rel_tol=relative, abs_tol=absolute):
            found.append(f"{column} is {stored[column]:.5g}, made again {made[column]:.5g}")
    return found


def _seen_problems(stored: float, seen: float, usual: float) -> list[str]:
    agrees = abs(seen - stored) <= SEEN_TOLERANCE * max(stored, usual)
    return [] if agrees else [f"activation is {stored:.5g}, but the stored image excites {seen:.5g}"]


def _rank_problems(stored: int, best: int, worst: int) -> list[str]:
    due = f"{best}" if best == worst else f"{best} to {worst}"
    return [] if best <= stored <= worst else [f"activation_rank is {stored}, the stored images give {due}"]
