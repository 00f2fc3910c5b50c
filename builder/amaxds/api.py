"""What the commands do, as functions: each takes names and options as a user gives them, and does the whole of it.

A dataset is named by a path, a URL, or `owner/name` on a hub (`hubs.locate`). Every function that works on a dataset validates
it first, and raises InvalidDataset, which has the report, where something is found. Nothing heavy is imported before it is
needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from amaxds.errors import InvalidDataset

if TYPE_CHECKING:
    from amaxds.analysis.score import Result
    from amaxds.checks.audit import AuditReport
    from amaxds.checks.diff import Difference
    from amaxds.checks.rules import ValidationReport
    from amaxds.hubs.base import Hub
    from amaxds.spec.network import Network
    from amaxds.spec.plan import Plan
    from amaxds.storage.location import Location


def build(
    out: Location,
    plan: Plan,
    network_file: Path,
    weights: str = "pretrained",
    workers: int | None = None,
    engine: str = "local",
    address: str | None = None,
    fill_gpu: bool = True,
) -> ValidationReport:
    """Make the dataset of a plan at `out`, or go on where the same build stopped; what validation then finds.

    network_file: the network's model file, where it is from one. fill_gpu: on a GPU, as many images in one program as its
    memory has room for, instead of the plan's. Errors are those of `builds.build.build`.
    """
    from amaxds.builds.batch_size import with_batch_size_for
    from amaxds.builds.build import build as make
    from amaxds.builds.executors.open import open_executor
    from amaxds.builds.shards import WORK
    from amaxds.checks.validate import validate as check
    from amaxds.compute.networks import load_weights

    with open_executor(engine, workers, address) as executor:
        loaded = load_weights(plan.network, weights, plan.seed, network_file)
        make(out, with_batch_size_for(executor, plan) if fill_gpu else plan, loaded, executor)
    with out.local_copy(without=WORK) as folder:  # In a store, another build of the same may still have shards there.
        return check(folder, str(out))


def plan_here(plan: Plan, workers: int | None = None) -> Plan:
    """The plan as this machine would run it: on a GPU, with as many images in one program as its memory has room for."""
    from amaxds.builds.batch_size import with_batch_size_for
    from amaxds.builds.executors.open import open_executor

    with open_executor("local", workers) as executor:
        return with_batch_size_for(executor, plan)


def validate(path: str) -> ValidationReport:
    """What is wrong with a dataset, by the rules of `checks.rules`."""
    from amaxds.checks.validate import validate as check
    from amaxds.hubs.locate import fetched

    with fetched(path) as found:
        return check(found, path)


def audit(
    path: str, sample: int = 13, seed: int | None = None, weights: str | None = None, workers: int | None = None
) -> AuditReport:
    """Make a sample of a dataset's images again and compare. seed: of the sample; without one it is drawn anew each time."""
    import secrets

    from amaxds.checks.audit import audit as make_again
    from amaxds.dataset.reader import open_dataset
    from amaxds.hubs.locate import fetched

    with fetched(path) as found:
        _require_valid(found, path)
        with open_dataset(found, path) as dataset:
            return make_again(dataset, sample, secrets.randbelow(2**32) if seed is None else seed, weights, workers)


def diff(before: str, after: str) -> Difference:
    """What it takes to get from one dataset to another, record by record and image by image. They are not validated."""
    from amaxds.checks.diff import diff as compare
    from amaxds.dataset.reader import open_dataset
    from amaxds.hubs.locate import fetched

    with (
        fetched(before) as one,
        fetched(after) as other,
        open_dataset(one, before) as old,
        open_dataset(other, after) as new,
    ):
        return compare(old, new)


def report(
    path: str, out: Path, neighbours: bool | None = None, weights: str | None = None, workers: int | None = None
) -> str | None:
    """Write the page and the figures of a dataset to `out`; why images most alike are not shown, if they are not."""
    from amaxds.analysis.report import write_report
    from amaxds.hubs.locate import fetched

    with fetched(path) as found:
        _require_valid(found, path)
        return write_report(found, path, out, neighbours, weights, workers)


def classify(
    path: str,
    out: Path,
    models: Sequence[str] = (),
    weights: str | None = None,
    seed: int = 0,
    workers: int | None = None,
) -> tuple[list[Result], str | None]:
    """Train and judge models that tell layers apart; their results, and why the linear one was left out, if it was."""
    from amaxds.analysis.classify import ClassificationSettings
    from amaxds.analysis.classify import classify as train
    from amaxds.hubs.locate import fetched

    with fetched(path) as found:
        _require_valid(found, path)
        return train(found, path, out, models, weights, ClassificationSettings(seed, workers))


def bundle(path: str, out: Path, recipe: str | None = None, repo: str | None = None) -> str:
    """Write one recipe of a dataset folder as Kaggle expects a dataset; the recipe."""
    from amaxds.dataset.build_reader import require_build_info
    from amaxds.dataset.bundle import bundle as write
    from amaxds.hubs.locate import dataset_at
    from amaxds.storage.location import parse_location

    place = parse_location(path)
    with dataset_at(place) as folder:
        _require_valid(folder, str(place))
        return write(folder, require_build_info(folder), out, recipe, repo)


def describe(folder: Path, out: Path, network: Network) -> ValidationReport:
    """Make a dataset folder of images that were made elsewhere; what validation then finds."""
    from amaxds.builds.describe import describe as write
    from amaxds.checks.validate import validate as check

    write(folder, out, network)
    return check(out)


def publish(
    path: str,
    hubs: Sequence[Hub],
    repo: str,
    private: bool | None = None,
    message: str | None = None,
    allow_partial: bool = False,
    dry_run: bool = False,
    show: Callable[[str], None] = print,
) -> None:
    """Publish a dataset folder on each hub in turn, fetch it back and compare. show: is given the plan and what is going on,
    line by line. Errors are those of `hubs.publish.publish`."""
    from amaxds.dataset.build_reader import require_build_info
    from amaxds.hubs.locate import dataset_at
    from amaxds.hubs.publish import publish as send
    from amaxds.storage.location import parse_location

    place = parse_location(path)
    with dataset_at(place) as folder:
        _require_valid(folder, str(place))
        send(folder, require_build_info(folder), place, hubs, repo, private, message, allow_partial, dry_run, show)


def _require_valid(found: Path, name: str) -> None:
    """InvalidDataset where validation finds something."""
    from amaxds.checks.validate import validate as check

    checked = check(found, name)
    if not checked.valid:
        raise InvalidDataset(checked)
