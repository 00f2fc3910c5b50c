"""Model files that cannot be used as they are: refused in words, before anything is made, and nothing in them is run."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest
from keras import layers

from amaxds import synthesise
from amaxds.compute.networks import find_network
from amaxds.errors import UsageError, WeightsError
from amaxds.objectives import unit
from support.commands import amaxds
from support.models import saved

pytestmark = pytest.mark.usefixtures("_backend")

Tensor = Any
Check = Callable[..., None]


def _forked(inputs: Tensor) -> Tensor:
    """A convolution that is joined by one of its own, pooled and made larger again, as in a U-Net."""
    maps = layers.Conv2D(4, 3, padding="same", name="left")(inputs)
    deep = layers.Conv2D(4, 3, padding="same", name="deep")(layers.MaxPooling2D()(layers.MaxPooling2D()(maps)))
    joined = layers.Concatenate()([layers.MaxPooling2D()(maps), layers.UpSampling2D()(deep)])
    return layers.Conv2D(3, 3, padding="same", name="joint")(joined)


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (_forked, "net does not take images of 38x38: "),
        (
            layers.Conv2D(4, 3, strides=9, name="wide"),
            "38x38 are too small for layer wide of net: they give 4 places a side, 5 are",
        ),
    ],
    ids=["forked", "wide steps"],
)
def test_images_that_could_not_be_ranked_are_not_begun(
    head: Callable[[Tensor], Tensor], words: str, tmp_path: Path, assert_error: Check
) -> None:
    """The canvas is large enough for the model, and what `original` saves of it is not."""
    inputs = keras.Input((48, 48, 3))
    path = saved(tmp_path / "net.keras", head(inputs), inputs)[1]
    build = ("build", tmp_path / "out", "--network", path, "--steps", 1, "--recipe")
    assert_error(amaxds(*build, "original"), 2, words, "another recipe (--recipe)")
    assert not list(tmp_path.rglob("*.parquet"))
    assert amaxds(*build, "clear").returncode == 0


def test_layers_that_take_channels_first_are_refused_by_name(tmp_path: Path) -> None:
    inputs, pooling = keras.Input((24, 24, 3)), layers.MaxPooling2D(data_format="channels_first", name="turned")
    turned = layers.Permute((2, 3, 1))(pooling(layers.Permute((3, 1, 2))(inputs)))
    path = saved(tmp_path / "first.keras", layers.Conv2D(4, 3)(turned), inputs)[1]
    with pytest.raises(UsageError, match="turned takes channels first"):
        find_network(str(path))


def test_a_model_for_a_fixed_number_of_images_is_refused_by_layer(tmp_path: Path) -> None:
    inputs = keras.Input(batch_shape=(1, 24, 24, 3))
    pixels = keras.ops.reshape(inputs, (1, 576, 3))
    path = saved(tmp_path / "one.keras", layers.Conv2D(4, 3, name="only")(layers.Reshape((24, 24, 3))(pixels)), inputs)[1]
    with pytest.raises(UsageError, match="one computes only for 1 image at a time"):
        find_network(str(path))


def test_units_for_a_fixed_number_of_images_are_refused_and_convolutions_before_them_are_not(tmp_path: Path) -> None:
    inputs = keras.Input((24, 24, 3))
    maps = layers.Conv2D(4, 3, padding="same", name="conv")(inputs)
    head = layers.Dense(3, name="head")(keras.ops.reshape(maps, (2, 1152)))
    path = saved(tmp_path / "two.keras", head, inputs)[1]
    assert find_network(str(path)).layers[0].filters == 4
    with pytest.raises(UsageError, match="two computes head for 2 images at a time"):
        synthesise(str(path), objective=unit("head", 1), steps=1)


def test_channels_first_is_not_taken_for_images_that_are_not_square(tmp_path: Path) -> None:
    inputs = keras.Input((3, 24, 24))
    path = saved(tmp_path / "turned.keras", layers.Conv2D(4, 3, data_format="channels_first")(inputs), inputs)[1]
    with pytest.raises(UsageError, match=r"no graph of layers from one colour image: it takes \(3, 24, 24\)"):
        find_network(str(path))


def test_a_model_for_images_that_are_not_square_needs_a_canvas(tmp_path: Path) -> None:
    for shape, side in (((24, 36, 3), None), ((24, None, 3), 24), ((None, 36, 3), 36)):
        inputs = keras.Input(shape)
        path = saved(tmp_path / "oblong.keras", layers.Conv2D(4, 3)(inputs), inputs)[1]
        if side is None:
            with pytest.raises(UsageError, match=r"oblong\.keras is for images of 24x36 pixels.*square.*\n.*--canvas"):
                find_network(str(path))
        assert find_network(str(path), 40).canvas == 40
        assert side is None or find_network(str(path)).canvas == side


def test_a_sequential_model_without_an_input_is_refused_in_words(tmp_path: Path, assert_error: Check) -> None:
    with pytest.warns(UserWarning, match="not yet been built"):
        keras.Sequential([layers.Conv2D(4, 3)]).save(tmp_path / "unbuilt.keras")
    assert_error(amaxds("networks", tmp_path / "unbuilt.keras"), 2, "unbuilt is no graph of layers from one colour image")


def test_a_precision_that_a_model_cannot_be_computed_in_is_refused_before_anything_is_written(
    tmp_path: Path, assert_error: Check
) -> None:
    inputs = keras.Input((24, 24, 3))
    path = saved(tmp_path / "net.keras", layers.Conv2D(4, 3)(inputs), inputs)[1]
    for plan in ((), ("--plan",)):
        ended = amaxds("build", tmp_path / "out", "--network", path, "--precision", "bfloat16", *plan)
        assert_error(ended, 2, "net cannot be computed in bfloat16.", "Leave out the precision")
    assert not (tmp_path / "out").exists()


def test_numbers_that_are_not_finite_end_a_build_in_words(tmp_path: Path, assert_error: Check) -> None:
    inputs = keras.Input((24, 24, 3))
    first = layers.Conv2D(2, 3, kernel_initializer=keras.initializers.Constant(9.0), name="c1")(inputs)
    last = layers.Conv2D(2, 3, name="c2")(layers.Activation("exponential")(first))
    path = saved(tmp_path / "overflowing.keras", last, inputs)[1]
    build = ("build", tmp_path / "out", "--network", path, "--steps", 1)
    ended = amaxds(*build)
    ended.stderr = "\n".join(ended.stderr.splitlines()[-2:])  # After what the build had made.
    assert_error(ended, 3, "filter 0 of c2: ", "not finite", "in a new OUT, leave that layer out")
    assert amaxds(*build[:1], tmp_path / "one", *build[2:], "--layers", "c1").returncode == 0


_CODE = {
    "a program": {"module": "os", "class_name": "system", "config": {"command": "touch ran"}},
    "a class of the library": {"module": "subprocess", "class_name": "Popen", "config": {"args": ["touch", "ran"]}},
    "a builtin": {"module": "builtins", "class_name": "eval", "config": {"source": "open('ran', 'w')"}},
    "a function of Keras": {
        "module": "keras.src.utils.file_utils",
        "class_name": "get_file",
        "config": {"fname": "ran", "origin": "file:///etc/passwd"},
    },
    "a builtin as activation": {
        "module": "keras.layers",
        "class_name": "Activation",
        "config": {"activation": {"module": "builtins", "class_name": "function", "config": "exec"}},
    },
    "a file of words": {"module": "keras.layers", "class_name": "StringLookup", "config": {"vocabulary": "/etc/passwd"}},
}


@pytest.mark.parametrize("case", _CODE)
def test_a_model_file_runs_nothing_that_its_configuration_names(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    keras.Sequential([keras.Input((32, 32, 3)), layers.Conv2D(4, 3)]).save("plain.keras")
    with zipfile.ZipFile("plain.keras") as plain, zipfile.ZipFile("mine.keras", "w") as changed:
        for name in plain.namelist():
            data = plain.read(name)
            if name == "config.json":
                stored = json.loads(data)
                stored["config"]["layers"].insert(1, _CODE[case] | {"registered_name": None})
                data = json.dumps(stored).encode()
            changed.writestr(name, data)
    with pytest.raises(WeightsError, match=r"mine\.keras cannot be read as a Keras model"):
        find_network("mine.keras")
    assert {path.name for path in tmp_path.iterdir()} == {"plain.keras", "mine.keras"}


@pytest.mark.parametrize("name", ["mine.keras", "mine.h5"])
def test_a_model_file_with_python_in_it_runs_none_of_it(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    function = eval("lambda x: [__import__('os').mkdir('ran'), x][1]")
    keras.Sequential([keras.Input((32, 32, 3)), layers.Lambda(function), layers.Conv2D(4, 3)]).save(name)
    (tmp_path / "ran").rmdir()  # It was run when the layer was made.
    with pytest.raises(WeightsError, match="cannot be read as a Keras model"):
        find_network(name)
    assert not (tmp_path / "ran").exists()
