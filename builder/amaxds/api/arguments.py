"""The arguments of the public functions, as users may give them, turned into what the packages below take."""

from __future__ import annotations

import contextlib
import operator
import os
import re
import sys
import tempfile
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeAlias, TypeVar

from amaxds.compute import apart
from amaxds.errors import InvalidDataset, UsageError, WeightsError, in_words

if TYPE_CHECKING:
    import keras

    from amaxds.hubs.opened import Dataset
    from amaxds.spec.objective import Objective

    NetworkLike: TypeAlias = str | os.PathLike[str] | keras.Model
    WeightsLike: TypeAlias = str | os.PathLike[str] | keras.Model
    DatasetLike: TypeAlias = str | os.PathLike[str] | Dataset

Layers = str | Sequence[str]
"""Names of layers or patterns such as `block5_*`: several in one string, with commas between them, or in a sequence."""
Filters = int | str | Iterable[int]
"""A filter's number, numbers and ranges such as `0-15,40` in a string, or several numbers."""
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

    checked = check(found, name)
    if not checked.valid:
        raise InvalidDataset(checked)


def dataset_name(dataset: DatasetLike) -> str:
    """What a dataset is opened by; UsageError for the part that one of several recipes made, and for what is no dataset."""
    if isinstance(dataset, (str, os.PathLike)):
        return os.fspath(dataset)
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
    return dataset.name


def layer_patterns(layers: Layers | None) -> str | None:
    """The layers as the option `--layers` has them."""
    return layers if layers is None or isinstance(layers, str) else ",".join(layers)


def filter_numbers(filters: Filters | None) -> str | None:
    """The filters as the option `--filters` has them."""
    from amaxds.spec.selection import write_filters

    if filters is None or isinstance(filters, str):
        return filters
    return write_filters(sorted(set(several(filters, "filter"))))


def several(value: Any, name: str) -> tuple[int, ...]:
    """One whole number or several, as a tuple."""
    try:
        items = list(value)
    except TypeError:  # One number. NumPy's array of no dimension claims to be iterable.
        items = [value]
    return tuple(_whole(each, name) for each in items)


def as_objectives(
    objective: Objective | Sequence[Objective], layers: Layers | None, filters: Filters | None
) -> tuple[Objective, ...]:
    """One objective or several, as a tuple; UsageError where layers or filters are given, too."""
    from amaxds.spec.objective import Objective

    if layers is not None or filters is not None:
        raise UsageError("an objective has its own layers and filters.", "Leave out layers and filters, or the objective.")
    found = (objective,) if isinstance(objective, Objective) else tuple(objective)
    for each in found:
        if not isinstance(each, Objective):
            raise UsageError(f"{type(each).__name__} is no objective.", "Make one with a function of amaxds.objectives.")
    if not found:
        raise UsageError("there is no objective.", "Give one or several.")
    return found


def recipe_names(recipes: str | Sequence[str]) -> tuple[str, ...]:
    return (recipes,) if isinstance(recipes, str) else tuple(recipes)


def whole(number: Any, name: str) -> int | None:
    """A whole number of Python's or NumPy's as one of Python's; None as it is."""
    return None if number is None else _whole(number, name)


def _whole(number: Any, name: str) -> int:
    try:
        return operator.index(number)
    except TypeError:
        raise UsageError(f"{name} {number!r} is no whole number.", f"Give {name} as a number such as 5.") from None


@contextlib.contextmanager
def model_file(choice: NetworkLike) -> Iterator[str]:
    """The name of a network or the path of a file, as it is; a Keras model as the path of a file that it is saved to, for as
    long as the context is open.

    UsageError for anything else, and for a model that cannot be saved, or read again without code of its own.
    """
    if isinstance(choice, (str, os.PathLike)):
        yield os.fspath(choice)
        return
    loaded = sys.modules.get("keras")
    if loaded is None or not isinstance(choice, loaded.Model):
        raise UsageError(
            f"{type(choice).__name__} is no network.", "Give a name, the path of a Keras model file, or a keras.Model."
        )
    own = "Give a functional or sequential model of Keras's own layers."
    with tempfile.TemporaryDirectory(prefix="amaxds-") as folder:
        path = Path(folder) / f"{_name_of(str(choice.name))}.keras"
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
    """As `model_file`, for weights."""
    if choice is None:
        yield None
        return
    with model_file(choice) as path:
        yield path
