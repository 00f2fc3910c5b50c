"""Patterns of layers and ranges of filters, read and written."""

from __future__ import annotations

import pytest

from amaxds.errors import UsageError
from amaxds.spec.network import DEMO
from amaxds.spec.selection import make_scope, write_filters


@pytest.mark.parametrize(
    ("layers", "filters", "words"),
    [
        ("block6_*", None, "'block6_*'"),
        ("block1_conv1,conv2", None, "'conv2'"),
        (None, "0-15", "filter 15 is out of range for block1_conv1"),
        ("block5_conv3", "64", "0 to 63"),
        ("block5_conv3", "5-2", "'5-2'"),
        ("block5_conv3", "1,,2", "'1,,2'"),
        ("block5_conv3", "-1", "'-1'"),
        ("", None, "matches ''"),
        (None, "", "filters ''"),
    ],
)
def test_bad_patterns_are_named_with_what_there_is(layers, filters, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        make_scope(DEMO, layers, filters)
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) == 2


def test_filters_are_written_as_they_are_read() -> None:
    for text in ("0", "0-63", "1,3,5-9,60-63"):
        assert write_filters(make_scope(DEMO, "block5_conv3", text)["block5_conv3"]) == text
