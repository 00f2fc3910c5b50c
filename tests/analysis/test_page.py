"""The report's page in Chromium, opened from the disk as a visitor opens it."""

from __future__ import annotations

import html
import io
import re
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Page, expect
from safetensors.numpy import load_file, save_file

from amaxds.image import encode_png
from amaxds.spec.network import VGG16
from amaxds.spec.recipes import ORIGINAL
from support.commands import ROOT, amaxds
from support.report_page import CHROMIUM, LAYERS
from support.report_page import records as records_of

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: install the package chromium")
DEMO_WEIGHTS = ROOT / "builder" / "amaxds" / "data" / "demo.safetensors"


def _tiles(page: Page, layer: str) -> list[int]:
    """The filters of a layer as they are shown."""
    return [int(number) for number in page.locator(f"section[aria-labelledby=of-{layer}] .number").all_text_contents()]


def test_pictures_are_shown_beside_each_other_and_fetched_only_when_near(page: Page) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text("What 104 filters look for")
    first = page.locator("main .tile").first.locator(".thumb")
    expect(first).to_have_count(2)
    for place, recipe in enumerate(("clear", "original")):
        expect(first.nth(place)).to_have_css("background-image", re.compile(rf"sprites/{recipe}-block1_conv1-0\.jpg"))
        # A picture, not an empty frame: it has many colours besides those of the number that is written on it.
        first.nth(place).scroll_into_view_if_needed()
        with Image.open(io.BytesIO(first.nth(place).screenshot())) as shot:
            upper = np.asarray(shot.convert("RGB"))[: shot.height // 2].reshape(-1, 3)
        assert len(np.unique(upper, axis=0)) > 50
        above, below = page.locator(".names i").nth(place).bounding_box(), first.nth(place).bounding_box()
        assert above
        assert below
        assert abs(above["x"] - below["x"]) < 2, "the recipe is named over its column"
    right = page.locator("main .tile").nth(page.locator(".names").first.locator("span").count() - 1).bounding_box()
    assert right
    assert 1220 < right["x"] + right["width"] < 1260, "the grid fills the width"
    page.set_viewport_size({"width": 800, "height": 200})
    page.reload()
    shown, every = page.locator("main .thumb[style*=background-image]"), page.locator("main .thumb")
    expect(every).to_have_count(2 * 104)
    page.locator("main .tile").first.scroll_into_view_if_needed()
    expect(shown).not_to_have_count(0)
    assert shown.count() < every.count()
    page.get_by_role("button", name="block4_conv1 filter 63").scroll_into_view_if_needed()
    last = page.locator("main .thumb").last
    expect(last).to_have_css("background-image", re.compile(r"sprites/original-block4_conv1-1\.jpg"))
    expect(page.locator("output")).to_have_text("104 of 104 filters")


def test_recipes_are_named_over_their_pictures_whatever_was_chosen_before(page: Page) -> None:
    page.get_by_role("checkbox", name="clear").uncheck()
    expect(page.locator(".names").first.locator("span").first).to_have_text("original")
    page.get_by_role("checkbox", name="clear").check()
    named, pictures = page.locator(".names").first.locator("span").first.locator("i"), page.locator("main .tile").first
    expect(named).to_have_text(["clear", "original"])
    for place, recipe in enumerate(("clear", "original")):
        expect(pictures.locator(".thumb").nth(place)).to_have_css("background-image", re.compile(f"sprites/{recipe}-"))


def test_one_filter_is_shown_first_that_one_recipe_wakes_and_another_does_not(page: Page, folder: Path) -> None:
    clear, original = (records_of(folder, recipe, "block4_conv1") for recipe in ("clear", "original"))
    woken = [place for place in range(64) if (clear["status"][place], original["status"][place]) == ("alive", "dead")]
    due = min(woken, key=lambda place: clear["uniformity_index"][place])
    first = page.get_by_role("button", name=f"Open block4_conv1 filter {due}, dead under original")
    for picture in first.locator("img").all():
        assert picture.evaluate("image => image.complete && image.naturalWidth") > 80
    expect(first).to_contain_text(re.compile(r"clear activation \d\.\d+, from -?\d\.\d+.*original dead: the noise", re.DOTALL))
    expect(page.locator(".recipes li")).to_have_text([re.compile("^clear builds"), re.compile("^original changes")])
    first.click()
    expect(page.get_by_role("dialog").get_by_role("heading", level=2)).to_have_text(f"block4_conv1, filter {due}")


def test_figures_are_opened_from_the_top_with_their_captions(page: Page) -> None:
    page.get_by_text("Figures: uniformity index of every filter · which colours the images have · what").click()
    figures = page.get_by_role("figure")
    expect(figures).to_have_count(5)
    expect(figures.nth(1)).to_contain_text("Which colours the images have, clear")
    page.wait_for_function("document.querySelector('.figures img').naturalWidth > 800")
    expect(figures.first.locator("img")).to_be_in_viewport(ratio=0.5)


@pytest.mark.parametrize(
    ("title", "column"),
    [("uniformity index", "uniformity_index"), ("activation", "activation"), ("place in its layer", "activation_rank")],
)
def test_sorting_orders_each_layer_or_all(page: Page, folder: Path, title: str, column: str) -> None:
    page.get_by_label("Sort by").select_option(title)
    page.get_by_role("button", name="More").click()
    value = {}
    for descending in (False, True):
        page.get_by_label("descending").set_checked(descending)
        for layer in LAYERS:
            records = records_of(folder, "clear", layer)
            value |= {f"{layer}/{filter}": number for filter, number in zip(records["filter"], records[column], strict=True)}
            shown = _tiles(page, layer)
            assert sorted(shown) == records["filter"]
            values = [value[f"{layer}/{filter}"] for filter in shown]
            assert values == sorted(values, reverse=descending)
    page.get_by_label("across layers").check()
    expect(page.get_by_role("heading", level=2)).to_have_text(re.compile(f"^All layers by {title}"))
    mixed = page.locator("main .number").all_text_contents()
    assert sorted(mixed) == sorted(value)
    assert [value[each] for each in mixed] == sorted(value.values(), reverse=True)


def test_status_ranges_recipe_and_search_choose_what_is_shown(page: Page, folder: Path) -> None:
    page.get_by_role("button", name="More").click()
    search, status = page.get_by_label("Search", exact=True), page.get_by_label("Status")
    search.fill("block4_conv1")
    expect(page.locator("main section")).to_have_count(1)
    page.get_by_label("clear", exact=True).uncheck()
    assert page.locator(".tile").first.locator(".thumb").count() == 1
    status.select_option("dead")
    records = records_of(folder, "original", "block4_conv1")
    dead = [filter for filter, status in zip(records["filter"], records["status"], strict=True) if status == "dead"]
    assert dead
    assert _tiles(page, "block4_conv1") == dead
    expect(page.locator(".thumb.dead .badge")).to_have_text(["dead"] * len(dead))
    status.select_option("all")
    least, most = np.quantile(records["uniformity_index"], [0.3, 0.6])
    page.get_by_label("Index from").fill(str(least))
    page.get_by_label("Index to").fill(str(most))
    within = [
        place for place, index in zip(records["filter"], records["uniformity_index"], strict=True) if least <= index <= most
    ]
    assert _tiles(page, "block4_conv1") == within
    page.get_by_label("Activation from").fill("1e9")
    expect(page.locator("output")).to_have_text("0 of 104 filters")
    page.locator("main").get_by_role("button", name="Show all").click()
    expect(page.locator("output")).to_have_text("104 of 104 filters")
    for text, shown in {
        "3": (1, 1, 1),
        "30-63": (0, 2, 34),
        "0-2, 6,40": (4, 4, 5),
        "block3": (0, 32, 0),
        "block[14]_*": (8, 0, 64),
        "*conv1,nothing": (8, 32, 64),
        "block?_conv": (0, 0, 0),
        "block[z-a]*": (0, 0, 0),
        "block4_conv1, block1_*/0-3,7": (5, 0, 5),
        "conv1/5": (1, 1, 1),
        "4_conv1/64-": (0, 0, 0),
    }.items():
        search.fill(text)
        assert tuple(len(_tiles(page, layer)) for layer in LAYERS) == shown, text


def test_images_that_were_only_described_are_called_that_and_few_dead_ones_are_said(tab: Page, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures" / "block3_conv1"
    pictures.mkdir(parents=True)
    for filter in range(256):
        (pictures / f"filter-{filter}.png").write_bytes(encode_png(np.full((174, 174, 3), filter, np.uint8)))
    noise = ORIGINAL.start(VGG16, 0, 0, 0)
    (pictures / "filter-7.png").write_bytes(encode_png(ORIGINAL.decode(VGG16, noise)))
    for command in (("describe", "pictures", "described"), ("report", "described", "report", "--no-neighbours")):
        ended = amaxds(*command, cwd=tmp_path)
        assert ended.returncode == 0, ended.stderr
    tab.goto((tmp_path / "report" / "index.html").as_uri())
    strip = tab.get_by_role("navigation", name="Layers")
    expect(strip).to_contain_text("under 1 % dead")
    expect(tab.locator("header")).to_contain_text("is said to show what one filter of the network vgg16 looks for")
    expect(tab.locator("header")).not_to_contain_text("began as noise")
    expect(tab.locator("header")).not_to_contain_text("started from")


def test_everything_can_be_done_with_the_keyboard(page: Page) -> None:
    page.get_by_label("Search", exact=True).focus()
    for _ in range(5):
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


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.long)])
def test_nothing_stands_in_the_way_of_a_screen_reader(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.get_by_role("button", name="More").click()
    assert _violations(page) == []
    page.get_by_role("button", name="block4_conv1 filter 1", exact=True).or_(
        page.get_by_role("button", name="block4_conv1 filter 1,")
    ).click()
    expect(page.locator("polyline")).to_have_count(6)
    assert _violations(page) == []


def _violations(page: Page) -> list[str]:
    return [each["id"] for each in Axe().run(page, options={"preload": False}).response["violations"]]


RUN = "\"><img src=x onerror=document.title='run'>"


@pytest.mark.system
def test_names_of_folders_and_files_with_markup_are_text(tab: Page, tmp_path: Path) -> None:
    """Networks and layers of such names are refused before anything is made."""
    weights = {name: tensor * np.float32(1.25) for name, tensor in load_file(DEMO_WEIGHTS).items()}
    save_file(weights, tmp_path / f"w{RUN}.safetensors")
    few = ("--network", "demo", "--weights", tmp_path / f"w{RUN}.safetensors", "--steps", "1", "--filters", "0-1")
    for words in (
        ("build", tmp_path / f"d{RUN}", *few, "--layers", "block1_conv1"),
        ("report", tmp_path / f"d{RUN}", tmp_path / f"r{RUN}"),
    ):
        ended = amaxds(*words)
        assert ended.returncode == 0, ended.stderr
    page = tmp_path / f"r{RUN}"
    assert all(RUN in html.unescape((page / name).read_text()) for name in ("index.html", "gallery/data.js"))
    tab.goto((page / "index.html").as_uri())
    expect(tab.get_by_role("heading", level=1)).to_have_text("What 2 filters look for")
    expect(tab.locator("main .tile")).to_have_count(2)
    tab.locator("main .tile").first.click()
    expect(tab.get_by_role("dialog").get_by_role("heading", level=2)).to_have_text("block1_conv1, filter 0")
    assert tab.locator("img[src=x]").count() == 0
    assert tab.title() != "run"
