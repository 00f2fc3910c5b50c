"""An image of the report's page that was opened: what is shown of it, and how one comes to others and back."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from support.report_page import CHROMIUM
from support.report_page import records as records_of

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: install the package chromium")


def test_an_image_opens_with_its_record_its_histogram_and_those_most_alike(page: Page, folder: Path) -> None:
    page.get_by_label("Search", exact=True).fill("block3/7")
    page.get_by_role("button", name="block3_conv1 filter 7").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", level=2)).to_have_text("block3_conv1, filter 7")
    for recipe in ("clear", "original"):
        article = dialog.get_by_role("article", name=recipe)
        expect(article.locator("polyline")).to_have_count(3)
        expect(article.locator(".neighbours button")).to_have_count(6)
        picture = article.get_by_role("img", name=f"{recipe} image of block3_conv1 filter 7")
        side = {"clear": 112, "original": 88}[recipe]
        assert picture.evaluate("image => image.complete && image.naturalWidth") == side
        expect(picture).to_have_css("width", f"{side * (480 // side)}px")
        records = records_of(folder, recipe, "block3_conv1")
        expect(article).to_contain_text(re.compile(rf"{records['activation_rank'][7]}(st|nd|rd|th) of 32"))
        expect(article).to_contain_text(re.compile(r"\d\.\d+, from \d\.\d+"))
        expect(article.get_by_text("pixels_sha256")).to_be_hidden()
        article.get_by_text("Whole record").click()
        names, values = (article.locator(f".record {each}").all_inner_texts() for each in ("dt", "dd"))
        listed = dict(zip(names, values, strict=True))
        assert float(listed["uniformity_index"]) == pytest.approx(records["uniformity_index"][7], rel=1e-4)
        assert re.fullmatch(r"[0-9a-f]{64}", listed["pixels_sha256"])
        # From the disk, a browser shows the file instead of copying it: beside the page, not in its place.
        link = article.get_by_role("link", name="Download")
        assert link.get_attribute("download") == f"{recipe}-block3_conv1-7.png"
        with page.expect_popup() as shown:
            link.click()
        assert shown.value.url == (folder / f"images/{recipe}/block3_conv1/filter-7.png").as_uri()
        shown.value.close()
    neighbour = dialog.locator(".neighbours button").first
    name = neighbour.get_attribute("aria-label") or ""
    neighbour.click()
    expect(dialog.get_by_role("heading", level=2)).to_have_text(name.replace(" filter", ", filter"))
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_be_hidden()


def test_what_arrives_late_of_one_layer_is_not_shown_beside_an_image_of_another(page: Page) -> None:
    page.evaluate(
        """() => {
            window.held = [];
            window.append = document.head.append.bind(document.head);
            document.head.append = (script) => (script.src.includes("block3") ? held.push(script) : append(script));
        }"""
    )
    page.get_by_label("Search", exact=True).fill("block3/0")
    page.get_by_role("button", name="block3_conv1 filter 0").click()
    page.get_by_label("Search", exact=True).evaluate("field => { field.value = ''; field.dispatchEvent(new Event('input')) }")
    page.get_by_role("dialog").get_by_role("button", name="Previous").click()
    article = page.get_by_role("dialog").get_by_role("article", name="clear")
    expect(page.get_by_role("dialog").get_by_role("heading", level=2)).to_have_text("block1_conv1, filter 7")
    expect(article.locator("polyline")).to_have_count(3)
    before = article.inner_html()
    loaded = """script => new Promise(done => {
        const show = script.onload;
        script.onload = () => { show(); requestAnimationFrame(() => done(script.src)); };
        append(script);
    })"""
    for recipe, place in (("clear", 0), ("original", 1)):
        script = page.evaluate_handle("place => held[place]", place)
        assert page.evaluate(loaded, script).endswith(f"details/{recipe}-block3_conv1.js")
    assert article.inner_html() == before


def test_a_link_opens_one_filter_and_back_closes_it(page: Page, address: str) -> None:
    dialog, title = page.get_by_role("dialog"), page.get_by_role("dialog").get_by_role("heading", level=2)
    link = f"{address}#block4_conv1/5?search=block*&sort=index&descending=true"
    page.goto("about:blank")
    page.goto(link)
    expect(title).to_have_text("block4_conv1, filter 5")
    expect(page).to_have_title("block4_conv1/5 · What 104 filters of demo look for")
    dialog.get_by_role("button", name="Copy link").click()
    expect(dialog.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == page.url
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_be_hidden()
    expect(page.get_by_label("Sort by")).to_have_value("index")
    expect(page.get_by_label("descending")).to_be_checked()
    page.get_by_label("Search", exact=True).fill("block3_*")
    page.get_by_role("button", name="block3_conv1 filter 9").click()
    opened = f"{address}#block3_conv1/9?search=block3_*&sort=index&descending=true"
    expect(page).to_have_url(opened)
    page.go_back()
    expect(dialog).to_be_hidden()
    page.go_forward()
    expect(title).to_have_text("block3_conv1, filter 9")
    page.reload()
    expect(title).to_have_text("block3_conv1, filter 9")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    # The strip leads to a layer that the search had left out, and an address that is followed to another one.
    page.get_by_role("navigation", name="Layers").get_by_role("link", name="block4_conv1").click()
    expect(page.locator("#of-block4_conv1")).to_be_in_viewport()
    expect(page.locator("#of-block4_conv1")).to_be_focused()
    expect(page).to_have_url(f"{address}#block4_conv1")
    page.goto(f"{address}#block1_conv1")
    expect(page.locator("#of-block1_conv1")).to_be_in_viewport()


def test_buttons_and_swipes_lead_to_the_images_beside(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.get_by_label("Sort by")).to_be_hidden()
    page.get_by_role("button", name="Search and sort").click()
    page.get_by_label("Search", exact=True).fill("block3_*/3,8,20")
    page.get_by_role("button", name="Search and sort").click()
    page.get_by_role("button", name="block3_conv1 filter 3").tap()
    dialog, title = page.get_by_role("dialog"), page.get_by_role("dialog").get_by_role("heading", level=2)
    expect(title).to_have_text("block3_conv1, filter 3")
    expect(dialog.get_by_role("button", name="Previous")).to_be_disabled()
    dialog.get_by_role("button", name="Next").tap()
    expect(title).to_have_text("block3_conv1, filter 8")
    for across, down, filter in [(-150, 10, 20), (-150, 0, 20), (0, -150, 20), (60, -150, 20), (150, 20, 8), (-20, 0, 8)]:
        _swipe(page, across, down)
        expect(title).to_have_text(f"block3_conv1, filter {filter}")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def _swipe(page: Page, across: int, down: int) -> None:
    session = page.context.new_cdp_session(page)
    for step in range(6):
        point = {"x": 200 + across * step / 5, "y": 400 + down * step / 5}
        session.send("Input.dispatchTouchEvent", {"type": "touchMove" if step else "touchStart", "touchPoints": [point]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    session.detach()
