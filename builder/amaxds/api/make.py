"""The functions that make images and datasets, and open them: synthesise, build, describe and open_dataset."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from amaxds.api.arguments import (
    WEIGHTS,
    Filters,
    Layers,
    as_objectives,
    dataset_name,
    image_choice,
    model_file,
    names,
    network_choice,
    optional,
    required,
    run_apart,
    several,
    text,
    worker_count,
)
from amaxds.errors import whole_number
from amaxds.storage.files import given_path
from amaxds.storage.location import local_path

if TYPE_CHECKING:
    from amaxds.api.arguments import DatasetLike, NetworkLike, WeightsLike
    from amaxds.builds.on_demand import ImageChoice, NetworkChoice
    from amaxds.checks.rules import ValidationReport
    from amaxds.dataset.filter_image import FilterImages
    from amaxds.hubs.opened import Dataset
    from amaxds.spec.objective import Objective
    from amaxds.spec.plan import Plan


def synthesise(
    network: NetworkLike = "vgg16",
    layers: Layers | None = None,
    filters: Filters | None = None,
    *,
    objective: Objective | Iterable[Objective] | None = None,
    recipe: str | Iterable[str] = "clear",
    seed: int | Iterable[int] = 0,
    steps: int | None = None,
    weights: WeightsLike = "pretrained",
    canvas: int | None = None,
    preprocessing: str | None = None,
    precision: str = "float32",
    batch_size: int | None = None,
    workers: int | None = None,
    frames: int = 0,
    progress: bool = True,
) -> FilterImages:
    """Make images of what filters of a network look for, by gradient ascent from noise.

    An image has the same bits as in a dataset that `build` makes with the same settings, on the same software and kind of
    device. For that, a whole batch of filters is computed, however few are asked for; batch_size=1 is faster for a single
    image, and rounds otherwise.

    It is computed in a process of its own, which is kept for the next call: that finds TensorFlow started and programs
    compiled. `release` ends it. This process may use TensorFlow, Keras or PyTorch as it likes, before and after.

    Args:
        network: `vgg16`, `demo`, another name that `amaxds networks` lists, the path of a Keras model file, or a `keras.Model`
            in memory, functional or sequential, of Keras's own layers.
        layers: Layers as names or patterns: `"block5_conv3"`, `"block5_*,block1_conv1"`, or a list of such. By default all.
        filters: Filters by number: `5`, `[5, 6]`, `range(8)` or `"0-15,40"`. By default all of each layer.
        objective: What the images are to excite instead of one filter each, from `amaxds.objectives`, or several of them.
        recipe: How they are made: `clear` or `original`, or several of them.
        seed: Seed of all randomness, or several, each of which makes another image of each filter.
        steps: Steps of the ascent instead of the recipe's own.
        weights: `pretrained`, `random`, or a .safetensors, .keras or .h5 file. A model file or a `keras.Model` has its own.
        canvas: Side in pixels of the images that are optimised, for networks with no canvas of their own.
        preprocessing: How the model of a file or in memory is fed: `none` (the model does it), `tf`, `torch` or `caffe`.
        precision: `float32`, or `bfloat16` for the steps of the ascent, for a GPU.
        batch_size: Images in one program. By default that of `build`. Not for objectives.
        workers: Programs side by side. By default one for each core.
        frames: How many images on the way to keep of each, evenly spaced from the noise to the end, for an animation. On a
            GPU the steps then are programs of their own, and may round otherwise.
        progress: Whether to show a progress bar.

    Returns:
        The images, in the order of seed, recipe, layer and filter. Those of an objective have it in place of the layer, no
            filter, and its value for the activation.

    Raises:
        UsageError: If a name or number is not possible.
        WeightsError: If a weights file is missing, or does not fit the network.
        NotFoundOnline: If pretrained weights cannot be downloaded.
        OutOfMemory: If the machine has too little memory.

    Examples:
        >>> images = amaxds.synthesise("vgg16", "block5_conv3", filters=[5, 6], frames=24)
        >>> images[0].activation > images[0].activation_start
        True
        >>> images[0].save_animation("filter-5.gif")
    """
    from amaxds.builds.on_demand import make_images, make_objective_images
    from amaxds.compute import environment
    from amaxds.dataset.filter_image import FilterImage, FilterImages
    from amaxds.spec.network import NETWORKS

    wanted = image_choice(names(recipe, "recipe"), layers, filters, several(seed, "seed"), steps, batch_size, frames)
    objectives = None if objective is None else as_objectives(objective, layers, filters, batch_size)
    workers = worker_count(workers)
    with model_file(network) as model, model_file(weights, WEIGHTS) as file:
        chosen = network_choice(model, file, canvas, preprocessing, precision)
        # What a process has settled once it has started.
        keep = workers, NETWORKS.get(model), os.getcwd(), environment.read_at_start()
        if objectives is None:
            rows = run_apart(make_images, progress, keep, chosen, wanted, workers)
        else:
            rows = run_apart(make_objective_images, progress, keep, chosen, wanted, objectives, workers)
    return FilterImages([FilterImage.of_row(row) for row in rows])


def build(
    network: NetworkLike = "vgg16",
    out: str | os.PathLike[str] | None = None,
    *,
    recipes: str | Iterable[str] = "clear",
    layers: Layers | None = None,
    filters: Filters | None = None,
    seed: int = 0,
    steps: int | None = None,
    batch_size: int | None = None,
    weights: WeightsLike = "pretrained",
    canvas: int | None = None,
    preprocessing: str | None = None,
    precision: str = "float32",
    workers: int | None = None,
    engine: str = "local",
    address: str | None = None,
    progress: bool = True,
) -> Dataset:
    """Make a dataset folder of what the filters of a network look for, validate it, and open it.

    Stopped at any moment, in a notebook by its stop button, the same call goes on where it was and ends in the same bytes. It
    is computed in a process of its own, which ends with the call: this process may use TensorFlow, Keras or PyTorch as it
    likes, before and after. No signal handler is set in it.

    Args:
        network: `vgg16`, `demo`, another name that `amaxds networks` lists, the path of a Keras model file, or a `keras.Model`
            in memory, functional or sequential, of Keras's own layers. A model in memory is saved to a temporary file first:
            the bits are those of a build from that file.
        out: Dataset folder, or a URL such as `s3://bucket/name`. By default `<network>-filter-activations`.
        recipes: How images are made: `clear` or `original`, or both.
        layers: Layers as names or patterns: `"block5_conv3"`, `"block5_*,block1_conv1"`, or a list of such. By default all.
        filters: Filters by number: `5`, `[5, 6]`, `range(8)` or `"0-15,40"`. By default all of each layer.
        seed: Seed of all randomness.
        steps: Steps of the ascent instead of the recipe's own.
        batch_size: Images in one program. By default 8 for demo, 4 for others, up to 64 with JAX on a GPU.
        weights: `pretrained`, `random`, or a .safetensors, .keras or .h5 file. A model file or a `keras.Model` has its own.
        canvas: Side in pixels of the images that are optimised, for networks with no canvas of their own.
        preprocessing: How the model of a file or in memory is fed: `none` (the model does it), `tf`, `torch` or `caffe`.
        precision: `float32`, or `bfloat16` for the steps of the ascent, for a GPU.
        workers: Programs side by side. By default one for each core.
        engine: Where they run: `local`, or `ray` for the nodes of a Ray cluster.
        address: The running Ray cluster: `auto` or `ip:port`. By default one is started on this machine.
        progress: Whether to show a progress bar.

    Returns:
        The dataset, opened.

    Raises:
        UsageError: If a name or number is not possible, or `out` is in use or holds something else.
        InvalidDataset: If validation finds something in the finished dataset; `error.report` has it.
        NotFoundOnline: If pretrained weights cannot be downloaded.
        DiskError: If `out` is a folder and cannot be written.
        StoreError: If `out` is in a store and cannot be written.
        OutOfMemory: If the machine has too little memory.
        KeyboardInterrupt: If it is interrupted. What is finished is kept.

    Examples:
        >>> dataset = amaxds.build("demo", layers="block3_*", filters=range(8))
        >>> len(dataset), dataset["block3_conv1", 5].status
        (24, 'alive')
    """
    from amaxds.hubs.opened import Dataset

    one = (whole_number(seed, "seed"),)
    wanted = image_choice(names(recipes, "recipes"), layers, filters, one, steps, batch_size)
    place = None if out is None else given_path(out, "out")
    how = worker_count(workers), text(engine, "engine"), optional(text, address, "address")
    with model_file(network) as model, model_file(weights, WEIGHTS) as file:
        chosen = network_choice(model, file, canvas, preprocessing, precision)
        name, found = run_apart(_build, progress, None, place, chosen, wanted, *how)
    return Dataset(name, report=required(found))


def plan(
    of: NetworkChoice,
    wanted: ImageChoice,
    out: str | None = None,
    workers: int | None = None,
    engine: str = "local",
    address: str | None = None,
) -> Plan:
    """The plan of a build with these options, as this machine would run it; see `builds.on_demand.plan_as_built`."""
    from amaxds.builds.on_demand import plan_as_built

    return plan_as_built(of, wanted, out, workers, engine, address)


def _build(
    out: str | None, of: NetworkChoice, wanted: ImageChoice, workers: int | None, engine: str, address: str | None
) -> tuple[str, ValidationReport]:
    """Where the dataset is, and what validation finds in it."""
    from amaxds.builds.batch_size import with_batch_size_for
    from amaxds.builds.build import build as make
    from amaxds.builds.executors.open import open_executor
    from amaxds.builds.on_demand import plan_of
    from amaxds.builds.shards import WORK
    from amaxds.builds.workdir import place_of
    from amaxds.checks.validate import validate as check
    from amaxds.compute.networks import load_weights

    planned = plan_of(of, wanted, workers)
    place = place_of(out, planned.network)
    with open_executor(engine, workers, address) as executor:
        loaded = load_weights(planned.network, of.weights, planned.seed, Path(of.network))
        make(place, planned if wanted.batch_size else with_batch_size_for(executor, planned), loaded, executor)
    with place.local_copy(without=WORK) as folder:  # In a store, another build of the same may still have shards there.
        return str(place), check(folder, str(place))


def describe(
    folder: str | os.PathLike[str], out: str | os.PathLike[str], network: NetworkLike = "vgg16", *, progress: bool = True
) -> Dataset:
    """Make a dataset folder of images that were made elsewhere: index, hash, and status judged from the pixels.

    What only the making of an image tells, such as its activation, is None.

    Args:
        folder: Folder with `<layer>/filter-<n>.png`, 8-bit RGB and all of one size.
        out: Dataset folder to write, which must not be there yet.
        network: Whose layers they are: as for `build`.
        progress: Whether to show what is going on.

    Returns:
        The dataset, opened.

    Raises:
        UsageError: If the folder has no such files, or others than the network has filters.
        InvalidDataset: If validation finds something in the finished dataset; `error.report` has it.

    Examples:
        >>> amaxds.describe("filterActivations", "described", "vgg16").to_pandas().status.value_counts()
    """
    from amaxds.hubs.opened import Dataset

    images, place = local_path(folder, "folder"), local_path(out, "out")
    with model_file(network) as model:
        found = run_apart(_describe, progress, None, images, place, model)
    return Dataset(place, report=required(found))


def _describe(folder: Path, out: Path, network: str) -> ValidationReport:
    from amaxds.builds.describe import describe as write
    from amaxds.checks.validate import validate as check
    from amaxds.compute.networks import find_network

    write(folder, out, find_network(network))
    return check(out)


def open_dataset(path: DatasetLike) -> Dataset:
    """Open a dataset to read its records. Nothing is validated; see `validate`.

    Args:
        path: A dataset folder, a bundle as folder or zip, a URL of one such as `s3://bucket/name`, `owner/name[@revision]` on
            the Hugging Face Hub, or `kaggle:owner/name[@version]`. What is not on this machine is fetched now.

    Returns:
        The dataset: its length, iteration over its images, `dataset["block5_conv3", 5]`, `to_pandas()`.

    Raises:
        UsageError: If nothing is there, or it is no dataset.
        HubError: If it cannot be fetched from a hub.
        StoreError: If it cannot be fetched from a store.

    Examples:
        >>> with amaxds.open_dataset("demo-filter-activations") as dataset:
        ...     dataset["block3_conv1", 5].status
        'alive'
    """
    from amaxds.hubs.opened import Dataset

    dataset = path if isinstance(path, Dataset) else Dataset(dataset_name(path))
    _ = dataset.info
    return dataset
