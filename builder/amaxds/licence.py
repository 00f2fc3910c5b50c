"""The licence of the datasets: chosen once, here, and named as each hub names it."""

from __future__ import annotations

from dataclasses import dataclass

from amaxds.errors import UsageError


@dataclass(frozen=True)
class Licence:
    """A licence and its names on the hubs; None where a hub does not know it."""

    name: str
    url: str
    huggingface: str | None
    kaggle: str | None

    def on(self, hub: str) -> str:
        """Its name on `huggingface` or `kaggle`; UsageError where that hub does not know it."""
        found = {"huggingface": self.huggingface, "kaggle": self.kaggle}[hub]
        if found is None:
            raise UsageError(f"{hub} has no licence {self.name}.", f"Publish elsewhere, or under {LICENCE.name}.")
        return found


LICENCE = Licence("CC-BY-4.0", "https://creativecommons.org/licenses/by/4.0/", "cc-by-4.0", "CC-BY-4.0")
"""That of VGG16's weights, from which the images are made."""
