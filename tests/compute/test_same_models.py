"""What makes two Keras models the same network: all that they compute with, and no more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import pytest
from keras import layers

from amaxds.compute.keras_models import architecture_of
from support.commands import amaxds

pytestmark = pytest.mark.usefixtures("_backend")

Check = Callable[..., None]


def _model(
    activation: str = "relu", pooling: type = layers.MaxPooling2D, shortcut: bool = False, name: str = "act"
) -> keras.Model:
    """Two convolutions, the same weights each time, with something without weights between them."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((32, 32, 3))
    first = layers.Conv2D(4, 3, padding="same", name="first")(inputs)
    maps = pooling(2)(layers.Activation(activation, name=name)(first))
    second = layers.Conv2D(4, 3, padding="same", name="second")
    after = keras.Sequential([keras.Input((16, 16, 4)), second], name=f"{name}_inner")(maps)
    return keras.Model(inputs, keras.ops.relu(layers.Add()([maps if shortcut else after, after])))


def test_a_model_that_computes_the_same_is_the_same_whatever_it_is_called_and_trained_for() -> None:
    keras.backend.clear_session()
    due, again, renamed = architecture_of(_model()), _model(), _model(name="relu")
    again.trainable = False
    again.compile("adam", "mse")
    again.get_layer("first").kernel_regularizer = keras.regularizers.L2(0.1)
    again.get_layer("first").bias_initializer = keras.initializers.Ones()
    assert again.layers[-1].name != _model().layers[-1].name, "Keras numbers the layers on"
    assert {architecture_of(again), architecture_of(renamed), architecture_of(keras.models.clone_model(again))} == {due}


@pytest.mark.parametrize(
    "other",
    [
        lambda: _model(activation="silu"),
        lambda: _model(activation="silu", name="silu"),
        lambda: _model(pooling=layers.AveragePooling2D),
        lambda: _model(shortcut=True),
    ],
    ids=["activation", "activation and name", "pooling", "connection"],
)
def test_a_model_that_computes_otherwise_is_another(other: Callable[[], keras.Model]) -> None:
    assert architecture_of(other()) != architecture_of(_model(name="relu"))


def test_no_build_of_another_model_goes_on_is_audited_or_reported_on(tmp_path: Path, assert_error: Check) -> None:
    """The weights are the same, and so are the names and sizes of the layers."""
    file, out = tmp_path / "mix.keras", tmp_path / "mix-filter-activations"
    build = ("build", out, "--network", file, "--steps", 1)
    _model().save(file)
    assert amaxds(*build).returncode == 0
    _model(pooling=layers.AveragePooling2D).save(file)
    assert_error(amaxds(*build), 2, "architecture_sha256")
    for command in (("audit", out, "--sample", 1), ("report", out, tmp_path / "report")):
        assert_error(amaxds(*command, "--weights", file), 2, "mix.keras is another network than mix")
    _model(name="relu").save(file)
    assert amaxds("audit", out, "--sample", 1, "--weights", file).returncode == 0
