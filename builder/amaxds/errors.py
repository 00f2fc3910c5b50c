"""Every exception that a user can meet, and the exit code each one ends the command with.

A message is one or two lines: what was wrong with its value, then what to do next.
"""

from __future__ import annotations

import copyreg
from typing import Any


def printable(text: str) -> str:
    """Text in which names and values from outside cannot break a line or steer a terminal."""
    return text if text.isprintable() else text.encode("unicode_escape", "surrogateescape").decode("ascii", "replace")


class AmaxdsError(Exception):
    """What was wrong (first line) and what to do about it (second line)."""

    exit_code = 3

    def __init__(self, problem: str, remedy: str) -> None:
        self.problem, self.remedy = printable(problem), printable(remedy)
        super().__init__(f"{self.problem}\n{self.remedy}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Carried from one process to another as it is, whatever a subclass was made of."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]  # not in typeshed


class UsageError(AmaxdsError):
    """The request cannot be carried out as it was put: unknown name, filter out of range, unusable folder."""

    exit_code = 2


class InvalidDataset(AmaxdsError):
    """Validation found something wrong with a dataset that was to be worked on. It has the whole report."""

    exit_code = 1

    def __init__(self, report: Any) -> None:
        """report: a `checks.rules.Report` with findings."""
        self.report = report
        super().__init__(f"{report.name} is not valid.", "See what `amaxds validate` says of it.")


class NothingThere(UsageError):
    """A URL at which nothing is."""


class WeightsError(UsageError):
    """A weights file that is not there, not readable, or does not fit the network."""


class NotFoundOnline(AmaxdsError):
    """Pretrained weights could not be had."""


class HubError(AmaxdsError):
    """A hub refused, could not be reached, or does not hold what was sent."""


class StoreError(AmaxdsError):
    """A store that a URL names refused, or could not be reached."""


class DamagedShard(AmaxdsError):
    """A shard that is not what its unit wrote. The build makes it again."""

    def __init__(self, path: object, what: str) -> None:
        self.what = what
        super().__init__(f"shard {path} {what}.", "Run the same build again: it is made anew.")


class DiskError(AmaxdsError):
    """The operating system refused to write: disk full, quota, permission."""


class OutOfMemory(AmaxdsError):
    """There is less memory than the programs of a build need."""


def in_words(error: Exception) -> str:
    """An error of some library in one line."""
    return " ".join(f"{type(error).__name__} {error}".split())[:200]
