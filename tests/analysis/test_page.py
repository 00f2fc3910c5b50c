"""The report's page in Chromium, opened from the disk as a visitor opens it."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from support.commands import amaxds
from support.shared import made_once

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: install the package chromium")
LAYERS = ("block1_conv1", "block3_conv1", "block5_conv1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a build of three layers of the demo network under both recipes."""
    build = ("--network", "demo", "--recipe", "clear", "--recipe", "original", "--steps", "3", "--layers", ",".join(LAYERS))

    def make(folder: Path) -> None:
        for command in (("build", folder / "dataset", *build), ("report", folder / "dataset", folder / "report")):
            ended = amaxds(*command)
            assert ended.returncode == 0, ended.stderr

    return made_once(tmp_path_factory, "page", make) / "report"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, folder: Path) -> Iterator[Page]:
    """The page; at the end, that nothing was complained of in its console, and nothing was asked of any network."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(request.url))
    page.on("request", lambda request: None if request.url.startswith(("file:", "data:")) else complaints.append(request.url))
    page.goto((folder / "index.html").as_uri())
    yield page
    page.close()
    assert complaints == []


def _tiles(page: Page, layer: str) -> list[int]:
    """The filters of a layer as they are shown."""
    return [int(number) for number in page.locator(f"section[aria-labelledby=of-{layer}] .number").all_text_contents()]


def _records(folder: Path, recipe: str, layer: str) -> dict[str, list[float]]:
    data = json.loads((folder / "gallery/data.js").read_text().removeprefix("window.GALLERY = ").rstrip(";\n"))
    return dict(data["records"][recipe][layer])


def test_pictures_are_shown_beside_each_other_and_fetched_only_when_near(page: Page) -> None:
    first = page.locator(".tile").first.locator(".thumb")
    expect(first).to_have_count(2)
    for place, recipe in enumerate(("clear", "original")):
        expect(first.nth(place)).to_have_css("background-image", re.compile(rf"sprites/{recipe}-block1_conv1-0\.jpg"))
        # A picture, not an empty frame: it has many colours besides those of the number that is written on it.
        with Image.open(io.BytesIO(first.nth(place).screenshot())) as shot:
            upper = np.asarray(shot.convert("RGB"))[: shot.height // 2].reshape(-1, 3)
        assert len(np.unique(upper, axis=0)) > 50
    page.set_viewport_size({"width": 800, "height": 200})
    page.reload()
    shown, every = page.locator(".thumb[style*=background-image]"), page.locator(".thumb")
    expect(shown).not_to_have_count(0)
    assert shown.count() < every.count() == 2 * 104
    page.locator("footer").scroll_into_view_if_needed()
    last = page.locator(".thumb").last
    expect(last).to_have_css("background-image", re.compile(r"sprites/original-block5_conv1-1\.jpg"))
    expect(page.locator("output")).to_have_text("104 of 104 filters")


@pytest.mark.parametrize(
    ("title", "column"),
    [("uniformity index", "uniformity_index"), ("activation", "activation"), ("rank by own filter", "activation_rank")],
)
def test_sorting_orders_each_layer(page: Page, folder: Path, title: str, column: str) -> None:
    page.get_by_label("Sort by").select_option(title)
    for descending in (False, True):
        page.get_by_label("descending").set_checked(descending)
        for layer in LAYERS:
            records = _records(folder, "clear", layer)
            value = dict(zip(records["filter"], records[column], strict=True))
            shown = _tiles(page, layer)
            assert sorted(shown) == records["filter"]
            values = [value[filter] for filter in shown]
            assert values == sorted(values, reverse=descending)


def test_layer_status_recipe_and_search_choose_what_is_shown(page: Page, folder: Path) -> None:
    page.get_by_label("Layer").select_option("block5_conv1")
    assert page.locator("section").count() == 1
    page.get_by_label("clear", exact=True).uncheck()
    assert page.locator(".tile").first.locator(".thumb").count() == 1
    page.get_by_label("Status").select_option("dead")
    records = _records(folder, "original", "block5_conv1")
    dead = [filter for filter, status in zip(records["filter"], records["status"], strict=True) if status == "dead"]
    assert dead
    assert _tiles(page, "block5_conv1") == dead
    expect(page.locator(".thumb.dead")).to_have_count(len(dead))
    page.get_by_label("clear", exact=True).check()
    page.get_by_label("original", exact=True).uncheck()
    expect(page.locator("output")).to_have_text("0 of 104 filters")
    page.get_by_role("button", name="Show all").click()
    expect(page.locator("output")).to_have_text("104 of 104 filters")
    search = page.get_by_label("Filter", exact=True)
    for text, shown in {
        "3": (1, 1, 1),
        "30-63": (0, 2, 34),
        "block3": (0, 32, 0),
        "conv1/5": (1, 1, 1),
        "5_conv1/60-": (0, 0, 0),
    }.items():
        search.fill(text)
        assert tuple(len(_tiles(page, layer)) for layer in LAYERS) == shown, text


def test_an_image_opens_with_its_record_its_histogram_and_those_most_alike(page: Page, folder: Path) -> None:
    page.get_by_label("Filter", exact=True).fill("block3/7")
    page.get_by_role("button", name="block3_conv1 filter 7").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", level=2)).to_have_text("block3_conv1, filter 7")
    for recipe in ("clear", "original"):
        article = dialog.get_by_role("article", name=recipe)
        expect(article.locator("polyline")).to_have_count(3)
        expect(article.locator(".neighbours button")).to_have_count(6)
        picture = article.get_by_role("img", name=f"{recipe} image of block3_conv1 filter 7")
        assert picture.evaluate("image => image.complete && image.naturalWidth") == {"clear": 112, "original": 88}[recipe]
        records = _records(folder, recipe, "block3_conv1")
        listed = dict(zip(article.locator("dt").all_inner_texts(), article.locator("dd").all_inner_texts(), strict=True))
        assert listed["activation_rank"] == str(records["activation_rank"][7])
        assert float(listed["uniformity_index"]) == pytest.approx(records["uniformity_index"][7], rel=1e-4)
        assert re.fullmatch(r"[0-9a-f]{64}", listed["pixels_sha256"])
    local_copy = dialog.locator(".neighbours button").first
    name = local_copy.get_attribute("aria-label") or ""
    local_copy.click()
    expect(dialog.get_by_role("heading", level=2)).to_have_text(name.replace(" filter", ", filter"))
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_be_hidden()


def test_everything_can_be_done_with_the_keyboard(page: Page) -> None:
    page.get_by_label("Filter", exact=True).focus()
    for _ in range(8):
        page.keyboard.press("Tab")
    focused = "document.activeElement.getAttribute('aria-label')"
    assert page.evaluate(focused) == "block1_conv1 filter 0"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(focused) == "block1_conv1 filter 1"
    page.keyboard.press("End")
    assert page.evaluate(focused) == "block1_conv1 filter 7"
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "block3_conv1 filter 0", "one stop for each layer"
    page.keyboard.press("ArrowDown")
    below = int(page.evaluate(focused).rpartition(" ")[2])
    assert below > 1
    page.keyboard.press("Enter")
    heading = page.get_by_role("dialog").get_by_role("heading", level=2)
    expect(heading).to_have_text(f"block3_conv1, filter {below}")
    page.keyboard.press("ArrowRight")
    expect(heading).to_have_text(f"block3_conv1, filter {below + 1}")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert page.evaluate(focused) == f"block3_conv1 filter {below}", "the focus is back where it was"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_stands_in_the_way_of_a_screen_reader(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    assert _violations(page) == []
    page.locator(".tile").first.click()
    expect(page.locator("polyline")).to_have_count(6)
    assert _violations(page) == []


def _violations(page: Page) -> list[str]:
    return [each["id"] for each in Axe().run(page, options={"preload": False}).response["violations"]]
