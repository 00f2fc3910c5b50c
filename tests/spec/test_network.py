"""The networks that are known by heart."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from amaxds.spec.network import DEMO, PREPROCESSING, VGG16, Network


def test_networks_are_vgg16_and_its_eighth() -> None:
    assert (VGG16.filters, DEMO.filters) == (4224, 528)
    for wide, narrow in zip(VGG16.layers, DEMO.layers, strict=True):
        assert (narrow.name, narrow.filters * 8) == (wide.name, wide.filters)


def test_a_layer_is_usable_from_five_places_a_side() -> None:
    last = DEMO.layers[-1]
    assert [dataclasses.replace(last, side=side).usable for side in (4, 5)] == [False, True]
    assert (VGG16.layers[0].side, DEMO.layers[0].side, last.side) == (VGG16.canvas, DEMO.canvas, 7)


def test_receptive_fields_and_strides_are_the_known_ones() -> None:
    table = {layer.name: (layer.receptive_field, layer.stride) for layer in VGG16.layers}
    assert table["block1_conv1"] == (3, 1)
    assert table["block2_conv2"] == (14, 2)
    assert table["block3_conv3"] == (40, 4)
    assert table["block4_conv3"] == (92, 8)
    assert table["block5_conv3"] == (196, 16)


def test_costs_are_those_of_the_published_network() -> None:
    """VGG16's convolutions take 15 346 630 656 multiply-adds and have 13 547 520 outputs, the last 462 422 016 and 100 352."""
    last = VGG16.layers[-1]
    one_filter = 462_422_016 // 512
    assert last.operations == 2 * (15_346_630_656 - 462_422_016 + one_filter)
    assert last.values == 13_547_520 - 100_352
    assert (VGG16.layers[0].operations, VGG16.layers[0].values) == (2 * 27 * 224**2, 0)


@pytest.mark.parametrize("mode", PREPROCESSING)
def test_preprocessing_is_that_of_kerass_mode_of_the_same_name(mode: str) -> None:
    from keras.applications.imagenet_utils import preprocess_input

    images = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 3)).astype(np.uint8)
    network = Network("any", DEMO.layers, 112, *PREPROCESSING[mode], "random")
    plain = images.astype(np.float32)
    theirs = plain if mode == "none" else preprocess_input(plain.copy(), data_format="channels_last", mode=mode)
    np.testing.assert_allclose(network.preprocess(images), theirs, rtol=0, atol=1e-5)
