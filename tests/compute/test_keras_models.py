"""Keras models as people build them: models inside models, wrappers, layers called twice, other precisions, resizing."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from amaxds.compute.keras_models import read_model, variables_of
from amaxds.compute.networks import find_network, load_weights
from amaxds.compute.programs import Programs
from amaxds.errors import UsageError
from amaxds.spec.recipes import get_recipe
from support.commands import amaxds
from support.models import loaded, saved

pytestmark = pytest.mark.usefixtures("_anew")

Tensor = Any
SYSTEM = pytest.mark.system
Check = Callable[..., None]
RECIPE = get_recipe("original", 1)


def _assert_computes(path: Path, due: dict[str, Tensor], inputs: Tensor, atol: float = 1e-4) -> None:
    """Our response of every filter of these layers is that of Keras's own layer: layer -> its output before ReLU."""
    network, weights = loaded(path)
    assert [layer.name for layer in network.layers] == list(due)
    programs, images = (
        Programs(network, weights),
        np.random.default_rng(0).integers(0, 256, (2, network.canvas, network.canvas, 3)),
    )
    theirs = keras.Model(inputs, list(due.values()))(images.astype("float32"), training=False)
    for layer, maps in zip(network.layers, keras.tree.flatten(theirs), strict=True):
        ours = programs.score(RECIPE, layer, images.astype(np.uint8))
        expected = np.maximum(np.asarray(keras.ops.cast(maps, "float32"))[:, 2:-2, 2:-2], 0).mean((1, 2))
        np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=atol)
        start = RECIPE.start(network, 0, layer.index, 0)[None]
        assert programs.ascend(RECIPE, layer, (0,), start, np.zeros((1, 1, 0), np.float32)).images.shape == start.shape


def _branch(name: str, filters: int) -> keras.Model:
    inputs = keras.Input((32, 32, 3))
    first = layers.Conv2D(filters, 3, name="conv1")(inputs)
    return keras.Model(inputs, layers.Conv2D(filters, 3, name="conv2")(first), name=name)


def _twins(path: Path) -> tuple[dict[str, Tensor], Tensor]:
    """Two branches with layers of the same names and shapes, joined by a convolution."""
    inputs = keras.Input((32, 32, 3))
    branches = [_branch("left", 4), _branch("right", 4)]
    joint = layers.Conv2D(3, 3, name="joint")(layers.Concatenate()([each(inputs) for each in branches]))
    saved(path, layers.GlobalAveragePooling2D()(joint), inputs)
    due = {}
    for place in ("conv1", "conv2"):
        for each in branches:
            until = keras.Model(each.input, each.get_layer(place).output)
            due[f"{each.name}.{place}"] = until(inputs)
    return due | {"joint": joint}, inputs


def test_layers_of_inner_models_with_the_same_names_are_all_made(tmp_path: Path) -> None:
    due, inputs = _twins(tmp_path / "twins.keras")
    network, _ = loaded(tmp_path / "twins.keras")
    assert set(due) == {layer.name for layer in network.layers}
    _assert_computes(tmp_path / "twins.keras", {layer.name: due[layer.name] for layer in network.layers}, inputs)


def test_names_stay_when_a_model_is_saved_again(tmp_path: Path) -> None:
    _twins(tmp_path / "twins.keras")
    network, weights = loaded(tmp_path / "twins.keras")
    read_model(tmp_path / "twins.keras").save(tmp_path / "again.keras")
    again, same = loaded(tmp_path / "again.keras")
    assert again.layers == network.layers
    assert same.digest == weights.digest
    assert {"left.conv1/kernel", "right.conv1/kernel", "joint/kernel"} <= set(weights.tensors)


def test_exchanged_weights_of_inner_models_are_other_weights(tmp_path: Path) -> None:
    _twins(tmp_path / "twins.keras")
    model = read_model(tmp_path / "twins.keras")
    left, right = (model.get_layer(name).get_weights() for name in ("left", "right"))
    model.get_layer("left").set_weights(right)
    model.get_layer("right").set_weights(left)
    model.save(tmp_path / "other.keras")
    one, other = (loaded(tmp_path / f"{name}.keras")[1] for name in ("twins", "other"))
    assert one.digest != other.digest
    np.testing.assert_array_equal(one.tensors["left.conv1/kernel"], other.tensors["right.conv1/kernel"])


@pytest.mark.system
def test_a_dataset_of_layers_with_qualified_names_is_valid_everywhere(tmp_path: Path) -> None:
    _twins(tmp_path / "twins.keras")
    folder = tmp_path / "out"
    ended = amaxds("build", folder, "--network", tmp_path / "twins.keras", "--steps", 2)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    stored = json.loads((folder / "build.json").read_text())
    assert stored["images"] == 4 * 4 + 3
    assert stored["scope"]["complete"]
    assert amaxds("audit", folder, "--sample", 4, "--weights", tmp_path / "twins.keras").returncode == 0
    assert amaxds("bundle", folder, tmp_path / "bundle").returncode == 0
    assert amaxds("validate", tmp_path / "bundle").returncode == 0
    assert amaxds("report", folder, tmp_path / "report", "--no-neighbours").returncode == 0
    only = amaxds("build", tmp_path / "one", "--network", tmp_path / "twins.keras", "--steps", 2, "--layers", "right.*")
    assert only.returncode == 0, only.stderr
    assert json.loads((tmp_path / "one" / "build.json").read_text())["images"] == 8


def test_inner_models_at_several_depths_are_named_by_their_path(tmp_path: Path) -> None:

    def block(name: str, channels: int) -> keras.Model:
        return keras.Sequential([keras.Input((None, None, channels)), layers.Conv2D(4, 3, name="conv")], name=name)

    stages = [keras.Sequential([block("a", channels), block("b", 4)], name=name) for name, channels in (("one", 3), ("two", 4))]
    keras.Sequential([keras.Input((40, 40, 3)), *stages]).save(tmp_path / "deep.keras")
    network, weights = loaded(tmp_path / "deep.keras")
    names = ["one.a.conv", "one.b.conv", "two.a.conv", "two.b.conv"]
    assert [layer.name for layer in network.layers] == names
    assert [each for each in weights.tensors if each.endswith("kernel")] == [f"{name}/kernel" for name in names]


def test_dense_layers_of_inner_models_are_told_apart(tmp_path: Path) -> None:
    inputs = keras.Input((24, 24, 3))
    maps = layers.Conv2D(4, 3, name="conv")(inputs)
    heads = []
    for name in ("left", "right"):
        head = keras.Sequential(
            [keras.Input((22, 22, 4)), layers.GlobalAveragePooling2D(), layers.Dense(2, name="out")], name=name
        )
        heads.append(head(maps))
    saved(tmp_path / "heads.keras", layers.Concatenate()(heads), inputs)
    network, weights = loaded(tmp_path / "heads.keras")
    forward = Programs(network, weights)._forward
    kernels = [np.asarray(forward.dense_params(f"{name}.out", 0)[1][0])[:, 0] for name in ("left", "right")]
    for name, kernel in zip(("left", "right"), kernels, strict=True):
        np.testing.assert_array_equal(kernel, weights.tensors[f"{name}.out/kernel"][:, 0])


def test_a_layer_is_made_at_each_of_its_calls(tmp_path: Path) -> None:
    inputs = keras.Input((32, 32, 3))
    shared = layers.Conv2D(3, 3, padding="same", name="shared")
    first = shared(inputs)
    second = shared(layers.ReLU()(first))
    last = layers.Conv2D(4, 3, name="last")(second)
    _, path = saved(tmp_path / "shared.keras", last, inputs)
    _assert_computes(path, {"shared": first, "shared.2": second, "last": last}, inputs)


def test_names_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    inputs = keras.Input((32, 32, 3))
    shared = layers.Conv2D(3, 3, name="shared")
    saved(tmp_path / "clash.keras", layers.Conv2D(4, 3, name="shared.2")(shared(shared(inputs))), inputs)
    with pytest.raises(UsageError, match=r"two layers would be called 'shared\.2'"):
        find_network(str(tmp_path / "clash.keras"))


def test_a_spectrally_normalised_convolution_is_made(tmp_path: Path) -> None:
    inputs = keras.Input((32, 32, 3))
    plain = layers.Conv2D(4, 3, name="plain")(inputs)
    inside = layers.SpectralNormalization(layers.Conv2D(6, 3, name="inside"), name="around")(plain)
    last = layers.Conv2D(5, 3, name="last")(inside)
    model, path = saved(tmp_path / "spectral.keras", last, inputs)
    model(np.zeros((1, 32, 32, 3)), training=True)  # Normalises the stored kernel.
    model.save(path)
    _assert_computes(path, {"plain": plain, "inside": inside, "last": last}, inputs)
    assert loaded(path)[0].left_out == ()


@pytest.mark.parametrize(
    "policy",
    ["mixed_float16", "float64", *(pytest.param(each, marks=SYSTEM) for each in ("float16", "mixed_bfloat16", "bfloat16"))],
)
def test_models_of_other_precisions_compute_in_float32_with_their_weights(tmp_path: Path, policy: str) -> None:
    keras.config.set_dtype_policy(policy)
    try:
        inputs = keras.Input((24, 24, 3))
        first = layers.Conv2D(4, 3, name="c1")(layers.Rescaling(1 / 255.0)(inputs))
        inner = keras.Sequential([keras.Input((11, 11, 4)), layers.Conv2D(4, 3, name="c2")], name="inner")
        last = inner(layers.BatchNormalization()(layers.MaxPooling2D()(first)))
        outputs = layers.Dense(2, dtype="float32")(layers.GlobalAveragePooling2D()(last))
        model, path = saved(tmp_path / "other.keras", outputs, inputs)
    finally:
        keras.config.set_dtype_policy("float32")
    stored = {name: np.asarray(each, np.float32) for name, each in variables_of(model).items()}
    _, weights = loaded(path)
    assert list(weights.tensors) == list(stored)
    for name, tensor in stored.items():
        np.testing.assert_array_equal(weights.tensors[name], tensor)
    assert '"float32"' in str(weights.model)
    assert policy not in str(weights.model)
    _assert_computes(path, {"c1": first, "c2": last}, inputs, atol=0.05)


@pytest.mark.parametrize(
    "how", ["bilinear", "area", *(pytest.param(each, marks=SYSTEM) for each in ("nearest", "bicubic", "lanczos3", "lanczos5"))]
)
def test_resizing_is_computed_and_its_stride_is_right(tmp_path: Path, how: str) -> None:
    inputs = keras.Input((48, 48, 3))
    small = layers.Rescaling(1 / 255.0)(layers.Resizing(16, 16, interpolation=how)(inputs))
    first = layers.Conv2D(4, 3, name="c1")(small)
    _, path = saved(tmp_path / "small.keras", first, inputs)
    _assert_computes(path, {"c1": first}, inputs)
    assert find_network(str(path)).layer("c1").stride == 3


@pytest.mark.parametrize("how", ["nearest", *(pytest.param(each, marks=SYSTEM) for each in ("bicubic", "lanczos3"))])
def test_upsampling_is_computed_and_a_stride_below_one_is_not_claimed(tmp_path: Path, how: str) -> None:
    inputs = keras.Input((24, 24, 3))
    first = layers.Conv2D(4, 3, name="c1")(layers.Rescaling(1 / 255.0)(inputs))
    last = layers.Conv2D(4, 3, name="c2")(layers.UpSampling2D(interpolation=how)(first))
    _, path = saved(tmp_path / "large.keras", last, inputs)
    _assert_computes(path, {"c1": first, "c2": last}, inputs)
    assert [layer.stride for layer in find_network(str(path)).layers] == [1, None]


def _cropped_resizing() -> keras.Layer:
    return layers.Resizing(16, 12, interpolation="bicubic", crop_to_aspect_ratio=True, name="odd")


@pytest.mark.system
def test_an_operation_without_a_program_is_refused_by_name_by_every_command(tmp_path: Path, assert_error: Check) -> None:
    inputs = keras.Input((48, 48, 3))
    _, file = saved(tmp_path / "odd.keras", layers.Conv2D(4, 3, name="c1")(_cropped_resizing()(inputs)), inputs)
    for words in (
        ("networks", file),
        ("build", tmp_path / "out", "--network", file, "--plan"),
        ("build", tmp_path / "out", "--network", file),
    ):
        ended = amaxds(*words, TF_CPP_MIN_LOG_LEVEL="3")  # As in a process that has not loaded TensorFlow yet.
        assert_error(ended, 2, "layer odd (Resizing) of odd cannot be compiled")
    assert not (tmp_path / "out").exists()


def test_what_comes_after_the_last_convolution_need_not_be_computed(tmp_path: Path) -> None:
    inputs = keras.Input((48, 48, 3))
    first = layers.Conv2D(4, 3, name="c1")(inputs)
    _, path = saved(tmp_path / "head.keras", _cropped_resizing()(first), inputs)
    _assert_computes(path, {"c1": first}, inputs)


def test_random_layers_are_left_alone_as_they_do_nothing_at_inference(tmp_path: Path) -> None:
    inputs = keras.Input((32, 32, 3))
    x: Tensor = inputs
    for each in _augmentations():
        x = each(x)
    first = layers.Conv2D(4, 3, name="c1")(x)
    _, path = saved(tmp_path / "augmented.keras", first, inputs)
    _assert_computes(path, {"c1": first}, inputs, atol=1e-2)


@pytest.mark.parametrize("axis", [-1, None])
def test_statistics_that_a_layer_was_given_are_those_that_it_computes_with(axis: int | None, tmp_path: Path) -> None:
    """`Normalization` makes constants of them, once when it is built, and again when they are loaded."""
    inputs = keras.Input((24, 24, 3))
    normal = layers.Normalization(axis=axis)
    normal.adapt(np.random.default_rng(1).normal([90, 120, 150], [20, 40, 60], (8, 24, 24, 3)))
    first = layers.Conv2D(4, 3, name="c1")(normal(inputs))
    _, path = saved(tmp_path / "normal.keras", first, inputs)
    _assert_computes(path, {"c1": first}, inputs)


def test_untrained_weights_keep_nothing_that_was_learnt_but_what_is_known_of_images(tmp_path: Path) -> None:
    """Biases and batch normalisation are as a new model has them, also where that draws them; adapted means stay."""
    inputs = keras.Input((24, 24, 3))
    normal = layers.Normalization()
    normal.adapt(np.random.default_rng(1).normal([90, 120, 150], [20, 40, 60], (8, 24, 24, 3)))
    first = layers.Conv2D(4, 3, bias_initializer="random_normal", name="c1")(normal(inputs))
    last = layers.Conv2D(4, 3, name="c2")(layers.BatchNormalization(name="bn")(first))
    model, path = saved(tmp_path / "trained.keras", last, inputs)
    for each in model.get_layer("bn").weights + model.get_layer("c1").weights + model.get_layer("c2").weights:
        each.assign(np.random.default_rng(2).normal(7.0, 1.0, each.shape))
    model.save(path)
    found, again = (loaded(path, "random")[1].tensors for _ in range(2))
    assert all(np.array_equal(found[name], again[name]) for name in found)
    assert [float(found[f"bn/{name}"].mean()) for name in ("gamma", "beta", "moving_mean", "moving_variance")] == [1, 0, 0, 1]
    assert all(abs(found[name].mean()) < 1 for name in ("c1/kernel", "c1/bias", "c2/kernel", "c2/bias"))
    assert found["c1/bias"].any()
    np.testing.assert_allclose(found["normalization/mean"].ravel(), [90, 120, 150], rtol=0.05)


def test_layers_that_draw_have_no_weights_in_older_files(tmp_path: Path) -> None:
    inputs = keras.Input((24, 24, 3))
    drawn = layers.Dropout(0.5)(layers.RandomFlip()(layers.Rescaling(1 / 255)(inputs)))
    first = layers.Conv2D(4, 3, name="c1")(drawn)
    _, path = saved(tmp_path / "old.h5", layers.Conv2D(3, 3, name="c2")(first), inputs)
    assert [layer.name for layer in loaded(path)[0].layers] == ["c1", "c2"]


def test_kernels_have_the_products_of_lora_in_them(tmp_path: Path) -> None:
    inputs = keras.Input((24, 24, 3))
    first = layers.Conv2D(4, 3, lora_rank=2, name="c1")(layers.Rescaling(1 / 255)(inputs))
    outputs = layers.Dense(2, lora_rank=1, name="head")(layers.GlobalAveragePooling2D()(first))
    model, path = saved(tmp_path / "tuned.keras", outputs, inputs)
    tuned = model.get_layer("c1")
    tuned.lora_kernel_b.assign(np.random.default_rng(0).normal(size=tuned.lora_kernel_b.shape))
    model.save(path)
    np.testing.assert_allclose(loaded(path)[1].tensors["c1/kernel"], np.asarray(tuned.kernel), rtol=1e-5, atol=1e-6)
    _assert_computes(path, {"c1": first}, inputs)


@pytest.mark.parametrize(("size", "strides", "padding"), [(2, None, "valid"), ((3, 2), (2, 1), "same")])
def test_pooling_without_a_layer_is_computed(size: Any, strides: Any, padding: str, tmp_path: Path) -> None:
    inputs = keras.Input((24, 24, 3))
    first = layers.Conv2D(4, 3, name="c1")(layers.Rescaling(1 / 255)(inputs))
    pooled = keras.ops.max_pool(first, size, strides, padding)
    last = layers.Conv2D(3, 3, name="c2")(pooled)
    _, path = saved(tmp_path / "pooled.keras", last, inputs)
    _assert_computes(path, {"c1": first, "c2": last}, inputs)
    assert find_network(str(path)).layer("c2").stride == 2


@pytest.mark.parametrize("side", [40, 35, 51])
def test_activations_of_images_of_another_size_are_those_of_the_model(side: int, tmp_path: Path) -> None:
    """As of those that `original` saves; what replaces pooling, resizing and depthwise convolutions takes any size."""
    inputs = keras.Input((None, None, 3))
    x = layers.DepthwiseConv2D(3, padding="same", strides=2)(layers.Rescaling(1 / 255)(inputs))
    x = layers.UpSampling2D(2, interpolation="bicubic")(layers.MaxPooling2D(3, 2, padding="same")(x))
    last = layers.Conv2D(4, 3, name="last")(layers.MaxPooling2D(2)(x))
    model, path = saved(tmp_path / "any.keras", last, inputs)
    network = find_network(str(path), 40)
    images = np.random.default_rng(0).integers(0, 256, (2, side, side, 3)).astype(np.uint8)
    ours = Programs(network, load_weights(network, "pretrained", 0, path)).score(RECIPE, network.layer("last"), images)
    due = np.maximum(np.asarray(model(images.astype("float32")))[:, 2:-2, 2:-2], 0).mean((1, 2))
    np.testing.assert_allclose(ours, due, rtol=1e-3, atol=1e-4)


def _augmentations() -> Sequence[keras.Layer]:
    return [layers.RandomFlip(), layers.RandomRotation(0.2), layers.RandomZoom(0.2), layers.RandomContrast(0.2)]


def test_a_path_without_a_gradient_leaves_images_dead(tmp_path: Path) -> None:
    inputs = keras.Input((24, 24, 3))
    first = layers.Conv2D(4, 3, name="c1")(keras.ops.floor(inputs))
    _, path = saved(tmp_path / "floor.keras", first, inputs)
    network, weights = loaded(path)
    start = RECIPE.start(network, 0, 0, 0)[None]
    ended = Programs(network, weights).ascend(RECIPE, network.layer("c1"), (0,), start, np.zeros((1, 1, 0), np.float32))
    assert not ended.moved[0]
    np.testing.assert_array_equal(ended.images, start)
