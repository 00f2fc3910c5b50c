"""The pages of the documentation: the site's menu has each of them, and their links to files of the repository lead somewhere.

`mkdocs build --strict` checks the site itself, anchors included; it needs the extra `docs`, these tests do not.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from support.commands import ROOT

MENU = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
PAGES = sorted(path for folder in ("docs", "benchmarks", "metadata") for path in (ROOT / folder).rglob("*.md"))


def pages_of(menu: list[str | dict[str, list[str]]]) -> set[str]:
    """All pages of the menu, whatever chapter they are in."""
    return {page for entry in menu for page in ([entry] if isinstance(entry, str) else pages_of(*entry.values()))}


def test_the_menu_has_every_page() -> None:
    assert len(PAGES) > 35
    assert {str(page.relative_to(ROOT)).removeprefix("docs/") for page in PAGES} - pages_of(MENU) == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_its_links_lead_somewhere(page: Path) -> None:
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", page.read_text()) if "://" not in link]
    targets = {(page.parent / link).resolve().relative_to(ROOT) for link in links}
    assert {path for path in targets if not (ROOT / path).exists()} == set()
