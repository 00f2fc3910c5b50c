"""The recipes' numbers, starts and decoding, and recipes read back from build.json."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Any

import numpy as np
import pytest
import scipy.fft

from amaxds.errors import UsageError
from amaxds.image import uniformity_index
from amaxds.spec.network import DEMO, VGG16, Network
from amaxds.spec.recipes import CLEAR, DESCRIBED, ORIGINAL, RECIPES, Recipe, get_recipe, read_recipe
from amaxds.spec.recipes.base import Wandering
from amaxds.spec.recipes.catalogue import MAX_STEPS
from support import naive


def test_start_is_the_documented_draw() -> None:
    sequence = np.random.SeedSequence(entropy=7, spawn_key=(4, 11))
    draw = np.random.Generator(np.random.Philox(sequence)).random((224, 224, 3), dtype=np.float32)
    start = ORIGINAL.start(VGG16, 7, 4, 11)
    assert start.dtype == np.float32
    assert np.array_equal(start, (draw - np.float32(0.5)) * np.float32(0.25))


def test_every_seed_layer_and_filter_starts_elsewhere() -> None:
    starts = [ORIGINAL.start(DEMO, *key) for key in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))]
    assert len({start.tobytes() for start in starts}) == 4


@pytest.mark.parametrize(("network", "side", "cut", "step"), [(VGG16, 174, 25, 10.0), (DEMO, 88, 12, 5.0)])
def test_lengths_follow_the_canvas(network, side: int, cut: int, step: float) -> None:
    assert (ORIGINAL.image_side(network), ORIGINAL.cut_pixels(network)) == (side, cut)
    assert ORIGINAL.step_length(network) == step


@pytest.mark.parametrize("network", [VGG16, DEMO], ids=lambda network: network.name)
@pytest.mark.parametrize("kind", ["noise", "edges", "nearly constant"])
def test_decoding_is_the_studys_to_the_last_bit(network, kind: str) -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(0.1, 1.0, (network.canvas, network.canvas, 3)).astype(np.float32)
    if kind == "edges":
        image[: network.canvas // 2] += 9
    if kind == "nearly constant":
        image = 0.3 + image * np.float32(1e-7)
    assert np.array_equal(ORIGINAL.decode(network, image), naive.naive_saved(image, ORIGINAL.cut_pixels(network)))


def test_a_dead_image_has_the_index_of_stretched_noise() -> None:
    image = ORIGINAL.decode(VGG16, ORIGINAL.start(VGG16, 0, 12, 3))
    assert len(np.unique(image)) == 133
    assert uniformity_index(image) == pytest.approx(123 / 255, abs=1e-3)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)
def test_digest_covers_every_setting(recipe: Recipe) -> None:
    digests = {recipe.digest}
    for field in dataclasses.fields(recipe):
        value = getattr(recipe, field.name)
        other = f"{value}!" if isinstance(value, str) else (not value if isinstance(value, bool) else value + 1)
        digests.add(dataclasses.replace(recipe, **{field.name: other}).digest)
    assert len(digests) == 1 + len(dataclasses.fields(recipe))
    assert get_recipe(recipe.name, 7).digest != recipe.digest


def test_clear_saves_the_whole_canvas() -> None:
    assert (CLEAR.image_side(VGG16), CLEAR.image_side(DEMO)) == (224, 112)
    image = np.linspace(0, 1, 112 * 112 * 3, dtype=np.float32).reshape(112, 112, 3)
    assert np.abs(CLEAR.decode(DEMO, image) / 255 - image).max() <= 0.5 / 255 + 1e-6


def test_transformations_end_before_the_last_third_of_the_steps() -> None:
    schedule = CLEAR.schedule(VGG16, 0, 3, 5)
    assert schedule.shape == (CLEAR.steps, 7)
    still = schedule[-(-CLEAR.steps * 2 // 3) :]
    assert not still[:, :2].any()
    assert (still[:, 2] == 1).all()
    assert 1 < np.abs(schedule[: CLEAR.steps // 3, :2]).max() <= CLEAR.shift
    assert np.array_equal(schedule, CLEAR.schedule(VGG16, 0, 3, 5))
    assert not np.array_equal(schedule, CLEAR.schedule(VGG16, 0, 3, 6))


@pytest.mark.parametrize("recipe", [*RECIPES.values(), DESCRIBED], ids=lambda recipe: recipe.name)
def test_a_recipe_is_read_back_from_its_settings(recipe: Recipe) -> None:
    assert read_recipe(recipe.settings()) == recipe


@pytest.mark.parametrize(
    "change",
    [
        {"steps": 56.0},
        {"steps": "56"},
        {"steps": True},
        {"step_size": 1},
        {"step_size": None},
        {"step_size": math.nan},
        {"step_size": math.inf},
        {"objective": 1},
    ],
    ids=str,
)
def test_a_setting_of_another_kind_is_no_recipe_even_with_a_digest_of_its_own(change: dict[str, Any]) -> None:
    (setting, value), known = *change.items(), type(getattr(CLEAR, *change)).__name__
    with pytest.raises(ValueError, match=f"^{re.escape(f'clear.{setting} is {value!r}, expected {known}')}$"):
        read_recipe(dataclasses.replace(CLEAR, **change).settings())


@pytest.mark.parametrize("steps", [0, -1, MAX_STEPS + 1])
def test_steps_out_of_range_are_no_recipe(steps: int) -> None:
    with pytest.raises(ValueError, match=rf"^clear\.steps is {steps}"):
        read_recipe(dataclasses.replace(CLEAR, steps=steps).settings())
    with pytest.raises(UsageError, match=f"steps {steps} is out of range"):
        get_recipe("clear", steps)


@pytest.mark.parametrize("steps", [1, MAX_STEPS])
def test_the_fewest_and_the_most_steps_are_allowed(steps: int) -> None:
    assert read_recipe(get_recipe("clear", steps).settings()).steps == steps


def test_clear_steps_as_adam_does_until_half_way_and_then_less_along_a_cosine() -> None:
    step = np.arange(CLEAR.steps)
    pace, correction = CLEAR.schedule(VGG16, 0, 3, 5)[:, 3:5].T
    corrected = pace * (1 - 0.9 ** (step + 1))
    assert corrected[: CLEAR.steps // 2 + 1] == pytest.approx(CLEAR.step_size, rel=1e-6)
    assert corrected[CLEAR.steps * 3 // 4] == pytest.approx(CLEAR.step_size / 2, rel=1e-6)
    assert 0 < corrected[-1] < CLEAR.step_size / 100
    assert (np.diff(corrected[CLEAR.steps // 2 :]) < 0).all()
    assert correction * (1 - 0.999 ** (step + 1)) == pytest.approx(1.0, rel=1e-6)


@pytest.mark.usefixtures("_backend")
def test_clear_is_a_weighted_cosine_transform_in_lucids_colours() -> None:
    """SciPy's: the orthonormal transform, weights that fall with frequency to the power of 0.8, and a sigmoid. The picture goes
    on for 20 pixels beyond each border of the canvas, and so far the canvas may wander."""
    count, side = CLEAR.coefficients(DEMO), 112 + 2 * 20
    assert count == round(side * 72 / 112)
    parameters = np.random.default_rng(0).normal(0, 0.1, (3, count, count)).astype(np.float32)
    colours = np.array([[0.26, 0.09, 0.02], [0.27, 0.0, -0.05], [0.27, -0.09, 0.03]])
    weights = np.maximum(np.hypot(*np.indices((count, count))), 1) ** -0.8
    transform = np.zeros((3, side, side))
    transform[:, :count, :count] = parameters * weights / np.sqrt((weights**2).mean())
    channels = scipy.fft.idctn(transform, axes=(1, 2), norm="ortho").transpose(1, 2, 0)
    picture = 1 / (1 + np.exp(-1.4 * channels @ colours.T / np.linalg.norm(colours[:, 0])))
    found = np.asarray(CLEAR.render(DEMO, parameters[None]))[0]
    np.testing.assert_allclose(found, picture[20:132, 20:132], rtol=0, atol=1e-4)
    inputs = np.array([[0, 0, 1, 0, 0, -0.9, 0.35]], np.float32)
    wandered = np.asarray(CLEAR.render(DEMO, parameters[None], inputs, Wandering(14, 2)))[0]
    down, right = 2 * round(-0.9 * 7), 2 * round(0.35 * 7)
    np.testing.assert_allclose(wandered, picture[20 + down : 132 + down, 20 + right : 132 + right], rtol=0, atol=1e-4)


def test_the_canvas_wanders_by_a_receptive_field_where_that_is_small() -> None:
    found = {layer.name: CLEAR.wandering(VGG16, layer) for layer in VGG16.layers}
    assert found["block1_conv1"] == Wandering(3, 1)
    assert found["block2_conv2"] == Wandering(14, 2)
    assert found["block3_conv3"] == Wandering(40, 4)
    assert not any(found[layer.name] for layer in VGG16.layers if layer.name >= "block4")
    assert dataclasses.replace(CLEAR, surround=9.0).wandering(VGG16, VGG16.layer("block2_conv2")) == Wandering(8, 2)
    assert [CLEAR.wandering(DEMO, DEMO.layer(name)) for name in ("block2_conv2", "block3_conv1")] == [Wandering(14, 2), None]
    assert all(ORIGINAL.wandering(VGG16, layer) is None for layer in VGG16.layers)


def test_no_step_climbs_an_output_that_depends_on_the_zero_padding_where_the_canvas_wanders() -> None:
    margins = {layer.name: CLEAR.step_margin(VGG16, layer) for layer in VGG16.layers}
    assert [margins[f"block{name}"] for name in ("1_conv1", "1_conv2", "2_conv1", "2_conv2")] == [2, 2, 3, 4]
    assert [margins[f"block3_conv{number}"] for number in (1, 2, 3)] == [3, 4, 5]
    assert {margins[layer.name] for layer in VGG16.layers if layer.name >= "block4"} == {CLEAR.window_margin}
    assert {ORIGINAL.step_margin(VGG16, layer) for layer in VGG16.layers} == {ORIGINAL.window_margin}


def test_the_canvas_is_far_from_the_middle_more_often_than_near_it() -> None:
    places = np.concatenate([CLEAR.schedule(VGG16, 0, 3, filter)[:, 5:] for filter in range(100)])
    assert np.abs(places).max() <= 1
    assert (np.abs(places) > 0.5).mean() == pytest.approx(2 / 3, abs=0.02)
    assert places.mean(axis=0) == pytest.approx([0, 0], abs=0.03)


@pytest.mark.usefixtures("_backend")
@pytest.mark.parametrize("network", [VGG16, DEMO], ids=lambda network: network.name)
def test_clear_feeds_pictures_as_the_network_was_trained_to_see_them(network: Network) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3)).astype(np.uint8)
    fed = np.asarray(CLEAR.preprocess(network, pictures.astype(np.float32) / np.float32(255)))
    np.testing.assert_allclose(fed, network.preprocess(pictures), rtol=0, atol=1e-4)


def test_noise_is_known_by_its_pixels_but_for_a_few_rounded_otherwise() -> None:
    noise = ORIGINAL.decode(DEMO, ORIGINAL.start(DEMO, 5, DEMO.layer("block2_conv1").index, 3)).astype(np.int16)

    def shown(image: np.ndarray, filter: int = 3) -> bool | None:
        return ORIGINAL.shows_noise(DEMO, image.astype(np.uint8), 5, "block2_conv1", filter)

    assert shown(noise)
    assert not shown(noise, filter=4)
    few, away = noise.copy(), np.where(noise > 127, -1, 1)
    few[:, 0] += 2 * away[:, 0]
    few[4:, 0] = noise[4:, 0]
    assert shown(few)
    few[0, 0, 0] += away[0, 0, 0]
    assert not shown(few), "three steps apart"
    assert not shown(noise + away * (np.arange(noise.size).reshape(noise.shape) % 50 == 0)), "one in fifty apart"
    assert shown(noise + away * (np.arange(noise.size).reshape(noise.shape) % 150 == 0)), "one in 150 apart"


def test_the_settings_are_those_that_datasets_were_made_with() -> None:
    """A setting that is changed changes what people have downloaded: it belongs in CHANGELOG.md."""
    assert {recipe.name: recipe.digest for recipe in (CLEAR, ORIGINAL, DESCRIBED)} == {
        "clear": "d146b447ba80fa5a577605768a904d998e46f8f53999768dc57fe3018265c666",
        "original": "667deb2ff2a8e7001d74403465e271924681c7b10b64372f6ced01accec69fc4",
        "described": "250bd0cc77936842dfc5bfe6b6cff1d0afe05f8f4c092347ef6fdb4e0c309d37",
    }


def test_transformations_are_in_full_in_the_first_third_and_half_as_large_at_half_of_the_steps() -> None:
    largest = np.abs([CLEAR.schedule(VGG16, 0, 3, filter)[:, :2] for filter in range(100)]).max(axis=(0, 2)) / CLEAR.shift
    assert (largest[: CLEAR.steps // 3] > 0.9).all()
    assert (largest <= 1).all()
    assert largest[CLEAR.steps // 2] == pytest.approx(0.5, abs=0.05)
