"""The compiled programs against the naive loop, and what must not change an image's bits."""

from __future__ import annotations

import dataclasses
import gc
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import ops

from amaxds.builds.synthesis import activation_ranks, layer_scores, synthesise
from amaxds.compute import backend, tensorflow_programs
from amaxds.compute.ascent import make_value
from amaxds.compute.networks import load_weights
from amaxds.compute.programs import Ascended, Programs
from amaxds.compute.weights import Weights
from amaxds.image import decode_png
from amaxds.spec.network import DEMO, VGG16, Layer, Network
from amaxds.spec.plan import PRECISIONS, make_plan
from amaxds.spec.recipes import CLEAR, ORIGINAL, RECIPES, Recipe, get_recipe
from support import naive
from support.commands import run_program

pytestmark = pytest.mark.usefixtures("_backend")


@pytest.fixture(scope="module")
def weights() -> Weights:
    return load_weights(DEMO, "pretrained", 0)


@pytest.fixture(scope="module")
def programs(weights: Weights) -> Programs:
    return Programs(DEMO, weights)


@pytest.mark.parametrize("name", ["jax", pytest.param("tensorflow", marks=pytest.mark.system)])
def test_programs_that_are_compiled_side_by_side_and_run_in_turn_give_the_same_bits(name: str) -> None:
    """As on a GPU, here on the CPU, under both recipes and in reduced precision."""
    fresh = {"KERAS_BACKEND": name, "JAX_ENABLE_COMPILATION_CACHE": "false"}
    found = {run_program("ascend_side_by_side.py", workers, **fresh).stdout for workers in (1, 5)}
    assert len(found) == 1
    assert len(found.pop().split()) == len(RECIPES) * len(PRECISIONS)


def test_operations_of_programs_keep_no_stack_of_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of VGG16's programs would take 1 GB for each recipe."""
    graphs: list[Any] = []
    monkeypatch.setattr(tensorflow_programs, "_drop_custom_gradients", graphs.append)
    assert backend.compiled(lambda x: x + x)(tf.ones((2,))).tolist() == [2.0, 2.0]
    (of_ours,) = graphs
    of_others = tf.function(lambda x: x + x, autograph=False).get_concrete_function(tf.ones((2,))).graph
    assert [each.traceback for each in of_ours.get_operations()] == [None] * 3
    assert all(each.traceback for each in of_others.get_operations())


def test_a_function_that_several_programs_call_keeps_its_gradient() -> None:
    """As of a layer with a function of its own, which is traced once."""
    inner = tf.function(lambda x: tf.nn.silu(x), autograph=False)
    x = tf.constant([1.0, 2.0])
    backend.compiled(inner)(x)
    _, gradient = backend.compiled(backend.value_and_gradient(inner))(x)
    sigmoid = 1 / (1 + np.exp(-np.array([1.0, 2.0])))
    np.testing.assert_allclose(gradient, sigmoid * (1 + np.array([1.0, 2.0]) * (1 - sigmoid)), rtol=1e-6)


def test_a_program_that_is_let_go_of_leaves_nothing_that_was_compiled(weights: Weights) -> None:
    """TensorFlow would keep what XLA compiled as long as the process lives."""

    def sessions() -> int:
        gc.collect()
        return sum(isinstance(each, tf.compat.v1.Session) for each in gc.get_objects())

    before, programs, recipe = sessions(), Programs(DEMO, weights), get_recipe("original", 1)
    for name in ("block1_conv1", "block1_conv2"):
        layer = DEMO.layer(name)
        _climb(programs, recipe, layer, (0,), _starts(DEMO, layer.index, (0,)))
        made = sessions()
        programs.forget(recipe, layer)
        assert made - sessions() >= 2, "those of a step and of scores"
    del programs
    assert sessions() == before


def test_programs_leave_nothing_of_their_gradients_with_tensorflow(weights: Weights) -> None:
    """It would keep each program's graph as long as the process lives."""
    before, layer, recipe = set(ops.gradient_registry.list()), DEMO.layer("block2_conv1"), get_recipe("original", 1)
    ended = _climb(Programs(DEMO, weights), recipe, layer, (0,), _starts(DEMO, layer.index, (0,)))
    assert ended.moved.all()
    assert set(ops.gradient_registry.list()) <= before


def _starts(network: Network, index: int, filters: tuple[int, ...], recipe: Recipe = ORIGINAL) -> np.ndarray:
    return np.stack([recipe.start(network, 0, index, filter) for filter in filters])


def _climb(programs: Programs, recipe: Recipe, layer: Layer, filters: tuple[int, ...], start: np.ndarray) -> Ascended:
    schedule = np.stack([recipe.schedule(programs.network, 0, layer.index, filter) for filter in filters])
    return programs.ascend(recipe, layer, filters, start, schedule.astype(start.dtype))


def _compute_in(dtype: str) -> None:
    """Keras decides on its policy once, by the first layer that is made, and does not ask floatx again."""
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)


def _naive_model(tensors: dict[str, np.ndarray], until: str, dtype: str) -> keras.Model:
    _compute_in(dtype)
    try:
        return naive.naive_model(tensors, until)
    finally:
        _compute_in("float32")


def _three_steps_apart(network: Network, weights: Weights, name: str, filters: tuple[int, ...], dtype: str) -> list[float]:
    """Relative distance between our image and the naive loop's after three steps, for every filter."""
    layer = network.layer(name)
    tensors = {key: value.astype(dtype) for key, value in weights.tensors.items()}
    start = _starts(network, layer.index, filters).astype(dtype)
    ours = _climb(Programs(network, Weights("test", tensors)), get_recipe("original", 3), layer, filters, start)
    model = _naive_model(tensors, name, dtype)
    distances = []
    for row, filter in enumerate(filters):
        image, losses, norms = naive.naive_ascent(model, filter, start[row], 3, 10.0 * network.canvas / 224)
        distances.append(float(np.linalg.norm(ours.images[row] - image) / np.linalg.norm(image)))
        assert ours.start_activation[row] == pytest.approx(losses[0], rel=1e-4, abs=1e-7)
        assert ours.moved[row] == any(norm > 0 for norm in norms)
    return distances


# In single precision the ascent is discontinuous: where the input of one ReLU lies within rounding of zero, two correct
# programs may take different branches, and one such unit among the millions of an evaluation moves the image by 1e-4 to
# 1e-1: single filters may differ, so single precision is held to by the median of a layer's. Double precision leaves no such
# units in these cases, so it shows whether the two compute the same thing.
@pytest.mark.parametrize(
    "layer",
    # The first layer and one in the middle; the last one with the matrices, the others with the whole builds.
    [
        pytest.param(layer, id=layer.name, marks={0: [], 4: [], 12: [pytest.mark.system]}.get(layer.index, [pytest.mark.long]))
        for layer in DEMO.layers
    ],
)
def test_three_steps_agree_with_the_naive_loop_in_every_layer(weights: Weights, layer: Layer) -> None:
    assert max(_three_steps_apart(DEMO, weights, layer.name, (0, 3, 5, 7), "float64")) < 1e-9


@pytest.mark.parametrize("name", ["block1_conv1", "block3_conv1", pytest.param("block5_conv3", marks=pytest.mark.system)])
def test_three_steps_agree_with_the_naive_loop_in_single_precision(weights: Weights, name: str) -> None:
    assert np.median(_three_steps_apart(DEMO, weights, name, (0, 3, 5, 7), "float32")) < 1e-4


@pytest.mark.system
@pytest.mark.parametrize(("name", "filter"), [pytest.param("block1_conv2", 9, marks=pytest.mark.long), ("block3_conv1", 100)])
def test_three_steps_agree_with_the_naive_loop_on_vgg16(name: str, filter: int) -> None:
    assert max(_three_steps_apart(VGG16, load_weights(VGG16, "random", 5), name, (filter,), "float64")) < 1e-9


@pytest.mark.system
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_thirty_steps_agree_with_the_naive_loop_to_a_grey_level(weights: Weights, dtype: str) -> None:
    """In double precision for each filter; in single precision, for the reason above, over the layer's filters together."""
    layer, filters = DEMO.layer("block1_conv2"), tuple(range(8))
    tensors = {key: value.astype(dtype) for key, value in weights.tensors.items()}
    start = _starts(DEMO, layer.index, filters).astype(dtype)
    ours = _climb(Programs(DEMO, Weights("test", tensors)), ORIGINAL, layer, filters, start)
    model = _naive_model(tensors, layer.name, dtype)
    close = []
    for row, filter in enumerate(filters):
        image, *_ = naive.naive_ascent(model, filter, start[row], 30, 5.0)
        saved = naive.naive_saved(image.astype(np.float32), cut=12)
        decoded = ORIGINAL.decode(DEMO, ours.images[row].astype(np.float32))
        assert decoded.shape == saved.shape == (88, 88, 3)
        close.append((np.abs(decoded.astype(int) - saved) <= 1).mean())
    assert np.mean(close) >= 0.99, close
    assert dtype == "float32" or min(close) >= 0.99, close


def test_activation_is_the_objective_of_the_final_image(programs: Programs, weights: Weights) -> None:
    layer = DEMO.layer("block2_conv1")
    ours = _climb(programs, get_recipe("original", 2), layer, (1,), _starts(DEMO, layer.index, (1,)))
    maps = naive.naive_model(weights.tensors, layer.name)(ours.images).numpy()
    assert ours.activation[0] == pytest.approx(maps[0, 2:-2, 2:-2, 1].mean(), rel=1e-4)


@pytest.mark.parametrize("name", RECIPES)
def test_an_image_has_the_same_bits_in_any_company(programs: Programs, name: str) -> None:
    layer = DEMO.layer("block4_conv2")
    recipe, filters = get_recipe(name, 5), tuple(range(8, 16))
    start = _starts(DEMO, layer.index, filters, recipe)
    full = _climb(programs, recipe, layer, filters, start).images
    again = _climb(programs, recipe, layer, filters, start).images
    company = start.copy()
    company[1:] = 0.0
    alone = _climb(programs, recipe, layer, (8,) * 8, company).images
    assert np.array_equal(full, again)
    assert np.array_equal(full[0], alone[0])


def test_dead_filters_keep_their_starting_noise(programs: Programs) -> None:
    layer = DEMO.layer("block5_conv2")
    filters = tuple(range(16))
    start = _starts(DEMO, layer.index, filters)
    ascent = _climb(programs, get_recipe("original", 2), layer, filters, start)
    assert 0 < ascent.moved.sum() < len(filters)
    for row, moved in enumerate(ascent.moved):
        assert np.array_equal(ascent.images[row], start[row]) != moved
        if not moved:
            assert ascent.activation[row] == ascent.start_activation[row]


@pytest.mark.parametrize("name", RECIPES)
def test_loop_inside_one_program_takes_the_same_steps(weights: Weights, name: str) -> None:
    """What a GPU runs, here on the CPU: the same numbers, though not the same bits."""
    layer, filters, recipe = DEMO.layer("block2_conv2"), (0, 1, 2, 3), get_recipe(name, 3)
    stepwise, looped = Programs(DEMO, weights), Programs(DEMO, weights, on_gpu=True)
    start = _starts(DEMO, layer.index, filters, recipe)
    one, other = (_climb(each, recipe, layer, filters, start) for each in (stepwise, looped))
    np.testing.assert_allclose(one.images, other.images, rtol=0, atol=1e-4)
    np.testing.assert_allclose(one.activation, other.activation, rtol=1e-3)
    assert np.array_equal(one.moved, other.moved)


@pytest.mark.parametrize("on_gpu", [pytest.param(False, marks=pytest.mark.system), True])
def test_reduced_precision_climbs_as_high_and_its_evidence_is_exact(programs: Programs, weights: Weights, on_gpu: bool) -> None:
    layer, filters, recipe = DEMO.layer("block3_conv1"), (0, 1, 2, 3), get_recipe("clear", 8)
    reduced = Programs(DEMO, weights, "bfloat16", on_gpu)
    start = _starts(DEMO, layer.index, filters, recipe)
    exact, found = (_climb(each, recipe, layer, filters, start) for each in (programs, reduced))
    assert np.array_equal(found.start_activation, exact.start_activation)
    assert found.images.dtype == np.float32
    assert not np.array_equal(found.images, exact.images)
    np.testing.assert_allclose(found.activation, exact.activation, rtol=0.1)


def test_ranks_are_those_of_a_plain_forward_pass(programs: Programs, weights: Weights) -> None:
    layer = DEMO.layer("block2_conv2")
    plan = make_plan(DEMO, ["original"], layers=layer.name, steps=4)
    rows = [row for unit in plan.units() for row in synthesise(plan, programs, unit)]
    images = [decode_png(row["image"]) for row in rows]
    ranks = activation_ranks(layer_scores(programs, ORIGINAL, layer, range(16), images, 8))
    maps = naive.naive_model(weights.tensors, layer.name)((np.stack(images).astype(np.float32) - 127.5) / 127.5)
    means = maps.numpy()[:, 2:-2, 2:-2].mean(axis=(1, 2))
    for filter, (rank, best) in enumerate(ranks):
        assert means[best, filter] == pytest.approx(means[:, filter].max(), rel=1e-4, abs=1e-6)
        clearly_better = (means[:, filter] > means[filter, filter] * (1 + 1e-4) + 1e-6).sum()
        perhaps_better = (means[:, filter] > means[filter, filter] * (1 - 1e-4) - 1e-6).sum() - 1
        assert 1 + clearly_better <= rank <= 1 + perhaps_better


def test_clear_wakes_the_filters_that_original_leaves_dead(programs: Programs) -> None:
    layer, filters = DEMO.layer("block5_conv2"), (4, 5, 6, 7)
    dead = _climb(programs, get_recipe("original", 1), layer, filters, _starts(DEMO, layer.index, filters))
    recipe = get_recipe("clear", 12)
    clear = _climb(programs, recipe, layer, filters, _starts(DEMO, layer.index, filters, recipe))
    assert not dead.moved.all()
    assert clear.moved.all()
    assert (clear.activation > 0).all()
    assert (clear.activation > 2 * clear.start_activation).all()


@pytest.mark.long
def test_clear_wakes_every_filter_of_an_untrained_vgg16() -> None:
    weights, recipe = load_weights(VGG16, "random", 1), get_recipe("clear", 2)
    programs = Programs(VGG16, weights)
    for name in ("block1_conv1", "block3_conv2"):
        layer = VGG16.layer(name)
        ended = _climb(programs, recipe, layer, (0, 7), _starts(VGG16, layer.index, (0, 7), recipe))
        assert ended.images.shape == (2, 224, 224, 3)
        assert ended.moved.all(), name


def test_clear_renders_the_cosine_series_it_documents(programs: Programs) -> None:
    """Against a plain sum over frequencies, shifted by whole pixels where the basis says so."""
    rng, count = np.random.default_rng(0), CLEAR.coefficients(DEMO)
    parameters = np.zeros((1, 3, count, count), np.float32)
    parameters[0, :, 2, 5] = rng.normal(0, 20, 3)
    plain = np.asarray(CLEAR.render(DEMO, keras.ops.convert_to_tensor(parameters)))[0]
    rows, columns = (np.cos(np.pi * frequency * (np.arange(112) + 20.5) / 152) for frequency in (2, 5))
    logits = np.log(plain / (1 - plain))
    pattern = rows[:, None] * columns[None]
    for channel in range(3):
        assert abs(np.corrcoef(logits[..., channel].ravel(), pattern.ravel())[0, 1]) > 0.9999
    now = np.array([[3.0, -4.0, 1.0, 0.0, 0.0, 0.0, 0.0]], np.float32)
    moved = np.asarray(CLEAR.render(DEMO, keras.ops.convert_to_tensor(parameters), now))[0]
    np.testing.assert_allclose(moved[:-3, 4:], plain[3:, :-4], atol=1e-4)


@pytest.mark.parametrize(("name", "wanders"), [("block1_conv1", True), ("block3_conv1", False)])
def test_the_canvas_wanders_in_the_steps_of_layers_with_small_fields_only(programs: Programs, name: str, wanders: bool) -> None:
    """In block1_conv1 the steps' window is the same with and without."""
    layer, clear = DEMO.layer(name), get_recipe("clear", 1)
    still = dataclasses.replace(clear, widest_field=0.0)
    start = _starts(DEMO, layer.index, (0, 5), clear)
    images = [_climb(programs, recipe, layer, (0, 5), start).images for recipe in (clear, still)]
    assert (not np.array_equal(*images)) == wanders


def test_steps_climb_the_leaky_mean_of_outputs_that_no_padding_reaches(programs: Programs, weights: Weights) -> None:
    layer, filters = DEMO.layer("block2_conv2"), [0, 7]
    model = naive.naive_model(dict(weights.tensors), layer.name)
    model.layers[-1].activation = keras.activations.linear
    x = np.random.default_rng(0).normal(0, 50, (2, 112, 112, 3)).astype(np.float32)
    maps = np.stack([np.asarray(model(x))[row, ..., filter] for row, filter in enumerate(filters)])
    params = programs._forward.params(layer), programs._forward.own_filters(layer, filters)
    found = make_value(DEMO, programs._forward, CLEAR, layer)(params, keras.ops.convert_to_tensor(x))
    due = np.where(maps > 0, maps, 0.1 * maps)[:, 4:-4, 4:-4].mean(axis=(1, 2))
    np.testing.assert_allclose(np.asarray(found), due, rtol=1e-3)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the process's memory is read from /proc")
def test_weights_that_are_kept_take_their_size_once() -> None:
    def memory() -> int:
        lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
        return int(lines["RssAnon"].split()[0]) * 1024

    before = memory()
    kept = [backend.lasting_tensor(np.full((10, 1024, 1024), each, np.float32)) for each in range(4)]
    taken, size = memory() - before, sum(each.numpy().nbytes for each in kept)
    assert taken < 1.4 * size
    assert [float(each[9, 0, 0]) for each in kept] == [0, 1, 2, 3]
