"""The licence of a dataset, and its name on each hub."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from amaxds.errors import UsageError
from amaxds.spec.recipes import DESCRIBED


@dataclass(frozen=True)
class Licence:
    """A licence and its names on the hubs; a name is None where the hub does not offer the licence."""

    name: str
    url: str | None
    huggingface: str | None
    kaggle: str | None

    def on(self, hub: str) -> str:
        """The licence's name on `huggingface` or `kaggle`; UsageError where that hub does not offer it."""
        found = {"huggingface": self.huggingface, "kaggle": self.kaggle}[hub]
        if found is None:
            raise UsageError(
                f"{hub} takes no dataset under a licence {self.name}.", "Publish elsewhere, or ask whoever made the images."
            )
        return found


LICENCE = Licence("CC-BY-4.0", "https://creativecommons.org/licenses/by/4.0/", "cc-by-4.0", "CC-BY-4.0")
"""The licence of images made by this tool: the same as that of VGG16's weights, from which they are made."""

UNKNOWN = Licence("that is not known", None, "unknown", None)
"""The licence of images that were made elsewhere and only described."""


def licence_of(recipes: Iterable[str]) -> Licence:
    """The licence of a dataset with recipes of these names."""
    return UNKNOWN if DESCRIBED.name in recipes else LICENCE
