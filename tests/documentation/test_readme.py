"""README.md: short, and its links lead somewhere. (Those of the other pages: test_pages.py.)"""

from __future__ import annotations

import re

from support.commands import ROOT

README = (ROOT / "README.md").read_text()
MOST_WORDS = 450


def test_it_is_short() -> None:
    assert len(README.split()) <= MOST_WORDS


def test_its_links_lead_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)", README) if "://" not in link]
    assert len(links) > 20
    assert [link for link in links if not (ROOT / link).is_file()] == []
