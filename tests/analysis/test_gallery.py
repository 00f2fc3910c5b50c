"""The report's page: what is written for it, against the dataset."""

from __future__ import annotations

import hashlib
import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from amaxds.analysis.gallery import most_alike
from amaxds.image import decode_png
from support.folders import read_rows


def _data(report: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((report / "gallery" / "data.js").read_text().removeprefix("window.GALLERY = ")[:-2])
    return data


def test_the_page_has_every_record(small: Path, report: Path) -> None:
    data, rows = _data(report), read_rows(small)
    shown = {}
    for number, layer in enumerate(data["layers"]):
        columns = data["records"]["original"][layer]
        label = {"block1_conv1": 0, "block1_conv2": 1, "block2_conv1": 2}[layer]
        assert number == data["layers"].index(layer)
        for place, filter in enumerate(columns["filter"]):
            shown[label, filter] = {name: values[place] for name, values in columns.items()}
    assert shown.keys() == rows.keys()
    for key, row in rows.items():
        for column in ("activation", "activation_start", "activation_rank", "uniformity_index"):
            assert shown[key][column] == row[column]
        assert shown[key]["seed"] == str(row["seed"])


def test_the_page_has_every_image_as_it_is_stored(small: Path, report: Path) -> None:
    layers = {0: "block1_conv1", 1: "block1_conv2", 2: "block2_conv1"}
    for (label, filter), row in read_rows(small).items():
        path = report / "images" / "original" / layers[label] / f"filter-{filter}.png"
        assert path.read_bytes() == row["image"]["bytes"]


def test_sprites_show_the_images_in_their_places(small: Path, report: Path) -> None:
    with Image.open(report / "gallery" / "sprites" / "original-block1_conv2-0.jpg") as sheet:
        sprites = np.asarray(sheet.convert("RGB"), np.float64)
    rows = sorted((filter, row) for (label, filter), row in read_rows(small).items() if label == 1)
    images = np.stack([decode_png(row["image"]["bytes"]).astype(np.float64) for _, row in rows])
    side = images.shape[1]
    for place in range(len(images)):
        tile = sprites[:side, place * side : (place + 1) * side]
        assert np.abs(images - tile).mean(axis=(1, 2, 3)).argmin() == place


def test_everything_the_page_asks_for_is_beside_it(report: Path) -> None:
    page = (report / "index.html").read_text()
    assert "://" not in page
    for name in ("style.css", "vue.global.prod.js", "data.js", "records.js", "app.js", "preview.jpg"):
        assert f"gallery/{name}" in page
        assert (report / "gallery" / name).is_file()
    for figure in _data(report)["figures"]:
        with Image.open(report / f"{figure['name']}.png") as image:
            assert image.size == (figure["width"], figure["height"])
        assert "svg" in figure["kinds"]
        for kind in figure["kinds"]:
            assert (report / f"{figure['name']}.{kind}").is_file()


def test_a_shared_link_has_a_title_a_description_and_a_picture(report: Path) -> None:
    head = (report / "index.html").read_text().partition("</head>")[0]
    shown = dict(re.findall(r'<meta (?:name|property)="([^"]+)" content="([^"]*)">', head))
    data = _data(report)
    assert shown["og:title"] == f"What {data['filters']} filters of demo look for"
    assert shown["og:description"] == shown["description"]
    assert f"{data['images']} images" in shown["description"]
    with Image.open(report / shown["og:image"]) as preview:
        assert preview.size == (1200, 630)
        pixels = np.asarray(preview.convert("L"), np.float64)
    assert all(block.std() > 5 for half in np.split(pixels, 2) for block in np.split(half, 4, axis=1)), "pictures everywhere"


def test_the_strip_has_a_picture_of_each_layer(report: Path) -> None:
    data = _data(report)
    with Image.open(report / "gallery" / "sprites" / "strip-0.jpg") as sheet:
        strip = np.asarray(sheet.convert("RGB"), np.float64)
    side = strip.shape[1] // data["sprites"]["columns"]
    for place, layer in enumerate(data["layers"]):
        columns = data["records"]["original"][layer]
        alive = [number for number, status in enumerate(columns["status"]) if status == "alive"]
        chosen = columns["filter"][min(alive, key=lambda number: columns["uniformity_index"][number])]
        image = decode_png((report / "images" / "original" / layer / f"filter-{chosen}.png").read_bytes())
        assert np.abs(image - strip[:side, place * side : (place + 1) * side]).mean() < 20


def test_the_most_alike_point_the_same_way() -> None:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((4, 20))
    features = np.repeat(centres, 5, axis=0) + 0.01 * rng.standard_normal((20, 20))
    nearest = most_alike(features.astype(np.float32), 4)
    for place, near in enumerate(nearest):
        assert sorted(near) == [other for other in range(20) if other // 5 == place // 5 and other != place]


def test_vue_is_what_its_package_has() -> None:
    """dist/vue.global.prod.js of the package vue 3.5.45."""
    known = "0287592e25a077b6190b721db9903d253d936778dab50cbde0d6010c1f51d262"
    assert hashlib.sha256((resources.files("amaxds.analysis") / "page/vue.global.prod.js").read_bytes()).hexdigest() == known
