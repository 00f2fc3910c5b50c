"""Weights from every source, and files that do not fit."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from amaxds.compute.networks import load_weights
from amaxds.compute.weights import random_tensors, read_tensors
from amaxds.errors import WeightsError
from amaxds.spec.network import DEMO, VGG16
from support.commands import ROOT
from support.weights_files import hdf5, nested_layers, save_model, save_weights

pytestmark = pytest.mark.usefixtures("_backend")


@pytest.fixture(scope="module")
def tensors() -> dict[str, np.ndarray]:
    return random_tensors(DEMO, 3)


@pytest.mark.parametrize("name", ["w.safetensors", "w.weights.h5", "w_notop.h5", "w_model.h5"])
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
    with pytest.raises(WeightsError, match="more than 300000000 values"):
        load_weights(DEMO, str(path), 0)


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
