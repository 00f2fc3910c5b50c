"""Datasets of what the filters of a convolutional network look for: made, proved and published."""

from __future__ import annotations

TYPE_CHECKING = False  # As in `typing`, which takes longer to load than all that is here.

if TYPE_CHECKING:
    from amaxds.image import uniformity_index

__all__ = ["uniformity_index"]


def __getattr__(name: str) -> object:
    """What is public, loaded at first use: the command must be able to take a Ctrl-C before NumPy is there."""
    if name not in __all__:
        raise AttributeError(f"module 'amaxds' has no attribute {name!r}")
    from amaxds import image

    return getattr(image, name)
