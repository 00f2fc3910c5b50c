"""The report's page, in one tab of a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from support.commands import amaxds
from support.report_page import CHROMIUM, LAYERS
from support.shared import made_once


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a build of three layers of the demo network under both recipes."""
    build = ("--network", "demo", "--recipe", "clear", "--recipe", "original", "--steps", "2", "--layers", ",".join(LAYERS))

    def make(folder: Path) -> None:
        for command in (("build", folder / "dataset", *build), ("report", folder / "dataset", folder / "report")):
            ended = amaxds(*command)
            assert ended.returncode == 0, ended.stderr

    return made_once(tmp_path_factory, "page", make) / "report"


@pytest.fixture(scope="module")
def tab() -> Iterator[Page]:
    """One tab of a browser for all tests, with a touch screen and a clipboard."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(has_touch=True, permissions=["clipboard-read", "clipboard-write"])
        yield context.new_page()
        browser.close()


@pytest.fixture(scope="module")
def address(folder: Path) -> str:
    return (folder / "index.html").as_uri()


@pytest.fixture
def page(tab: Page, address: str) -> Iterator[Page]:
    """The page; at the end, that nothing was complained of in its console, and nothing was asked of any network."""
    complaints: list[str] = []
    heard = {
        "console": lambda message: complaints.append(message.text),
        "pageerror": lambda error: complaints.append(str(error)),
        "requestfailed": lambda request: complaints.append(request.url),
        "request": lambda request: request.url.startswith(("file:", "data:")) or complaints.append(request.url),
    }
    tab.goto("about:blank")
    for event, hear in heard.items():
        tab.on(event, hear)  # type: ignore[call-overload]  # one of the events above
    tab.set_viewport_size({"width": 1280, "height": 900})
    tab.goto(address)
    yield tab
    for event, hear in heard.items():
        tab.remove_listener(event, hear)
    assert complaints == []
