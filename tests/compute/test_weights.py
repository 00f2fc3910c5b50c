"""Weights from every source, and files that do not fit."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from amaxds.compute.networks import find_network, load_weights
from amaxds.compute.weights import random_tensors, read_tensors
from amaxds.errors import WeightsError
from amaxds.spec.network import DEMO, VGG16, Network
from support.commands import ROOT
from support.weights_files import hdf5, nested_layers, save_model, save_weights

pytestmark = pytest.mark.usefixtures("_backend")


@pytest.fixture(scope="module")
def tensors() -> dict[str, np.ndarray]:
    return random_tensors(DEMO, 3)


@pytest.mark.parametrize("name", ["w.safetensors", "w.weights.h5", "w_notop.h5", "w_model.h5", "w.keras"])
def test_every_layout_gives_the_same_weights(tensors, tmp_path: Path, name: str) -> None:
    loaded = load_weights(DEMO, str(save_weights(tensors, tmp_path / name)), 0)
    assert loaded.source == name
    assert loaded.digest == load_weights(DEMO, "random", 3).digest
    for key, value in tensors.items():
        assert np.array_equal(loaded.tensors[key], value), key


def test_random_weights_are_he_normal_and_follow_the_seed() -> None:
    one, same, other = (load_weights(VGG16, "random", seed) for seed in (1, 1, 2))
    assert one.digest == same.digest != other.digest
    kernel = one.tensors["block4_conv2/kernel"]
    assert kernel.std() == pytest.approx(np.sqrt(2 / (9 * 512)), rel=0.01)
    assert not one.tensors["block4_conv2/bias"].any()
    draw = np.random.Generator(np.random.Philox(np.random.SeedSequence(entropy=1, spawn_key=(0,))))
    first = draw.standard_normal((3, 3, 3, 64), dtype=np.float32) * np.float32(np.sqrt(2 / 27))
    assert np.array_equal(one.tensors["block1_conv1/kernel"], first)


def test_demo_weights_are_small_trained_and_in_the_package() -> None:
    path = ROOT / "builder" / "amaxds" / "data" / "demo.safetensors"
    assert path.stat().st_size <= 1_000_000
    loaded = load_weights(DEMO, "pretrained", 0)
    assert loaded.tensors["block5_conv3/bias"].any()


@pytest.mark.parametrize("name", ["w.safetensors", "w.weights.h5", "w_notop.h5"])
def test_weights_of_another_network_are_refused_by_layer_and_shape(tensors, tmp_path: Path, name: str) -> None:
    path = save_weights(tensors, tmp_path / name)
    with pytest.raises(WeightsError, match=r"block1_conv1/kernel is \(3, 3, 3, 8\), expected \(3, 3, 3, 64\)"):
        load_weights(VGG16, str(path), 0)


@pytest.mark.parametrize("name", ["w.safetensors", "w.weights.h5", "w_notop.h5"])
def test_a_missing_and_a_foreign_layer_are_named(tensors, tmp_path: Path, name: str) -> None:
    less = {key: value for key, value in tensors.items() if "block5_conv3" not in key}
    with pytest.raises(WeightsError, match="it has no block5_conv3/kernel"):
        load_weights(DEMO, str(save_weights(less, tmp_path / name)), 0)
    more = tensors | {"extra/kernel": np.ones((3, 3, 64, 2), np.float32), "extra/bias": np.ones(2, np.float32)}
    with pytest.raises(WeightsError, match=r"it has extra/(kernel|bias)"):
        load_weights(DEMO, str(save_weights(more, tmp_path / f"more_{name}")), 0)


@pytest.mark.parametrize("name", ["w.weights.h5", "w_notop.h5", "w_model.h5"])
def test_a_network_with_layers_that_are_no_convolutions_is_refused(tmp_path: Path, name: str) -> None:
    """The same convolutions with a batch normalisation behind the first are another network."""
    x = inputs = keras.Input((None, None, 3))
    for layer in DEMO.layers:
        x = keras.layers.Conv2D(layer.filters, 3, name=layer.name)(x)
        x = keras.layers.BatchNormalization(name="norm")(x) if layer.index == 0 else x
    path = save_model(keras.Model(inputs, x), tmp_path / name)
    with pytest.raises(WeightsError, match=r"does not fit demo: it has norm/0 \(8,\) besides"):
        load_weights(DEMO, str(path), 0)


@pytest.mark.parametrize("name", ["w.weights.h5", "w_notop.h5", "w_model.h5"])
def test_a_convolution_without_bias_is_refused(tmp_path: Path, name: str) -> None:
    x = inputs = keras.Input((None, None, 3))
    for layer in DEMO.layers:
        x = keras.layers.Conv2D(layer.filters, 3, name=layer.name, use_bias=layer.index != 1)(x)
    path = save_model(keras.Model(inputs, x), tmp_path / name)
    with pytest.raises(WeightsError, match=r"it has no block1_conv2/bias, expected \(8,\)"):
        load_weights(DEMO, str(path), 0)


def test_weights_that_are_no_floating_numbers_are_refused(tensors, tmp_path: Path) -> None:
    whole = tensors | {"block1_conv1/kernel": np.ones((3, 3, 3, 8), np.int32)}
    with pytest.raises(WeightsError, match="block1_conv1/kernel is int32, expected a floating type"):
        load_weights(DEMO, str(save_weights(whole, tmp_path / "w.safetensors")), 0)


def test_values_that_are_not_finite_are_refused(tensors, tmp_path: Path) -> None:
    damaged = {key: value.copy() for key, value in tensors.items()}
    damaged["block2_conv1/bias"][3] = np.nan
    with pytest.raises(WeightsError, match="block2_conv1/bias has values that are not finite"):
        load_weights(DEMO, str(save_weights(damaged, tmp_path / "w.safetensors")), 0)


@pytest.mark.parametrize("name", ["w.safetensors", "w.weights.h5", "w_notop.h5"])
@pytest.mark.parametrize("kept", [0, 7, 100, 5000])
def test_truncated_files_are_refused(tensors, tmp_path: Path, name: str, kept: int) -> None:
    path = save_weights(tensors, tmp_path / name)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        read_tensors(path)


@pytest.mark.parametrize("name", ["no-such-file.h5", "notes.txt"])
def test_what_is_no_weights_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(WeightsError, match=name):
        load_weights(DEMO, str(tmp_path / name), 0)


@pytest.mark.system
def test_a_file_that_the_library_never_finishes_is_given_up(tmp_path: Path) -> None:
    """One byte more in the list of names, and HDF5 1.14 goes round in it for ever."""
    path, data = tmp_path / "demo.h5", hdf5(nested_layers)
    place = data.index(b"block2_conv2") + 9
    path.write_bytes(data[:place] + b"\x1a" + data[place:])
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        load_weights(DEMO, str(path), 0)


def test_a_file_that_says_it_has_any_number_of_zeros_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "zeros.weights.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("layers/conv2d/vars")
        group.attrs["name"] = "block1_conv1"
        group.create_dataset("0", shape=(1_000_000, 1_000_000), dtype="f4", chunks=True)
    assert path.stat().st_size < 100_000
    with pytest.raises(WeightsError, match="more than 400000000 values"):
        load_weights(DEMO, str(path), 0)


def _external_link(file: h5py.File, other: Path) -> None:
    file["layers/conv2d/vars/0"] = h5py.ExternalLink(str(other), "secret")


def _external_storage(file: h5py.File, other: Path) -> None:
    file.create_dataset("layers/conv2d/vars/0", shape=(4,), dtype="u1", external=[(str(other), 0, 4)])


def _virtual_dataset(file: h5py.File, other: Path) -> None:
    layout = h5py.VirtualLayout(shape=(4,), dtype="u1")
    layout[:] = h5py.VirtualSource(str(other), "secret", shape=(4,))
    file.create_virtual_dataset("layers/conv2d/vars/0", layout)


def _huge_chunks(file: h5py.File, other: Path) -> None:
    data = {"shape": (10,), "maxshape": (None,), "chunks": (500_000_000,), "dtype": "f4"}
    file.create_dataset("layers/conv2d/vars/0", **data)


@pytest.mark.parametrize("lead", [_external_link, _external_storage, _virtual_dataset, _huge_chunks])
@pytest.mark.parametrize("name", ["w.weights.h5", "w_model.h5", "w.keras"])
def test_files_that_lead_to_other_files_are_not_followed(lead: Callable[..., None], name: str, tmp_path: Path) -> None:
    """HDF5 reads values from any file of the machine that a weights file names."""
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["secret"] = np.arange(4, dtype="u1")
    path = tmp_path / name
    inner = tmp_path / "model.weights.h5" if path.suffix == ".keras" else path
    with h5py.File(inner, "w") as file:
        lead(file, tmp_path / "other.h5")
        file["layers/conv2d/vars"].attrs["name"] = "block1_conv1"
    if path.suffix == ".keras":
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(inner, inner.name)
            archive.writestr("config.json", keras.Sequential([keras.Input((32, 32, 3))]).to_json())
            archive.writestr("metadata.json", "{}")
    readers: list[Callable[[Path], object]] = [read_tensors]
    if name != "w.weights.h5":
        readers.append(lambda path: find_network(str(path), 64))
    for read in readers:
        with pytest.raises(WeightsError, match=r"link to another file|values in another file|chunks of more than"):
            read(path)


def test_a_tensor_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    entry = '"w": {"dtype": "F32", "shape": [1], "data_offsets": [%d, %d]}'
    text = f"{{{entry % (0, 4)}, {entry % (4, 8)}}}".encode()
    file = tmp_path / "w.safetensors"
    file.write_bytes(len(text).to_bytes(8, "little") + text + bytes(8))
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        read_tensors(file)


def test_bfloat16_of_safetensors_is_read_as_float32(tmp_path: Path) -> None:
    """A file as PyTorch writes it: the upper half of each float32."""
    values = np.array([[1.0, -2.5], [3.140625, 1e30]], np.float32)
    halves = (values.view("<u4") >> 16).astype("<u2")
    plain = np.arange(3, dtype="<f4")
    header = {
        "w": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]},
        "b": {"dtype": "F32", "shape": [3], "data_offsets": [8, 20]},
    }
    text = json.dumps(header).encode()
    file = tmp_path / "w.safetensors"
    file.write_bytes(len(text).to_bytes(8, "little") + text + halves.tobytes() + plain.tobytes())
    found = read_tensors(file)
    assert (found["w"].view("<u4") == values.view("<u4") >> 16 << 16).all()
    assert found["w"].dtype == np.float32
    assert (found["b"] == plain).all()


FILES = ["w.weights.h5", "w_notop.h5", "w_model.h5", "w.keras"]


def _backbone(tensors: dict[str, np.ndarray], name: str = "backbone") -> keras.Model:
    x = inputs = keras.Input((32, 32, 3))
    for layer in DEMO.layers:
        x = keras.layers.Conv2D(layer.filters, 3, padding="same", name=layer.name)(x)
    model = keras.Model(inputs, x, name=name)
    for layer in DEMO.layers:
        model.get_layer(layer.name).set_weights([tensors[f"{layer.name}/{each}"] for each in ("kernel", "bias")])
    return model


@pytest.mark.parametrize("name", FILES)
def test_a_head_of_ones_own_is_not_needed(tensors, tmp_path: Path, name: str) -> None:
    model = _backbone(tensors)
    x = keras.layers.Dense(5, name="hidden")(keras.layers.GlobalAveragePooling2D()(model.output))
    path = save_model(keras.Model(model.input, keras.layers.Dense(2, name="mine", use_bias=False)(x)), tmp_path / name)
    assert load_weights(DEMO, str(path), 0).digest == load_weights(DEMO, "random", 3).digest


@pytest.mark.parametrize("name", FILES)
def test_a_backbone_inside_of_another_model_is_found(tensors, tmp_path: Path, name: str) -> None:
    nested = [keras.Input((32, 32, 3)), _backbone(tensors), keras.layers.Flatten(), keras.layers.Dense(2)]
    path = save_model(keras.Sequential(nested), tmp_path / name)
    assert load_weights(DEMO, str(path), 0).digest == load_weights(DEMO, "random", 3).digest


@pytest.mark.parametrize("name", FILES)
def test_two_backbones_with_the_same_names_are_refused(tensors, tmp_path: Path, name: str) -> None:
    inputs = keras.Input((32, 32, 3))
    both = [_backbone(each, f"b{place}")(inputs) for place, each in enumerate((tensors, random_tensors(DEMO, 4)))]
    path = save_model(keras.Model(inputs, keras.layers.Add()(both)), tmp_path / name)
    with pytest.raises(WeightsError, match="two layers called block1_conv1"):
        load_weights(DEMO, str(path), 0)


def _state_dict(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """As torchvision names and orders the tensors of its VGG16."""
    found: dict[str, np.ndarray] = {"classifier.0.weight": np.zeros((4, 4), np.float32), "classifier.0.bias": np.zeros(4)}
    for number, layer in zip((0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28), DEMO.layers, strict=True):
        found[f"features.{number}.weight"] = np.ascontiguousarray(tensors[f"{layer.name}/kernel"].transpose(3, 2, 0, 1))
        found[f"features.{number}.bias"] = tensors[f"{layer.name}/bias"]
    return found


def test_a_state_dict_of_torchvision_gives_the_same_weights(tensors, tmp_path: Path) -> None:
    path = save_weights(_state_dict(tensors), tmp_path / "w.safetensors")
    assert load_weights(DEMO, str(path), 0).digest == load_weights(DEMO, "random", 3).digest


def test_a_state_dict_for_other_colours_is_refused(tensors, tmp_path: Path) -> None:
    path = save_weights(_state_dict(tensors), tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match="takes RGB, vgg16 here BGR") as refused:
        load_weights(VGG16, str(path), 0)
    assert "--preprocessing torch" in str(refused.value)


def test_a_state_dict_with_batch_normalisation_is_refused(tensors, tmp_path: Path) -> None:
    more = _state_dict(tensors) | {"features.1.weight": np.ones(8, np.float32)}
    with pytest.raises(WeightsError, match=r"it has features\.1\.weight \(8,\) besides"):
        load_weights(DEMO, str(save_weights(more, tmp_path / "w.safetensors")), 0)


def test_a_pickle_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(b"cos\nsystem\n(S'exit'\ntR.")
    with pytest.raises(WeightsError, match="is a pickle") as refused:
        load_weights(DEMO, str(tmp_path / "w.pth"), 0)
    assert "safetensors" in str(refused.value)


def _mobilenet(**options: object) -> keras.Model:
    keras.backend.clear_session()
    keras.utils.set_random_seed(1)
    return keras.applications.MobileNetV2(weights=None, input_shape=(64, 64, 3), **options)


@pytest.fixture(scope="module")
def mobilenet() -> Network:
    return find_network("mobilenet_v2", 64)


@pytest.mark.parametrize("top", [False, pytest.param(True, marks=pytest.mark.system)])
@pytest.mark.parametrize("names", [FILES[::2], pytest.param(FILES[1::2], marks=pytest.mark.system)])
def test_weights_of_a_keras_network_are_found_by_the_names_of_its_layers(
    mobilenet: Network, tmp_path: Path, top: bool, names: list[str]
) -> None:
    model = _mobilenet(include_top=top, classes=5)
    model.get_layer("bn_Conv1").set_weights([np.full(32, value, np.float32) for value in (1, 2, 3, 4)])
    due = {layer: model.get_layer(layer).get_weights() for layer in ("block_7_expand", "block_8_expand", "bn_Conv1")}
    for name in names:
        loaded = load_weights(mobilenet, str(save_model(model, tmp_path / name)), 0).tensors
        for layer in ("block_7_expand", "block_8_expand"):
            np.testing.assert_array_equal(loaded[f"{layer}/kernel"], due[layer][0], err_msg=name)
        for place, variable in enumerate(("gamma", "beta", "moving_mean", "moving_variance")):
            np.testing.assert_array_equal(loaded[f"bn_Conv1/{variable}"], due["bn_Conv1"][place], err_msg=name)


def _exchange(path: Path, one: str, other: str) -> None:
    """Have an older .h5 file list two layers in each other's place."""
    with h5py.File(path, "r+") as file:
        group = file["model_weights"]
        names = [each.decode() if isinstance(each, bytes) else each for each in group.attrs["layer_names"]]
        first, second = names.index(one), names.index(other)
        names[first], names[second] = names[second], names[first]
        group.attrs["layer_names"] = [each.encode() for each in names]


@pytest.mark.system
def test_names_count_where_a_file_lists_its_layers_in_another_order(mobilenet, tmp_path: Path) -> None:
    model = _mobilenet(include_top=False)
    path = save_model(model, tmp_path / "swapped_model.h5")
    due = model.get_layer("block_7_expand").get_weights()[0]
    _exchange(path, "block_7_expand", "block_8_expand")
    loaded = load_weights(mobilenet, str(path), 0).tensors
    np.testing.assert_array_equal(loaded["block_7_expand/kernel"], due)
    with pytest.raises(WeightsError, match="in another order than the layers: block_8_expand where block_7_expand is due"):
        find_network(str(path), 64)


def test_layers_of_other_names_are_refused_whatever_their_order(mobilenet, tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((64, 64, 3)), keras.layers.Conv2D(32, 3, use_bias=False, name="Conv_1")])
    path = save_model(model, tmp_path / "w_model.h5")
    with pytest.raises(WeightsError, match="it has no Conv1/kernel, expected"):
        load_weights(mobilenet, str(path), 0)


@pytest.mark.system
def test_numbers_that_are_no_tensors_are_read_too(tmp_path: Path) -> None:
    """EfficientNet's normalisation counts the images that it has seen."""
    keras.backend.clear_session()
    model = keras.applications.EfficientNetB0(include_top=False, weights=None, input_shape=(64, 64, 3))
    path = save_model(model, tmp_path / "w.weights.h5")
    loaded = load_weights(find_network("efficientnet_b0", 64), str(path), 0).tensors
    np.testing.assert_array_equal(loaded["stem_conv/kernel"], model.get_layer("stem_conv").get_weights()[0])
    assert loaded["normalization/count"].shape == ()


@pytest.mark.system
def test_variables_of_a_layer_are_told_apart_by_their_names_in_older_files(mobilenet, tmp_path: Path) -> None:
    model = _mobilenet(include_top=False)
    model.get_layer("bn_Conv1").set_weights([np.full(32, value, np.float32) for value in (1, 2, 3, 4)])
    path = save_model(model, tmp_path / "w_model.h5")
    with h5py.File(path, "r+") as file:
        attributes = file["model_weights/bn_Conv1"].attrs
        attributes["weight_names"] = list(attributes["weight_names"])[::-1]
    loaded = load_weights(mobilenet, str(path), 0).tensors
    assert [loaded[f"bn_Conv1/{each}"][0] for each in ("gamma", "beta", "moving_mean", "moving_variance")] == [1, 2, 3, 4]
