"""The report's page with as many images as VGG16 has under two recipes, in headless Chromium: first picture and scrolling.

The images are textures made here, 128x128, in every place that an image of a build would have: 4224 under each of two recipes.
Run as `python benchmarks/gallery.py > benchmarks/gallery.md`: some three minutes on 2 cores. With a report's folder and a
file, it takes the picture of that report for docs/guides/analysis.md: `python benchmarks/gallery.py report docs/gallery.jpg`.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from amaxds.analysis.figures import draw
from amaxds.analysis.gallery import write_page
from amaxds.analysis.report import write_layers
from amaxds.dataset.reader import DatasetReader, open_dataset
from amaxds.dataset.record import Row
from amaxds.spec.network import VGG16, Layer
from amaxds.spec.recipes import Recipe, get_recipe
from amaxds.storage.files import write_whole

SIDE, RUNS = 128, 5
FIRST_PICTURE = """() => new Promise((answer) => {
  const look = () => {
    const shown = document.querySelector("main .thumb[style*=background-image]");
    if (!shown) return requestAnimationFrame(look);
    const picture = new Image();
    picture.src = shown.style.backgroundImage.slice(5, -2);
    picture.decode().then(() => requestAnimationFrame(() => requestAnimationFrame(() => answer(performance.now()))));
  };
  look();
})"""
SCROLL = """(pixels) => new Promise((answer) => {
  const frames = [];
  let last = performance.now();
  const step = () => {
    const now = performance.now();
    frames.push(now - last);
    last = now;
    const before = window.scrollY;
    window.scrollBy(0, pixels);
    window.scrollY === before ? answer(frames.slice(1)) : requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
})"""


def textures(folder: Path) -> None:
    """4224 images with the spectrum of natural ones, which compress about as images of a build do."""
    random = np.random.default_rng(0)
    radius = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None]) + 1 / SIDE
    for layer in VGG16.layers:
        (folder / layer.name).mkdir(parents=True)
        for filter in range(layer.filters):
            noise = np.fft.rfft2(random.standard_normal((3, SIDE, SIDE))) / radius
            waves = np.fft.irfft2(noise, s=(SIDE, SIDE)).transpose(1, 2, 0)
            pixels = np.clip(128 + 60 * waves / waves.std(), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / layer.name / f"filter-{filter}.png")


def as_two_recipes(dataset: DatasetReader) -> DatasetReader:
    """The same images as if they were those of two recipes."""
    (only,) = dataset.info.recipes.values()
    recipes = {name: get_recipe(name) for name in ("clear", "original")}

    def rows(recipe: Recipe, layer: Layer, images: bool = True) -> list[Row]:
        return dataset.rows(only, layer, images)

    return DatasetReader(dataset.info.model_copy(update={"recipes": recipes}), rows)


def first_picture(browser: Browser, page: Path) -> float:
    """Milliseconds from the start of the navigation until the first picture is decoded and drawn, in a fresh context."""
    tab = browser.new_page(viewport={"width": 1280, "height": 900})
    tab.goto(page.as_uri(), wait_until="commit")
    tab.wait_for_function("() => window.Vue && document.querySelector('.tile')")
    found = float(tab.evaluate(FIRST_PICTURE))
    tab.close()
    return found


def scrolling(browser: Browser, page: Path) -> list[float]:
    """Milliseconds between frames while the whole page is scrolled through at 100 pixels a frame."""
    tab = browser.new_page(viewport={"width": 1280, "height": 900})
    tab.goto(page.as_uri())
    tab.wait_for_selector(".tile")
    frames = list(map(float, tab.evaluate(SCROLL, 100)))
    tab.close()
    return frames


def picture(browser: Browser, report: Path, out: Path) -> None:
    tab = browser.new_page(viewport={"width": 1280, "height": 960})
    tab.goto((report / "index.html").as_uri())
    tab.locator("img").first.wait_for()
    tab.wait_for_timeout(2000)
    out.parent.mkdir(exist_ok=True)
    tab.screenshot(path=str(out), type="jpeg", quality=85)


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        if len(sys.argv) == 3:
            picture(browser, Path(sys.argv[1]), Path(sys.argv[2]))
            return
        made, described, out = Path(temporary) / "made", Path(temporary) / "described", Path(temporary) / "report"
        textures(made)
        subprocess.run([sys.executable, "-m", "amaxds", "describe", made, described], stdout=subprocess.DEVNULL, check=True)
        with open_dataset(described) as opened:
            dataset = as_two_recipes(opened)
            layers, records = write_layers(dataset, out)
            figures = dict(draw(layers, None))
            for file, data in figures.items():
                write_whole(out / file, data)
            names = [file.removesuffix(".png") for file in figures if file.endswith(".png")]
            write_page(out, "vgg16-filter-activations", dataset.info, records, names)
        size = sum(path.stat().st_size for path in (out / "gallery").rglob("*") if path.is_file())
        firsts = sorted(first_picture(browser, out / "index.html") for _ in range(RUNS))
        frames = sorted(scrolling(browser, out / "index.html"))
        print("# The report's page with 2 x 4224 images\n")
        print(f"`python benchmarks/gallery.py`, headless Chromium {browser.version} without a GPU, window of 1280x900.\n")
        print("| what | measured |\n|---|---|")
        print(f"| records, sprites and program | {size / 1e6:.0f} MB, of which data.js {data_size(out):.1f} MB |")
        spread = f"median of {RUNS}; {firsts[0]:.0f} to {firsts[-1]:.0f}"
        print(f"| first picture drawn after | {statistics.median(firsts):.0f} ms ({spread}) |")
        share = sum(frame > 50 for frame in frames) / len(frames)
        quantiles = ", ".join(f"{np.quantile(frames, q):.0f}" for q in (0.5, 0.95, 0.99, 1))
        print(f"| frame times, scrolling through all of it | {quantiles} ms (median, 95%, 99%, longest of {len(frames)}) |")
        print(f"| frames over 50 ms | {share:.1%} |")


def data_size(report: Path) -> float:
    return (report / "gallery" / "data.js").stat().st_size / 1e6


if __name__ == "__main__":
    main()
