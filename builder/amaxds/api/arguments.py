"""The arguments of the public functions, as users may give them, turned into what the packages below take."""

from __future__ import annotations

import contextlib
import os
import re
import reprlib
import sys
from collections.abc import Callable, Hashable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeAlias, TypeVar

from amaxds.compute import apart
from amaxds.errors import InvalidDataset, UsageError, WeightsError, in_words, whole_number
from amaxds.storage.files import given_path
from amaxds.storage.scratch import temporary_folder

if TYPE_CHECKING:
    import keras

    from amaxds.builds.on_demand import ImageChoice, NetworkChoice
    from amaxds.checks.rules import ValidationReport
    from amaxds.hubs.opened import Dataset
    from amaxds.spec.objective import Objective

    NetworkLike: TypeAlias = str | os.PathLike[str] | keras.Model
    WeightsLike: TypeAlias = str | os.PathLike[str] | keras.Model
    DatasetLike: TypeAlias = str | os.PathLike[str] | Dataset

Layers = str | Iterable[str]
"""Names of layers or patterns such as `block5_*`: several in one string, with commas between them, or in a sequence."""
Filters = int | str | Iterable[int]
"""A filter's number, numbers and ranges such as `0-15,40` in a string, or several numbers."""
WEIGHTS = "file of weights"
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def run_apart(
    function: Callable[Arguments, Result],
    progress: bool,
    keep: Hashable | None,
    *args: Arguments.args,
    **kwargs: Arguments.kwargs,
) -> Result:
    """Call the function in a process of its own, see `compute.apart`, and show its progress here."""
    from amaxds.builds.progress import shown

    with shown(quiet=not progress) as show:
        return apart.run(function, show, keep, *args, **kwargs)


def require_valid(found: Path, name: str) -> None:
    """InvalidDataset where validation finds something."""
    from amaxds.checks.validate import validate as check

    required(check(found, name))


def required(found: ValidationReport) -> ValidationReport:
    """InvalidDataset where there are findings."""
    if not found.valid:
        raise InvalidDataset(found)
    return found


def dataset_name(dataset: DatasetLike) -> str:
    """What a dataset is opened by; UsageError for the part that one of several recipes made, and for what is no dataset."""
    if isinstance(dataset, (str, os.PathLike)):
        return given_path(dataset)
    from amaxds.hubs.opened import Dataset

    if not isinstance(dataset, Dataset):
        raise UsageError(
            f"{type(dataset).__name__} is no dataset.", "Give a path, a URL, owner/name, or what amaxds.open_dataset returns."
        )
    if dataset.is_part:
        raise UsageError(
            f"this is the part of {dataset.name} under {dataset.recipes[0]} alone.",
            "Give the whole dataset, which has the files.",
        )
    return dataset.place


def network_choice(model: str, weights: str, canvas: int | None, preprocessing: str | None, precision: str) -> NetworkChoice:
    """The options that say which network it is; UsageError for a value of another type."""
    from amaxds.builds.on_demand import NetworkChoice

    side, how = optional(whole_number, canvas, "canvas"), optional(text, preprocessing, "preprocessing")
    return NetworkChoice(model, weights, side, how, text(precision, "precision"))


def image_choice(
    recipes: tuple[str, ...],
    layers: Layers | None,
    filters: Filters | None,
    seeds: tuple[int, ...],
    steps: int | None,
    batch_size: int | None,
    frames: int = 0,
) -> ImageChoice:
    """The options that say which images are made; UsageError for a value of another type."""
    from amaxds.builds.on_demand import ImageChoice

    patterns = None if layers is None else ",".join(names(layers, "layers"))
    lengths = optional(whole_number, steps, "steps"), optional(whole_number, batch_size, "batch_size")
    return ImageChoice(recipes, patterns, filter_numbers(filters), seeds, *lengths, whole_number(frames, "frames"))


def filter_numbers(filters: Filters | None) -> str | None:
    """The filters as the option `--filters` has them."""
    from amaxds.spec.selection import MOST_FILTERS, write_filters

    if filters is None or isinstance(filters, str):
        return filters
    numbers = sorted(set(several(filters, "filter")))
    for each in (numbers[0], numbers[-1]):
        if not 0 <= each < MOST_FILTERS:
            raise UsageError(f"filter {each} is out of range.", "Filters are numbered from 0.")
    return write_filters(numbers)


def names(given: Any, name: str) -> tuple[str, ...]:
    """One name or several, as a tuple; UsageError for none, and for what is no name."""
    found = _items(given, name)
    for each in found:
        if not isinstance(each, str):
            raise UsageError(f"{name} {reprlib.repr(each)} is no name.", f"Give {name} as a string, or several in a list.")
    return found


def several(given: Any, name: str) -> tuple[int, ...]:
    """One whole number or several, as a tuple; UsageError for none, and for what is no whole number."""
    return tuple(whole_number(each, name) for each in _items(given, name))


def _items(given: Any, name: str) -> tuple[Any, ...]:
    """What is in a list, or the only thing."""
    if isinstance(given, (str, bytes)):
        return (given,)
    try:
        found = tuple(given)
    except TypeError:  # One number. NumPy's array of no dimension claims to be iterable.
        return (given,)
    if not found:
        raise UsageError(f"{name} {reprlib.repr(given)} has nothing in it.", "Give at least one.")
    return found


def as_objectives(
    objective: Objective | Iterable[Objective], layers: Layers | None, filters: Filters | None, batch_size: int | None
) -> tuple[Objective, ...]:
    """One objective or several, as a tuple; UsageError where layers, filters or a batch size are given, too."""
    from amaxds.spec.objective import Objective

    if layers is not None or filters is not None:
        raise UsageError("an objective has its own layers and filters.", "Leave out layers and filters, or the objective.")
    if batch_size is not None:
        raise UsageError("the images of an objective are made in a program of their own.", "Leave out batch_size.")
    found = (objective,) if isinstance(objective, Objective) else _items(objective, "objective")
    for each in found:
        if not isinstance(each, Objective):
            raise UsageError(f"{type(each).__name__} is no objective.", "Make one with a function of amaxds.objectives.")
    return found


def optional(check: Callable[[Any, str], Result], value: Any, name: str) -> Result | None:
    """What the check makes of the value; None as it is."""
    return None if value is None else check(value, name)


def worker_count(workers: Any) -> int | None:
    return None if workers is None else whole_number(workers, "workers", 1, 4096)


def text(value: Any, name: str) -> str:
    """A string; UsageError for anything else."""
    if not isinstance(value, str):
        raise UsageError(f"{name} {reprlib.repr(value)} is no string.", f"Give {name} as a string.")
    return value


def flag(value: Any, name: str) -> bool:
    """True or False, of Python's or NumPy's; UsageError for anything else."""
    if type(value).__name__ not in ("bool", "bool_"):
        raise UsageError(f"{name} {reprlib.repr(value)} is neither True nor False.", "Give one of them.")
    return bool(value)


@contextlib.contextmanager
def model_file(choice: NetworkLike, what: str = "network") -> Iterator[str]:
    """The name of a network or the path of a file, as it is; a Keras model as the path of a file that it is saved to, for as
    long as the context is open.

    UsageError for anything else, and for a model that cannot be saved, or read again without code of its own.
    """
    if isinstance(choice, (str, os.PathLike)):
        yield given_path(choice, what)
        return
    loaded = sys.modules.get("keras")
    if loaded is None or not isinstance(choice, loaded.Model):
        raise UsageError(
            f"{type(choice).__name__} is no {what}.", "Give a name, the path of a Keras model file, or a keras.Model."
        )
    own = "Give a functional or sequential model of Keras's own layers."
    with temporary_folder() as folder:
        path = folder / f"{_name_of(str(choice.name))}.keras"
        try:
            choice.save(path)
        except Exception as error:  # Whatever a layer's own code raises.
            raise UsageError(f"the model {choice.name} cannot be saved: {in_words(error)}.", own) from error
        try:
            yield str(path)
        except WeightsError as error:
            if str(path) not in error.problem:
                raise
            raise UsageError(
                f"the model {choice.name} has layers of its own code, which another process lacks.", own
            ) from error


def _name_of(model: str) -> str:
    """What a network made of a model in memory is called: as the model, or where that is not possible, nearly so."""
    from amaxds.spec.applications import APPLICATIONS
    from amaxds.spec.network import NETWORKS

    name = re.sub(r"[^A-Za-z0-9_-]", "-", model).lstrip("-_") or "model"
    return f"{name}-model" if name in {*NETWORKS, *APPLICATIONS} else name


@contextlib.contextmanager
def weights_file(choice: WeightsLike | None) -> Iterator[str | None]:
    """As `model_file`, for the weights that a dataset was built with."""
    if choice is None:
        yield None
        return
    with model_file(choice, WEIGHTS) as path:
        yield path
