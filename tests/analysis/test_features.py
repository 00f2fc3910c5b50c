"""Features against ordinary Keras layers, and what they must not depend on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from amaxds.analysis.features import network_features
from amaxds.builds.own_weights import own_weights
from amaxds.dataset.build_info import BuildInfo
from amaxds.dataset.build_reader import require_build_info
from amaxds.image import Pixels, decode_png
from amaxds.spec.network import DEMO
from support import naive
from support.folders import read_rows

pytestmark = pytest.mark.usefixtures("_backend")


@pytest.fixture(scope="module")
def info(small: Path) -> BuildInfo:
    return require_build_info(small)


@pytest.fixture(scope="module")
def images(small: Path) -> list[Pixels]:
    return [decode_png(row["image"]["bytes"]) for _, row in sorted(read_rows(small).items())]


def test_features_are_the_mean_outputs_of_all_layers(info: BuildInfo, images: list[Pixels]) -> None:
    weights = own_weights(info)
    found = network_features(info, weights, images[:3])
    model, x = naive.naive_model(weights.tensors, "block5_conv3"), DEMO.preprocess(np.stack(images[:3]))
    expected = []
    for layer in model.layers[1:]:
        x = layer(x)
        if layer.name in {each.name for each in DEMO.layers}:
            expected.append(np.asarray(x).mean(axis=(1, 2)))
    np.testing.assert_allclose(found, np.concatenate(expected, axis=1), rtol=1e-4, atol=1e-5)


def test_features_of_an_image_do_not_depend_on_the_others(info: BuildInfo, images: list[Pixels]) -> None:
    weights = own_weights(info)
    together = network_features(info, weights, images, workers=2)
    for place in (0, 11, len(images) - 1):
        among_others = [images[(place + 5) % len(images)]] * len(images)
        among_others[place] = images[place]
        np.testing.assert_array_equal(network_features(info, weights, among_others, workers=1)[place], together[place])
