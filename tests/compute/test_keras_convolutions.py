"""Which convolutions of a Keras model are made, and what they have seen of the image."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest
from keras import layers

from amaxds.builds.synthesis import synthesise
from amaxds.compute.networks import find_network
from amaxds.compute.programs import Programs
from amaxds.spec.network import description, network_of
from amaxds.spec.plan import Unit, make_plan
from amaxds.spec.recipes import get_recipe
from support.commands import amaxds
from support.models import loaded, saved

pytestmark = pytest.mark.usefixtures("_anew")

Tensor = Any
SYSTEM = pytest.mark.system
Check = Callable[..., None]
RECIPE = get_recipe("original", 1)


def _with_other_convolutions(path: Path) -> Path:
    inputs = keras.Input((32, 32, 3))
    x = layers.SeparableConv2D(4, 3, name="separable")(inputs)
    x = layers.Conv2D(4, 3, name="made")(layers.DepthwiseConv2D(3, name="depthwise")(x))
    x = layers.Conv2DTranspose(4, 3, strides=2, name="up")(x)
    framed = layers.TimeDistributed(layers.Conv2D(2, 3, name="each"), name="frames")(layers.Reshape((1, 53, 53, 4))(x))
    return saved(path, framed, inputs)[1]


LEFT_OUT = ("separable (SeparableConv2D)", "depthwise (DepthwiseConv2D)", "up (Conv2DTranspose)", "each (Conv2D)")


def test_convolutions_that_are_not_made_are_named_and_not_called_complete(tmp_path: Path) -> None:
    network = find_network(str(_with_other_convolutions(tmp_path / "other.keras")))
    assert [layer.name for layer in network.layers] == ["made"]
    assert sorted(network.left_out) == sorted(LEFT_OUT)
    assert network_of(json.loads(json.dumps({"name": "other", "canvas": 32} | description(network)))) == network
    assert not make_plan(network, ["clear"]).complete


def test_what_is_left_out_is_said_by_every_command(tmp_path: Path, assert_error: Check) -> None:
    file, folder = _with_other_convolutions(tmp_path / "other.keras"), tmp_path / "out"
    listed = amaxds("networks", file)
    planned = amaxds("build", folder, "--network", file, "--plan")
    built = amaxds("build", folder, "--network", file, "--steps", 1)
    assert (listed.returncode, planned.returncode, built.returncode) == (0, 0, 0)
    stored = json.loads((folder / "build.json").read_text())
    assert not stored["scope"]["complete"]
    assert sorted(stored["network"]["described"]["left_out"]) == sorted(LEFT_OUT)
    for text in (listed.stderr, planned.stdout, built.stderr, (folder / "README.md").read_text()):
        assert all(each in text for each in LEFT_OUT)
    publish = ("publish", folder, "--repo", "a/b", "--to", "huggingface", "--dry-run")
    assert_error(amaxds(*publish), 2, "partial build: left out of other, as", "Conv2DTranspose", "Allow to publish")
    shutil.rmtree(folder)
    assert amaxds("build", folder, "--network", file, "--steps", 1, "--filters", "0").returncode == 0
    assert_error(amaxds(*publish), 2, "partial build: it has 1 of 4 filters; left out", "Build all filters, or allow")


@pytest.mark.parametrize(("axis", "field"), [(-1, 5), (3, 5), ((1, 2), None), (1, None)])
def test_what_a_softmax_over_places_has_seen_is_the_whole_image(
    axis: int | tuple[int, int], field: int | None, tmp_path: Path
) -> None:
    inputs = keras.Input((24, 24, 3))
    weighted = layers.Softmax(axis=axis)(layers.Conv2D(3, 3, name="one")(inputs))
    _, path = saved(tmp_path / "weighted.keras", layers.Conv2D(4, 3, name="other")(weighted), inputs)
    assert [layer.receptive_field for layer in find_network(str(path)).layers] == [3, field]


def test_behind_a_layer_that_crops_images_move(tmp_path: Path) -> None:
    """The canvas does not wander there: no output of the layer is free of the padding around what was cropped."""
    inputs = keras.Input((96, 96, 3))
    first = layers.Conv2D(4, 9, padding="same", name="first")(layers.Cropping2D(40)(layers.Rescaling(1 / 255)(inputs)))
    _, path = saved(tmp_path / "cropped.keras", layers.Conv2D(4, 9, padding="same", name="last")(first), inputs)
    network, weights = loaded(path)
    layer, recipe = network.layer("last"), get_recipe("clear", 4)
    rows = synthesise(make_plan(network, ["clear"]), Programs(network, weights), Unit(recipe, layer, (0, 1), (0, 1)))
    assert all(row["activation"] > row["activation_start"] for row in rows)


def test_layers_that_are_too_small_for_the_canvas_are_said_by_every_command(tmp_path: Path, assert_error: Check) -> None:
    inputs = keras.Input((32, 32, 3))
    small = layers.Conv2D(6, 3, strides=8, padding="same", name="tiny")(layers.Conv2D(4, 3, name="large")(inputs))
    file, folder = saved(tmp_path / "two.keras", small, inputs)[1], tmp_path / "out"
    runs = [amaxds(*words) for words in (("networks", file), ("build", folder, "--network", file, "--plan"))]
    runs.append(amaxds("build", folder, "--network", file, "--steps", 1))
    card = (folder / "README.md").read_text()
    for text in (*(each.stdout + each.stderr for each in runs), card):
        assert "left out of two, as too small on a canvas of 32: tiny" in text
    assert "of the 10 filters of the network's Conv2D layers it holds 4" in card
    assert not json.loads((folder / "build.json").read_text())["scope"]["complete"]
    assert_error(amaxds("publish", folder, "--repo", "a/b", "--to", "huggingface", "--dry-run"), 2, "partial build", "tiny")
