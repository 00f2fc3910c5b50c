"""Datasets of what the filters of a convolutional network look for: made, proved and published."""

from amaxds.image import uniformity_index

__all__ = ["uniformity_index"]
