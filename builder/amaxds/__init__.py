"""Datasets of what the filters of a convolutional network look for: made, proved and published.

    import amaxds

    images = amaxds.synthesise("demo", "block3_conv1", filters=[5, 6])
    dataset = amaxds.build("demo", layers="block3_*")
    dataset["block3_conv1", 5].image

Everything here is loaded when it is first used. Exceptions are in `amaxds.errors`.
"""

from __future__ import annotations

TYPE_CHECKING = False  # As in `typing`, which takes longer to load than all that is here.

if TYPE_CHECKING:
    from amaxds import errors, objectives
    from amaxds.api.check import audit, diff, validate
    from amaxds.api.look import classify, report
    from amaxds.api.make import build, describe, open_dataset, synthesise
    from amaxds.api.share import bundle, publish
    from amaxds.compute.apart import release
    from amaxds.dataset.filter_image import FilterImage, FilterImages
    from amaxds.hubs.opened import Dataset
    from amaxds.image import uniformity_index

    __version__: str

__all__ = [
    "Dataset",
    "FilterImage",
    "FilterImages",
    "__version__",
    "audit",
    "build",
    "bundle",
    "classify",
    "describe",
    "diff",
    "errors",
    "objectives",
    "open_dataset",
    "publish",
    "release",
    "report",
    "synthesise",
    "uniformity_index",
    "validate",
]

_PLACES = {
    **dict.fromkeys(("audit", "diff", "validate"), "amaxds.api.check"),
    **dict.fromkeys(("classify", "report"), "amaxds.api.look"),
    **dict.fromkeys(("build", "describe", "open_dataset", "synthesise"), "amaxds.api.make"),
    **dict.fromkeys(("bundle", "publish"), "amaxds.api.share"),
    **dict.fromkeys(("FilterImage", "FilterImages"), "amaxds.dataset.filter_image"),
    "Dataset": "amaxds.hubs.opened",
    "release": "amaxds.compute.apart",
    "uniformity_index": "amaxds.image",
}


def __getattr__(name: str) -> object:
    """What is public, loaded at first use: the command must be able to take a Ctrl-C before NumPy is there."""
    import importlib

    if name == "__version__":
        from importlib.metadata import version

        return version("amaxds")
    if name in ("errors", "objectives"):
        return importlib.import_module(f"amaxds.{name}")
    if name not in _PLACES:
        raise AttributeError(f"module 'amaxds' has no attribute {name!r}")
    if _PLACES[name].startswith("amaxds.api."):
        from amaxds.compute.apart import require_surroundings

        require_surroundings()
    found: object = getattr(importlib.import_module(_PLACES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
