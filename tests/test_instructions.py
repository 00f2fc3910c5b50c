"""The README and CI agree on what to type."""

from __future__ import annotations

import re

from support.commands import ROOT


def test_readme_and_ci_give_the_same_commands() -> None:
    """The README promises exactly two set-up commands; CI runs the second as it is written."""
    readme, ci = (ROOT / "README.md").read_text(), (ROOT / ".ci" / "run").read_text()
    commands = re.findall(r"^python -m pip install .*$", readme, re.MULTILINE)
    assert commands == [
        "python -m pip install . && amaxds build --network demo",
        "python -m pip install '.[test]' && python -m pytest",
    ]
    assert commands[1] in ci
