"""Every exception that a user can meet, with the exit code that it gives the command.

A message has two lines: what was wrong, with the value, and what to do next. Numbers that users give are checked here, too.
"""

from __future__ import annotations

import copyreg
import difflib
import math
import numbers
import operator
import reprlib
from collections.abc import Iterable
from typing import Any

from amaxds.secrets import without_secrets

LARGEST = (2 - 2**-23) * 2.0**127
"""The largest number of type float32, in which images are computed."""


def printable(text: str) -> str:
    """The text, with escapes such as \\n where it is not printable: it then cannot break a line or control a terminal."""
    return text if text.isprintable() else text.encode("unicode_escape", "surrogateescape").decode("ascii", "replace")


class AmaxdsError(Exception):
    """An error with a message of two lines: what was wrong, and what to do about it."""

    exit_code = 3

    def __init__(self, problem: str, remedy: str) -> None:
        self.problem, self.remedy = (printable(without_secrets(text)) for text in (problem, remedy))
        super().__init__(f"{self.problem}\n{self.remedy}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the message and attributes as they are, because a subclass's __init__ may take other arguments."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]  # not in typeshed


class UsageError(AmaxdsError):
    """The request itself is wrong: an unknown name, a filter out of range, an unusable folder."""

    exit_code = 2


class InvalidDataset(AmaxdsError):
    """A dataset given to a command is not valid. `report` has all findings."""

    exit_code = 1

    def __init__(self, report: Any) -> None:
        """report: a `checks.rules.ValidationReport` with findings."""
        self.report = report
        super().__init__(f"{report.name} is not valid.", "See what `amaxds validate` says of it.")


class NoImage(UsageError, ValueError):
    """What is given for an image is none."""


class NothingThere(UsageError):
    """A URL at which nothing is."""


class WeightsError(UsageError):
    """A weights file is missing, unreadable, or does not fit the network."""


class NotFoundOnline(AmaxdsError):
    """Pretrained weights could not be downloaded."""


class HubError(AmaxdsError):
    """A hub refused a request, could not be reached, or does not hold what was sent to it."""


class StoreError(AmaxdsError):
    """An object store named by a URL refused a request or could not be reached."""


class DamagedShard(AmaxdsError):
    """A shard is not as its unit wrote it. The same build, run again, makes it anew."""

    def __init__(self, path: object, what: str) -> None:
        self.what = what
        super().__init__(f"shard {path} {what}.", "Run the same build again: it is made anew.")


class DiskError(AmaxdsError):
    """The operating system refused to write, because of a full disk, a quota or permissions."""


class OutOfMemory(AmaxdsError):
    """The machine has less memory than the build's programs need."""


def nearest(name: str, names: Iterable[str]) -> str:
    """Of these names the one or two most like `name`, as a question with a space after it; nothing where none is like it."""
    known = {each.lower(): each for each in names}
    found = difflib.get_close_matches(str(name).lower(), known, n=2, cutoff=0.7)
    return f"Did you mean {' or '.join(repr(known[each]) for each in found)}? " if found else ""


class WrongData(ValueError):
    """Data that is not what it has to be. The message says what is wrong with it, to follow its name or "cannot be read:"."""


def in_words(error: BaseException) -> str:
    """An error in one line of at most 200 characters: the message, and for those of other libraries the class before it."""
    text = str(error) if isinstance(error, WrongData) else f"{type(error).__name__} {error}"
    return " ".join(without_secrets(text).split())[:200]


def whole_number(value: Any, name: str, least: float = -math.inf, most: float = math.inf) -> int:
    """A whole number of Python's or NumPy's in this range as one of Python's; UsageError for anything else, True and False,
    too."""
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise UsageError(f"{name} {reprlib.repr(value)} is no whole number.", f"Give {name} as a number such as 5.") from None
    if not least <= number <= most:
        limits = f"from {least}" if most == math.inf else f"from {least} to {most}"
        raise UsageError(f"{name} {reprlib.repr(number)} is out of range.", f"Give a number {limits}.")
    return number


def real_number(value: Any, name: str, least: float = -LARGEST) -> float:
    """A number of Python's or NumPy's, from `least` to what a float32 holds; UsageError for anything else."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise UsageError(f"{name} {reprlib.repr(value)} is no number.", f"Give {name} as a number such as 0.5.")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not least <= number <= LARGEST:
        raise UsageError(f"{name} {number:g} is out of range.", f"Give {name} as a number from {least:.3g} to {LARGEST:.3g}.")
    return number
