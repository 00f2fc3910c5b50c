"""Networks that are not known by heart: those of keras.applications, and model files."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from amaxds.compute.networks import describe_application, find_network, load_weights
from amaxds.compute.programs import Programs
from amaxds.compute.weights import Weights
from amaxds.dataset.build_command import command_of
from amaxds.dataset.build_info import BuildRequest
from amaxds.errors import UsageError, WeightsError
from amaxds.spec.applications import APPLICATIONS
from amaxds.spec.network import DEMO, PREPROCESSING, VGG16, Network, description, network_of
from amaxds.spec.plan import make_plan
from amaxds.spec.recipes import get_recipe
from amaxds.spec.selection import make_scope
from amaxds.spec.splits import split_of
from support import naive
from support.commands import ROOT, amaxds
from support.folders import hashes
from support.shared import made_once

pytestmark = pytest.mark.usefixtures("_backend")

Check = Callable[..., None]

ARCHITECTURES = {
    "resnet50": ("conv1_conv", "conv2_block1_0_conv", "conv3_block2_2_conv", "conv4_block1_3_conv"),
    "mobilenet_v2": ("Conv1", "block_1_project", "block_6_expand"),
    "efficientnet_b0": ("stem_conv", "block2a_expand_conv", "block3a_project_conv"),
    "inception_v3": ("conv2d", "conv2d_5", "conv2d_20"),
    "convnext_tiny": ("convnext_tiny_stage_0_block_1_depthwise_conv", "convnext_tiny_downsampling_conv_0"),
    "densenet121": ("conv1_conv", "conv2_block2_1_conv", "conv3_block3_2_conv"),
    "nasnet_mobile": ("stem_conv1", "normal_conv_1_0"),
}
"""Branches that are added and joined, strides, grouped and depthwise convolutions, gates that see the whole image."""
CANVAS = 96


def _network(name: str, canvas: int = CANVAS) -> tuple[Network, Weights]:
    network = find_network(name, canvas)
    return network, load_weights(network, "random", 0)


def _model(weights: Weights, until: str, then: Callable[..., Any] = keras.ops.relu) -> keras.Model:
    """What Keras itself makes of the model up to a layer's output after ReLU, or after something else."""
    whole = keras.models.model_from_json(weights.model)
    variables = [each for each in whole.variables if "seed_generator" not in each.path]
    for each, tensor in zip(variables, weights.tensors.values(), strict=True):
        each.assign(tensor)
    found = [each for each in whole.layers if until in (each.name, getattr(each, "layers", [each])[-1].name)]
    return keras.Model(whole.input, then(found[0].output))


LONG = ("resnet50", "convnext_tiny", "inception_v3", "nasnet_mobile", "densenet121")


@pytest.mark.system
@pytest.mark.parametrize("name", [pytest.param(each, marks=[pytest.mark.long] * (each in LONG)) for each in ARCHITECTURES])
def test_a_step_agrees_with_the_naive_loop(name: str) -> None:
    network, weights = _network(name)
    programs, recipe = Programs(network, weights), get_recipe("original", 1)
    for chosen in ARCHITECTURES[name]:
        layer = network.layer(chosen)
        filters = (0, layer.filters // 2, layer.filters - 1)
        start = np.stack([recipe.start(network, 0, layer.index, filter) for filter in filters])
        ours = programs.ascend(recipe, layer, filters, start, np.zeros((3, 1, 0), np.float32))
        model, apart = _model(weights, chosen), []
        for row, filter in enumerate(filters):
            image, losses, norms = naive.naive_ascent(model, filter, start[row], 1, recipe.step_length(network))
            moved = np.linalg.norm(image - start[row])
            apart.append(np.linalg.norm(ours.images[row] - image) / moved if moved else np.abs(ours.images[row] - image).max())
            assert ours.start_activation[row] == pytest.approx(losses[0], rel=1e-3, abs=1e-6)
            assert ours.moved[row] == any(norm > 0 for norm in norms)
        assert max(apart) < 1e-4


def test_vgg16_is_found_in_keras_as_it_is_known_by_heart() -> None:
    found = describe_application("vgg16", "VGG16", VGG16.canvas)
    assert found.layers == VGG16.layers
    assert (found.channel_order, found.channel_mean) == (VGG16.channel_order, VGG16.channel_mean)
    assert set(found.channel_scale) == {VGG16.channel_scale}


@pytest.mark.system
def test_a_network_and_its_keras_model_compute_the_same() -> None:
    known = find_network("vgg19", 64)
    weights = load_weights(known, "random", 0)
    plain = Network("vgg19", known.layers, 64, *PREPROCESSING["caffe"], "random")
    ours = Programs(plain, Weights("random", weights.tensors))
    theirs, layer = Programs(known, weights), known.layer("block3_conv1")
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    recipe = get_recipe("clear")
    np.testing.assert_allclose(ours.score(recipe, layer, images), theirs.score(recipe, layer, images), rtol=1e-3, atol=1e-2)


@pytest.mark.system
@pytest.mark.parametrize(
    "name",
    ["mobilenet_v2", *(pytest.param(each, marks=pytest.mark.long) for each in ("resnet50", "convnext_tiny", "densenet121"))],
)
def test_an_output_depends_on_its_receptive_field_and_no_more(name: str) -> None:
    network, weights = _network(name, 160)
    for chosen in ARCHITECTURES[name][:3]:
        layer = network.layer(chosen)
        model, reached = _model(weights, chosen, keras.ops.abs), np.zeros((160, 160), bool)
        for seed in range(3):
            x = tf.constant(np.random.default_rng(seed).standard_normal((1, 160, 160, 3)), tf.float32)
            with tf.GradientTape() as tape:
                tape.watch(x)
                maps = model(x)
                middle = tf.reduce_sum(maps[:, maps.shape[1] // 2, maps.shape[2] // 2])
            reached |= np.any(tape.gradient(middle, x)[0] != 0, axis=-1)
        rows, columns = (np.flatnonzero(reached.any(axis=axis)) for axis in (1, 0))
        assert layer.receptive_field == np.ptp(rows) + 1 == np.ptp(columns) + 1
        assert abs(maps.shape[1] - 160 / layer.stride) <= 1


@pytest.fixture(scope="module")
def gated() -> Network:
    """A network with gates that see the whole image, on a canvas that is too small for some of its layers."""
    return find_network("efficientnet_b0", 96)


def test_gates_that_see_the_whole_image_have_no_bounded_field(gated: Network) -> None:
    assert gated.layer("stem_conv").receptive_field == 3
    assert gated.layer("block2a_expand_conv").receptive_field is None


@pytest.mark.parametrize(
    "name",
    [
        "resnet50",
        "resnet50_v2",
        *(pytest.param(each, marks=pytest.mark.long) for each in ("densenet121", "mobilenet_v3_small")),
    ],
)
def test_networks_are_fed_by_their_own_preprocessing(name: str) -> None:
    builder = getattr(keras.applications, APPLICATIONS[name].builder)
    images = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), np.uint8)
    theirs = sys.modules[builder.__module__].preprocess_input(images.astype(np.float32))
    np.testing.assert_allclose(find_network(name, 96).preprocess(images), theirs, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "name", ["mobilenet_v3_small", *(pytest.param(each, marks=pytest.mark.long) for each in ("efficientnet_b0", "xception"))]
)
def test_the_table_of_networks_is_what_is_found(name: str) -> None:
    network = find_network(name)
    found = (network.canvas, len(network.usable), network.filters)
    assert found == (APPLICATIONS[name].canvas, APPLICATIONS[name].layers, APPLICATIONS[name].filters)


def test_every_network_of_keras_has_a_name() -> None:
    builders = {name for name in dir(keras.applications) if name[0].isupper()} - {"VGG16"}
    assert builders == {each.builder for each in APPLICATIONS.values()}


def test_a_described_network_is_read_again_as_it_was() -> None:
    network = find_network("mobilenet_v2", 96)
    stored = json.loads(json.dumps({"name": network.name, "canvas": 96} | description(network)))
    assert network_of(stored) == network


def test_layers_that_the_canvas_is_too_small_for_are_refused_by_name(gated: Network) -> None:
    with pytest.raises(UsageError, match="canvas of 96 is too small for layer block1a_se_reduce of efficientnet_b0"):
        make_scope(gated, "block1a_se_reduce")
    assert "block1a_se_reduce" not in make_scope(gated, "block1a*")


@pytest.mark.system
def test_other_precisions_are_refused() -> None:
    network, weights = _network("mobilenet_v2")
    with pytest.raises(UsageError, match="bfloat16"):
        Programs(network, weights, "bfloat16")


SMALL = ("--network", "mobilenet_v2", "--canvas", 64, "--weights", "random", "--steps", 3, "--layers", "Conv1,block_3_expand")


@pytest.fixture(scope="module")
def mobilenet(tmp_path_factory: pytest.TempPathFactory) -> Path:

    def make(folder: Path) -> None:
        ended = amaxds("build", folder / "mobilenet", *SMALL, "--filters", "0-7")
        assert ended.returncode == 0, ended.stderr

    return made_once(tmp_path_factory, "mobilenet", make) / "mobilenet"


@pytest.mark.system
def test_a_dataset_of_another_network_is_audited_bundled_and_shown(mobilenet: Path, tmp_path: Path) -> None:
    audited = amaxds("audit", mobilenet, "--sample", 4, "--json")
    assert audited.returncode == 0, audited.stdout + audited.stderr
    assert [image["psnr"] for image in json.loads(audited.stdout)["images"]] == [None] * 4
    assert amaxds("bundle", mobilenet, tmp_path / "bundle").returncode == 0
    assert amaxds("validate", tmp_path / "bundle").returncode == 0
    assert amaxds("report", mobilenet, tmp_path / "report").returncode == 0
    command = json.loads((mobilenet / "build.json").read_text())["command"]
    assert "--network mobilenet_v2 --canvas 64 --weights random" in command


@pytest.mark.system
def test_layers_are_summed_up_in_network_order_whatever_their_splits(tmp_path: Path) -> None:
    """With one filter of each layer, whole layers stand in other splits than those around them."""
    layers = [DEMO.layer(name) for name in ("block1_conv1", "block1_conv2", "block3_conv2", "block3_conv3")]
    assert [split_of(layer)[1] for layer in layers] == ["test", "train", "test", "validation"]
    names = ",".join(layer.name for layer in layers)
    ended = amaxds("build", tmp_path / "out", "--network", "demo", "--layers", names, "--filters", "1", "--steps", 1)
    assert ended.returncode == 0, ended.stdout
    card = (tmp_path / "out" / "README.md").read_text()
    order = [card.index(f"| clear | {layer.name} |") for layer in layers]
    assert order == sorted(order)


@pytest.mark.system
def test_a_filter_of_another_network_has_its_bits_in_every_subset(mobilenet: Path, tmp_path: Path) -> None:
    assert amaxds("build", tmp_path / "one", *SMALL, "--filters", "5").returncode == 0
    whole, one = hashes(mobilenet, "clear"), hashes(tmp_path / "one", "clear")
    assert len(one) == 2
    assert one == {key: whole[key] for key in one}


def _saved(path: Path) -> Path:
    """A model as people make them: another one inside, its preprocessing in front, a head for one size behind."""
    keras.backend.clear_session()  # Names begin anew.
    keras.utils.set_random_seed(0)
    inner = keras.Sequential([keras.layers.Conv2D(4, 3, strides=2), keras.layers.Conv2D(8, (1, 3), groups=2)], name="inner")
    layers = [keras.Input((48, 48, 3)), keras.layers.Rescaling(1 / 127.5, -1.0), inner, keras.layers.ReLU()]
    layers += [keras.layers.Conv2D(6, 3, dilation_rate=2, name="last"), keras.layers.Flatten(), keras.layers.Dense(2)]
    keras.Sequential(layers).save(path)
    return path


def test_a_model_file_becomes_a_dataset(tmp_path: Path, assert_error: Check) -> None:
    file, folder = _saved(tmp_path / "mine.keras"), tmp_path / "out"
    assert amaxds("build", folder, "--network", file, "--steps", 3).returncode == 0
    stored = json.loads((folder / "build.json").read_text())
    assert stored["images"] == 4 + 8 + 6
    assert [layer["receptive_field"] for layer in stored["network"]["described"]["layers"]] == [3, 7, 15]
    assert stored["command"].startswith("amaxds build --network mine.keras --canvas 48 --weights mine.keras")
    assert amaxds(*shlex.split(stored["command"])[1:], "--plan", cwd=tmp_path).returncode == 0, "it can be run again"
    assert amaxds("audit", folder, "--sample", 3, "--weights", file).returncode == 0
    other = _saved(tmp_path / "other.keras")
    changed = keras.models.load_model(other)
    changed.get_layer("last").bias.assign(np.ones(6))
    changed.save(other)
    assert_error(amaxds("audit", folder, "--weights", other), 2, "digest")


def test_the_command_of_a_small_models_build_leaves_its_canvas_to_the_model(tmp_path: Path) -> None:
    keras.Sequential([keras.Input((28, 28, 3)), keras.layers.Conv2D(2, 3, name="c1")]).save(tmp_path / "small.keras")
    network = find_network(str(tmp_path / "small.keras"))
    command = shlex.split(command_of(BuildRequest.of_plan(make_plan(network, ["clear"]), "small.keras", "0" * 64)))
    assert command[:6] == ["amaxds", "build", "--network", "small.keras", "--weights", "small.keras"]
    assert amaxds(*command[1:], "--plan", cwd=tmp_path).returncode == 0


@pytest.mark.system
def test_images_that_were_made_elsewhere_with_a_model_of_a_file_are_shown_with_those_most_alike(
    tmp_path: Path, assert_error: Check
) -> None:
    keras.Sequential([keras.Input((48, 48, 3)), keras.layers.Conv2D(8, 3, name="c1")]).save(tmp_path / "mine.keras")
    random = np.random.default_rng(0)
    (tmp_path / "c1").mkdir()
    for filter in range(8):
        Image.fromarray(random.integers(0, 256, (40, 40, 3)).astype(np.uint8)).save(tmp_path / "c1" / f"filter-{filter}.png")
    described = amaxds("describe", ".", "described", "--network", "mine.keras", cwd=tmp_path)
    assert described.returncode == 0, described.stderr
    assert_error(amaxds("report", "described", "--neighbours", cwd=tmp_path), 2, "is in a file, mine.keras", "--weights FILE")
    ended = amaxds("report", "described", "--weights", "mine.keras", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "without" not in ended.stdout, ended.stdout


def test_what_is_no_model_of_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.keras").write_text("no model")
    with pytest.raises(WeightsError, match=r"text\.keras cannot be read as a Keras model"):
        find_network(str(tmp_path / "text.keras"))
    keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)]).save(tmp_path / "dense.keras")
    with pytest.raises(UsageError, match=r"dense is no graph of layers from one colour image: it takes \(8,\)\."):
        find_network(str(tmp_path / "dense.keras"))
    with pytest.raises(UsageError, match="would be called 'vgg16'"):
        find_network(str(_saved(tmp_path / "vgg16.keras")))
    with pytest.raises(UsageError, match="unknown network 'resnet'"):
        find_network("resnet")
    with pytest.raises(UsageError, match="canvas 16 is out of range"):
        find_network("resnet50", 16)
    with pytest.raises(UsageError, match="vgg16 has a canvas of 224"):
        find_network("vgg16", 64)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    network = find_network("mobilenet_v2", 64)
    with pytest.raises(WeightsError, match=r"does not fit mobilenet_v2: it has no Conv1/kernel"):
        load_weights(network, str(ROOT / "builder" / "amaxds" / "data" / "demo.safetensors"), 0)


def test_networks_are_listed() -> None:
    ended = amaxds("networks")
    assert ended.stdout.startswith("name,canvas,layers,filters\nvgg16,224,13,4224\ndemo,112,13,528\n")
    assert "resnet50,224,53,26560\n" in ended.stdout
    one = amaxds("networks", "efficientnet_b0", "--canvas", 96)
    assert "stem_conv,0,32,3,2\n" in one.stdout
    assert "block1a_se_reduce" not in one.stdout
    assert "block1a_se_reduce" in one.stderr
