"""JSON values from outside: parsed strictly, compared with what is expected, hashed, and shortened for messages."""

from __future__ import annotations

import hashlib
import json
import reprlib
from collections.abc import Iterator, Mapping
from typing import Any

from amaxds.errors import WrongData


def reject_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object of its pairs of key and value, for `object_pairs_hook`; ValueError where a key is there twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise WrongData("a key is there twice")
    return found


def differences(stored: Any, wanted: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Path, stored value and wanted value of each place in which two nested JSON values differ.

    A path reads `recipes[0].name`, and is "" for the whole. What only one of the two has is None in the other.
    """
    if isinstance(stored, Mapping) and isinstance(wanted, Mapping):
        for key in wanted:
            yield from differences(stored.get(key), wanted[key], f"{path}.{key}".lstrip("."))
        for key in stored.keys() - wanted.keys():
            yield f"{path}.{key}".lstrip("."), stored[key], None
    elif isinstance(stored, list) and isinstance(wanted, list) and len(stored) == len(wanted):
        for index, (before, now) in enumerate(zip(stored, wanted, strict=True)):
            yield from differences(before, now, f"{path}[{index}]")
    elif isinstance(stored, bool) != isinstance(wanted, bool) or stored != wanted:
        yield path, stored, wanted


def abbreviate(value: Any) -> str:
    """A value for a message: as JSON, cut to at most 60 characters; `nothing` for None."""
    if isinstance(value, Mapping | list):
        text = reprlib.repr(value)  # Bounded, however deep or entangled the value is.
    else:
        try:
            text = "nothing" if value is None else json.dumps(value, default=str)
        except ValueError:
            text = f"a {type(value).__name__} too long to print"
    return text if len(text) <= 60 else f"{text[:57]}..."


def digest_of(value: Mapping[str, Any]) -> str:
    """SHA-256 of an object as JSON, whatever the order of its keys, in hexadecimal."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
