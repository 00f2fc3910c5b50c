"""Objectives beyond one filter, held against a plain Keras model of the same network."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

import amaxds
from amaxds.builds import on_demand
from amaxds.builds.synthesis import synthesise_objective
from amaxds.compute import tensorflow_programs
from amaxds.compute.networks import load_weights
from amaxds.compute.programs import Programs
from amaxds.objectives import Objective, channel, direction, diversity, neuron, unit
from amaxds.spec.network import DEMO
from amaxds.spec.recipes import get_recipe
from support.naive import naive_model

LAYER = "block3_conv1"


def made(objective: Objective, steps: int = 4, **options: object) -> amaxds.FilterImages:
    return amaxds.synthesise("demo", objective=objective, steps=steps, progress=False, **options)


@pytest.fixture(scope="module")
def outputs(_backend: str) -> keras.Model:
    """The layer's output before ReLU."""
    model = naive_model(dict(load_weights(DEMO, "pretrained", 0).tensors), LAYER)
    model.layers[-1].activation = keras.activations.linear
    return model


def seen(outputs: keras.Model, image: amaxds.FilterImage) -> np.ndarray:
    """What the layer makes of the saved image: (height, width, filters)."""
    return np.asarray(outputs(DEMO.preprocess(image.pixels[None])))[0]


def leaky(maps: np.ndarray) -> np.ndarray:
    return np.maximum(maps, 0.1 * maps)


def means(maps: np.ndarray) -> np.ndarray:
    return leaky(maps)[2:-2, 2:-2].mean(axis=(0, 1))


def test_the_value_of_a_sum_is_that_of_the_plain_network_and_rises(outputs: keras.Model, here: None) -> None:
    vector = np.random.default_rng(0).normal(size=32)
    parts = channel(LAYER, 5) - 0.5 * channel(LAYER, 2), 2 * neuron(LAYER, 7, 3, 20), neuron(LAYER, 8), direction(LAYER, vector)
    objective = parts[0] + parts[1] + parts[2] + parts[3]
    image = made(objective)[0]
    maps = seen(outputs, image)
    one, other = (leaky(maps[place]) for place in ((3, 20, 7), (14, 14, 8)))
    values = means(maps)[5] - 0.5 * means(maps)[2], 2 * one, other, means((maps @ vector)[..., None])[0]
    assert min(map(abs, values)) > 0.1
    # The value is that of the image before it is made 8 bit.
    assert image.activation == pytest.approx(sum(values), abs=0.05)
    assert image.activation > image.activation_start + 0.2
    assert (image.layer, image.filter, image.status) == (str(objective), None, "alive")


@pytest.mark.parametrize(("recipe", "layer"), [("original", LAYER), ("clear", "block2_conv2")])
def test_a_channel_by_itself_is_the_image_of_the_filter(recipe: str, layer: str, here: None) -> None:
    """Up to rounding: the program is another one. Under `clear` the canvas wanders for that layer."""
    options = {"recipe": recipe, "steps": 1, "progress": False}
    image = amaxds.synthesise("demo", objective=channel(layer, 5), **options)[0]
    filter = amaxds.synthesise("demo", layer, 5, **options)[0]
    assert np.abs(image.pixels.astype(int) - filter.pixels).max() <= 1


def test_a_neuron_sees_a_small_part_of_the_picture(here: None) -> None:
    """Under `original` the parameters are the pixels: outside of the receptive field, 24 pixels in the middle, only their
    contrast changes."""
    image = made(neuron(LAYER, 5), recipe="original", steps=2, frames=2)[0]
    start, end = (np.asarray(each) for each in image.frames)
    inside = np.zeros(start.shape, bool)
    inside[30:62, 30:62] = True
    assert np.corrcoef(start[~inside], end[~inside])[0, 1] > 0.99
    assert np.corrcoef(start[inside], end[inside])[0, 1] < 0.9


@pytest.mark.system
def test_diverse_images_have_other_textures_than_those_made_alone(outputs: keras.Model, here: None) -> None:
    def likeness(strength: float) -> float:
        grams = []
        for image in made(diversity(LAYER, 5, images=3, strength=strength), steps=16):
            maps = np.maximum(seen(outputs, image), 0).reshape(-1, 32)
            grams.append((maps.T @ maps).ravel())
        return float(np.mean(np.corrcoef(grams)[np.triu_indices(3, 1)]))

    alone, apart = likeness(0.0), likeness(4.0)
    assert apart < alone - 0.02, (alone, apart)


def test_an_objective_says_what_it_is_made_of() -> None:
    parts = 2 * channel("a", 1) - 0.5 * neuron("b", 2, 3) + direction("c", [1.0, 2.0]) - unit("d", 4)
    assert str(parts) == "2 × a/1 - 0.5 × b/2 at 3,middle + direction in c - d/4"


def test_textures_are_compared_in_the_layer_that_was_named_wherever_it_stands_in_a_sum(here: None) -> None:
    alone, apart = channel("block1_conv1", 3), diversity("block1_conv2", 1, images=2, strength=50.0)
    unheeded = diversity("block1_conv2", 1, images=2, strength=0.0)
    found, without, elsewhere = (
        [image.pixels for image in made(alone + each, steps=2)] for each in (apart, unheeded, _in_layer("block1_conv1"))
    )
    assert not np.array_equal(found, without)
    assert not np.array_equal(found, elsewhere)
    assert [(alone + apart).diverse_layer, (apart - alone).diverse_layer, sum([apart, alone]).diverse_layer] == [
        "block1_conv2"
    ] * 3
    assert (apart + _in_layer("block1_conv2")).images == 2
    # Without strength nothing is compared in a layer.
    idle = diversity("block2_conv1", 2, images=3, strength=0.0)
    assert [(each.images, each.diverse_layer) for each in (apart + idle, idle + apart)] == [(3, "block1_conv2")] * 2
    with pytest.raises(amaxds.errors.UsageError, match="kept apart in block1_conv2 and in block1_conv1 at once"):
        apart + alone + _in_layer("block1_conv1")


@pytest.mark.usefixtures("_backend")
def test_a_neuron_is_found_in_an_output_that_is_not_square() -> None:
    keras.utils.set_random_seed(1)
    inputs = keras.Input((48, 48, 3))
    layer = keras.layers.Conv2D(3, 3, strides=(2, 1), padding="same", name="wide")
    model = keras.Model(inputs, layer(inputs), name="oblong")
    for place, objective in (((12, 24), neuron("wide", 1)), ((3, 40), neuron("wide", 1, 3, 40))):
        (image,) = amaxds.synthesise(model, objective=objective, steps=4)
        values = np.asarray(model(image.pixels[None].astype(np.float32)))[0, ..., 1]
        assert image.activation == pytest.approx(values[place], abs=1)
        assert values[place] > np.percentile(values, 95)
    with pytest.raises(amaxds.errors.UsageError, match="row 24, column 2") as raised:
        amaxds.synthesise(model, objective=neuron("wide", 1, 24, 2), steps=1)
    assert "Rows go from 0 to 23, columns to 47" in str(raised.value)


@pytest.mark.usefixtures("_backend")
def test_a_unit_that_is_called_twice_is_two() -> None:
    keras.utils.set_random_seed(1)
    inputs = keras.Input((24, 24, 3))
    first = keras.layers.Conv2D(3, 3, name="first")(keras.layers.Rescaling(1 / 255)(inputs))
    head = keras.layers.Dense(3, name="head")
    once = keras.ops.mean(head(first), axis=(1, 2))
    twice = head(once)
    model = keras.Model(inputs, [once, twice], name="again")
    for name, output in (("head", 0), ("head.2", 1)):
        (image,) = amaxds.synthesise(model, objective=unit(name, 1), steps=4)
        seen = np.asarray(model(image.pixels[None].astype(np.float32))[output])[0, 1]
        assert image.activation == pytest.approx(seen, abs=0.02)
        assert abs(image.activation - image.activation_start) > 0.05
    with pytest.raises(amaxds.errors.UsageError, match=r"no dense layer 'head\.3'.*\n.*head, head\.2"):
        amaxds.synthesise(model, objective=unit("head.3", 1), steps=1)


@pytest.mark.usefixtures("_backend")
def test_a_convolution_and_a_unit_of_one_name_are_not_taken_for_each_other() -> None:
    """The second call of the Dense layer is named as the convolution is."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((24, 24, 3))
    head = keras.layers.Dense(3, name="head")
    maps = keras.layers.Rescaling(100)(head(head(keras.layers.Conv2D(3, 3, name="first")(inputs))))
    convolution = keras.layers.Conv2D(3, 3, name="head.2")
    model = keras.Model(inputs, convolution(maps), name="named")
    (image,) = amaxds.synthesise(model, "head.2", 1, steps=4)
    seen = np.asarray(model(image.pixels[None].astype(np.float32)))[0, 2:-2, 2:-2, 1]
    assert image.activation == pytest.approx(np.maximum(seen, 0).mean(), rel=0.05)


def test_seeds_leave_room_for_the_images_that_are_made_together() -> None:
    with pytest.raises(amaxds.errors.UsageError, match="seeds 4 and 6 are too close for 3 images"):
        amaxds.synthesise("demo", objective=diversity("block1_conv1", 1, images=3), seed=[0, 6, 4], steps=1)


def _in_layer(layer: str) -> Objective:
    return diversity(layer, 1, images=2, strength=50.0)


@pytest.mark.parametrize("recipe", ["original", "clear"])
def test_an_objective_multiplied_by_a_number_gives_the_same_image(recipe: str, here: None) -> None:
    due = made(channel(LAYER, 5), recipe=recipe)[0]
    for factor in (1e-30, 1e-9, 3.0, 1e21):
        image = made(factor * channel(LAYER, 5), recipe=recipe)[0]
        assert np.array_equal(image.pixels, due.pixels)
        assert image.activation == pytest.approx(factor * due.activation, rel=1e-5)


@pytest.mark.parametrize(
    ("objective", "words"),
    [
        (channel("block3_conv9", 5), "no layer 'block3_conv9'.\nDid you mean 'block3_conv"),
        (channel(LAYER, 32), "filter 32 is out of range for block3_conv1 of demo.\nIt has filters 0 to 31."),
        (neuron(LAYER, 5, 28), "no output at row 28, column 14.\nRows go from 0 to 27"),
        (direction(LAYER, [1.0, 2.0]), "a direction of 2 numbers"),
    ],
    ids=["layer", "filter", "place", "direction"],
)
def test_what_the_network_does_not_have_is_refused(objective: Objective, words: str, here: None) -> None:
    with pytest.raises(amaxds.errors.UsageError) as raised:
        made(objective)
    assert words in str(raised.value)


@pytest.mark.usefixtures("_backend")
def test_weights_are_loaded_once_for_all_objectives_and_for_each_seed_that_they_are_drawn_from() -> None:
    for weights, loads in (("pretrained", 1), ("random", 2)):
        on_demand._programs.cache_clear()
        of = on_demand.NetworkChoice("demo", weights, None, None, "float32")
        wanted = on_demand.ImageChoice(("original",), None, None, (0, 1), 1, None)
        rows = on_demand.make_objective_images(of, wanted, [channel("block1_conv1", filter) for filter in range(4)], 2)
        assert [(row["seed"], row["layer"]) for row in rows] == [(s, f"block1_conv1/{f}") for s in (0, 1) for f in range(4)]
        assert on_demand._programs.cache_info().misses == loads


@pytest.mark.usefixtures("_backend")
def test_diverse_images_can_be_computed_in_bfloat16() -> None:
    programs = Programs(DEMO, load_weights(DEMO, "pretrained", 0), "bfloat16")
    rows = synthesise_objective(DEMO, programs, get_recipe("clear", 2), diversity("block1_conv2", 5, images=2), 0)
    assert [row["activation"] > row["activation_start"] for row in rows] == [True, True]


@pytest.mark.usefixtures("_backend")
def test_objectives_of_the_same_layers_share_programs_and_have_the_bits_of_one_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, traced = "block1_conv1", []
    monkeypatch.setattr(tensorflow_programs, "_drop_custom_gradients", traced.append)  # Once for each graph.
    objectives = (
        channel(layer, 1) - 0.5 * channel(layer, 2),
        channel(layer, 3) - 0.7 * direction(layer, range(8)),
        channel(layer, 1) - 0.5 * neuron(layer, 2),
        diversity(layer, 5, images=2),
        diversity(layer, 5, images=2, strength=0.3),
    )
    weights, recipe = load_weights(DEMO, "pretrained", 0), get_recipe("clear", 3)

    def rows(programs: Programs, objective: Objective) -> list[dict[str, object]]:
        return synthesise_objective(DEMO, programs, recipe, objective, 0)

    together = Programs(DEMO, weights)
    found = [rows(together, each) for each in objectives]
    kinds = [key.kind for key in together._programs]
    assert sorted(kinds) == ["render", "render", "step", "step", "step", "value", "value", "value"]
    assert len(traced) == len(kinds)
    for place in (1, 4):  # Those that found programs of others.
        assert found[place] == rows(Programs(DEMO, weights), objectives[place])
    assert len({row["pixels_sha256"] for several in found for row in several}) == 7


def test_objectives_are_summed_and_divided() -> None:
    parts = [channel("a", 1), neuron("b", 2), 3 * channel("a", 4)]
    assert sum(parts) == parts[0] + parts[1] + parts[2]
    assert sum(parts) / 2 == 0.5 * channel("a", 1) + 0.5 * neuron("b", 2) + 1.5 * channel("a", 4)
    for two in (np.float32(2), np.int64(2)):
        assert two * channel("a", 1) == channel("a", 1) * two == 2 * channel("a", 1)
        assert channel("a", 1) / two == 0.5 * channel("a", 1)


NO_OBJECTIVES = {
    "text times": (lambda: channel("a", 1) * "a", "factor 'a' is no number.", "such as 0.5"),
    "digits times": (lambda: "2" * channel("a", 1), "factor '2' is no number.", "such as 0.5"),
    "not a number times": (lambda: channel("a", 1) * float("nan"), "factor nan is out of range.", "3.4e+38"),
    "infinitely often": (lambda: float("inf") * channel("a", 1), "factor inf is out of range.", "3.4e+38"),
    "too large a weight": (lambda: 1e38 * (1e38 * channel("a", 1)), "weight 1e+76 is out of range.", "3.4e+38"),
    "true times": (lambda: True * channel("a", 1), "factor True is no number.", "such as 0.5"),
    "an array times": (lambda: np.array([1.0, 2.0]) * channel("a", 1), "factor array([1., 2.]) is no number.", "0.5"),
    "product": (lambda: channel("a", 1) * channel("a", 2), "is no number.", "such as 0.5"),
    "by nothing": (lambda: channel("a", 1) / 0, "a/1 cannot be divided by 0.", "another number"),
    "by text": (lambda: channel("a", 1) / "a", "divisor 'a' is no number.", "such as 0.5"),
    "plus one": (lambda: channel("a", 1) + 1, "1 is no objective.", "amaxds.objectives"),
    "one plus": (lambda: 1 + channel("a", 1), "1 is no objective.", "amaxds.objectives"),
    "minus one": (lambda: channel("a", 1) - 1, "1 is no objective.", "amaxds.objectives"),
    "no layer": (lambda: channel(5, 1), "5 is no name of a layer.", "'block5_conv3'"),
    "layer of a neuron": (lambda: neuron(None, 1), "None is no name of a layer.", "'block5_conv3'"),
    "layer of a direction": (lambda: direction(5, [1.0]), "5 is no name of a layer.", "'block5_conv3'"),
    "layer of a unit": (lambda: unit(5, 1), "5 is no name of a layer.", "'block5_conv3'"),
    "true filter": (lambda: channel("a", True), "filter True is no whole number.", "such as 5"),
    "half a row": (lambda: neuron("a", 1, 0.5), "row 0.5 is no whole number.", "such as 5"),
    "column in words": (lambda: neuron("a", 1, 0, "1"), "column '1' is no whole number.", "such as 5"),
    "half a unit": (lambda: unit("a", 0.5), "unit 0.5 is no whole number.", "such as 5"),
    "direction in words": (lambda: direction("a", "abc"), "'abc' is no direction.", "a number for each filter"),
    "ragged direction": (lambda: direction("a", [[1.0], [1.0, 2.0]]), "is no direction.", "a number for each filter"),
    "endless direction": (lambda: direction("a", [1.0, 1e39]), "of finite numbers", "a number for each filter"),
    "strength in words": (lambda: diversity("a", 1, strength="x"), "strength 'x' is no number.", "such as 0.5"),
    "no strength": (lambda: diversity("a", 1, strength=float("nan")), "strength nan is out of range.", "from 0 to"),
    "negative strength": (lambda: diversity("a", 1, strength=-1.0), "strength -1 is out of range.", "from 0 to"),
    "half an image": (lambda: diversity("a", 1, images=2.5), "images 2.5 is no whole number.", "such as 5"),
}


@pytest.mark.parametrize("case", NO_OBJECTIVES)
def test_what_makes_no_objective_is_refused_in_two_lines(case: str) -> None:
    make, problem, remedy = NO_OBJECTIVES[case]
    with pytest.raises(amaxds.errors.UsageError) as raised:
        make()
    assert problem in raised.value.problem
    assert remedy in raised.value.remedy


def test_what_is_no_objective_is_refused(here: None) -> None:
    with pytest.raises(amaxds.errors.UsageError, match="an objective has its own layers and filters"):
        amaxds.synthesise("demo", LAYER, objective=channel(LAYER, 5))
    with pytest.raises(amaxds.errors.UsageError, match="str is no objective"):
        made(["block3_conv1"])  # type: ignore[arg-type]
    with pytest.raises(amaxds.errors.UsageError, match="finite numbers, not all 0"):
        direction(LAYER, [0.0] * 32)
    with pytest.raises(amaxds.errors.UsageError, match="1 images are no diversity"):
        diversity(LAYER, 5, images=1)


def test_objectives_are_written_as_they_are_meant() -> None:
    assert str(channel("a", 1) - channel("b", 2)) == "a/1 - b/2"
    assert str(2 * neuron("a", 1) + -0.5 * direction("b", [1, 2])) == "2 × a/1 at middle,middle - 0.5 × direction in b"


def test_a_unit_of_a_head_is_the_models_own_logit(tmp_path: Path, here: None) -> None:
    convolution = keras.layers.Conv2D(8, 3, strides=2, activation="relu", name="first")
    head = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, activation="softmax", name="head")]
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Rescaling(1 / 255), convolution, *head])
    model.save(tmp_path / "headed.keras")
    options = {"steps": 4, "progress": False}
    image = amaxds.synthesise(tmp_path / "headed.keras", objective=unit("head", 2), **options)[0]
    model.layers[-1].activation = keras.activations.linear
    logit = np.asarray(model(image.pixels[None].astype(np.float32)))[0, 2]
    assert image.activation == pytest.approx(logit, abs=0.01)
    assert image.activation > image.activation_start
    with pytest.raises(amaxds.errors.UsageError, match=r"headed has no dense layer 'heat'\.\nDid you mean 'head'\?"):
        amaxds.synthesise(tmp_path / "headed.keras", objective=unit("heat", 2), **options)
    with pytest.raises(amaxds.errors.UsageError, match=r"unit 3 is out of range for head of headed\.\nIt has units 0 to 2"):
        amaxds.synthesise(tmp_path / "headed.keras", objective=unit("head", 3), **options)
    model.layers[-1].quantize("int8")
    with pytest.raises(amaxds.errors.UsageError, match=r"head of .* is quantised \(int8\)"):
        amaxds.synthesise(model, objective=unit("head", 2), **options)
    with pytest.raises(amaxds.errors.UsageError, match="there is no dense layer 'head'"):
        made(unit("head", 2))
