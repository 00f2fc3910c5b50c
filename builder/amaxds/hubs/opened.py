"""A dataset that is opened by its name, wherever it is, for a program to read its records one by one."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import weakref
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Self

from amaxds.dataset.build_info import BuildInfo
from amaxds.dataset.filter_image import FilterImage, FilterImages
from amaxds.dataset.reader import DatasetReader, open_dataset
from amaxds.dataset.record import Row, stored_types
from amaxds.dataset.summary import LayerSummary, summarise
from amaxds.errors import UsageError, nearest, whole_number
from amaxds.hubs.locate import fetched
from amaxds.spec.network import Layer
from amaxds.spec.recipes import Recipe
from amaxds.storage.files import given_path

if TYPE_CHECKING:
    import pandas

    from amaxds.checks.rules import ValidationReport

_LAYERS_IN_MEMORY = 2


class _Source:
    """Where the records are read from: the dataset is fetched when the first is asked for, and what was fetched is deleted
    when it is closed, or nobody has it any more."""

    def __init__(self, name: str, place: str | None = None) -> None:
        self._name, self._held = name, contextlib.ExitStack()
        # Where it is now, as it is read later, when the program may be in another folder.
        self.place = place or (os.path.abspath(name) if os.path.exists(name) else name)
        self.close = weakref.finalize(self, self._held.close)
        self.layer = functools.lru_cache(_LAYERS_IN_MEMORY)(functools.partial(_read_layer, weakref.proxy(self)))

    def __reduce__(self) -> tuple[type[Self], tuple[str, str]]:
        """Pickled by its name: whoever has it then opens it again."""
        return type(self), (self._name, self.place)

    @functools.cached_property
    def reader(self) -> DatasetReader:
        self._require_open()
        return self._held.enter_context(open_dataset(self._held.enter_context(fetched(self.place)), self._name))

    def rows(self, recipe: Recipe, layer: Layer, images: bool = True) -> list[Row]:
        """The records of one layer under one recipe, as many as there are."""
        self._require_open()
        return self.reader.rows(recipe, layer, images)

    def _require_open(self) -> None:
        if not self.close.alive:
            raise UsageError(f"{self._name} was closed.", "Open it again: amaxds.open_dataset(...).")


def _read_layer(source: _Source, recipe: Recipe, layer: Layer) -> FilterImages:
    return FilterImages([FilterImage.of_row(row) for row in source.rows(recipe, layer)])


class Dataset:
    """A dataset, opened. Its length is the number of its images, and iterating over it gives each as a `FilterImage`, in the
    order of recipe, layer and filter.

    `dataset["block5_conv3", 5]` is the image of one filter. Where the dataset has several recipes, choose one first:
    `dataset.recipe("clear")["block5_conv3", 5]`. Nothing is validated here: see `amaxds.validate`.

    Images are read when they are asked for, a layer at a time. What had to be fetched for that is deleted when the dataset is
    closed: by `close`, at the end of a `with` block, or when it is no longer used. Pickled, it is opened again by its name.

    Examples:
        >>> with amaxds.open_dataset("demo-filter-activations") as dataset:
        ...     print(dataset)
        ...     print(("block3_conv1", 5) in dataset, dataset["block3_conv1", 5].status)
        ...     dead = [image.title for image in dataset if image.status == "dead"]
        ...     table = dataset.to_pandas()
        <Dataset demo-filter-activations: 528 images of demo, clear>
        True alive
    """

    def __init__(
        self,
        name: str | os.PathLike[str],
        recipe: str | None = None,
        source: _Source | None = None,
        report: ValidationReport | None = None,
    ) -> None:
        """recipe: of which one it is a part. report: what validation has found, where it was validated just now."""
        self._name, self._chosen, self._report = given_path(name, "dataset"), recipe, report
        self._source = source or _Source(self._name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Delete what was fetched. Images that were read stay; no other can be read."""
        self._source.close()

    @property
    def name(self) -> str:
        """What it was opened by: a path, a URL, or `owner/name`."""
        return self._name

    @property
    def place(self) -> str:
        """What it can be opened by here: its name, or where that was given in another folder, an absolute path."""
        return self._name if os.path.abspath(self._name) == self._source.place else self._source.place

    @property
    def info(self) -> BuildInfo:
        """What build.json says of how the images were made: network, weights digest, recipes in full, seed, software, device.
        `info.as_json()` is a dict of it."""
        return self._source.reader.info

    @property
    def network(self) -> str:
        """The network's name."""
        return self.info.network.name

    @property
    def recipes(self) -> tuple[str, ...]:
        """The names of the recipes, or the one that was chosen."""
        return tuple(self.info.recipes) if self._chosen is None else (self._chosen,)

    @property
    def is_part(self) -> bool:
        """Whether it is what one recipe made, of a dataset of several."""
        return self._chosen is not None and len(self.info.recipes) > 1

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the layers that it has images of, in the order of the network."""
        return tuple(self.info.scope)

    def recipe(self, name: str) -> Dataset:
        """The part of the dataset that was made by one recipe; UsageError for a recipe that it does not have."""
        if name not in self.recipes:
            raise UsageError(
                f"{self.name} has no recipe {name!r}.", f"{nearest(name, self.recipes)}It has {', '.join(self.recipes)}."
            )
        return Dataset(self._name, name, self._source)

    def layer(self, name: str) -> FilterImages:
        """The images of one layer, under all recipes; UsageError for a layer that it has no images of."""
        return FilterImages([image for recipe in self._recipes() for image in self._images(recipe, name)])

    def __len__(self) -> int:
        return len(self.recipes) * self.info.filters

    def __iter__(self) -> Iterator[FilterImage]:
        for recipe in self._recipes():
            for layer in self.layers:
                yield from self._images(recipe, layer)

    def __reversed__(self) -> Iterator[FilterImage]:
        for recipe in reversed(list(self._recipes())):
            for layer in reversed(self.layers):
                yield from reversed(self._images(recipe, layer))

    def __contains__(self, key: object) -> bool:
        """Whether there is an image of (layer, filter)."""
        match key:
            case (str() as name, filter):
                with contextlib.suppress(UsageError):
                    return whole_number(filter, "filter") in self.info.scope.get(name, ())
        return False

    def __getitem__(self, key: tuple[str, int]) -> FilterImage:
        """The image of (layer, filter); UsageError where there is none, or where several recipes made one."""
        if not (isinstance(key, tuple) and len(key) == 2 and isinstance(key[0], str)):
            raise UsageError(f"{key!r} is no layer and filter.", 'Write dataset["block5_conv3", 5].')
        name, filter = key[0], whole_number(key[1], "filter")
        layer, filters = self._layer(name), self.info.scope[name]
        if filter not in filters:
            close = min(filters, key=lambda each: abs(each - filter))
            raise UsageError(
                f"{self.name} has no image of filter {filter!r} of {name}.",
                f"It has those of {len(filters)} filters; the nearest is {close}.",
            )
        if len(self.recipes) > 1:
            raise UsageError(
                f"{self.name} has an image of {name}/{filter} for each recipe.",
                f'Choose one: dataset.recipe("{self.recipes[0]}")["{name}", {filter}]; there is {", ".join(self.recipes)}.',
            )
        found = {image.filter: image for image in self._source.layer(next(self._recipes()), layer)}
        self._require(name, [filter], found)
        return found[filter]

    @property
    def summary(self) -> list[LayerSummary]:
        """One `LayerSummary` for each recipe and layer, in that order: the table that `amaxds build` prints."""
        if self._report is not None:
            return self._report.summaries
        return summarise(self._rows(), self.info.network)

    def to_pandas(self, images: bool = False) -> pandas.DataFrame:
        """All records as a pandas DataFrame, a row each.

        Args:
            images: Whether there is a column `image`, of PIL images. They take much memory: 150 kB each for VGG16.

        Returns:
            The columns of the dataset, with layer and status by name, and `split`.
        """
        import pandas

        columns = [*stored_types(), "split"]
        if images:
            rows = [{name: getattr(each, name) for name in columns} for each in self]
        else:
            columns.remove("image")
            rows = self._rows()
        return pandas.DataFrame([{name: row[name] for name in columns} for row in rows], columns=columns)

    def __repr__(self) -> str:
        return f"<Dataset {self.name}: {len(self)} images of {self.network}, {', '.join(self.recipes)}>"

    def _rows(self) -> list[dict[str, object]]:
        """All records without images."""
        found = []
        for recipe, name in itertools.product(self._recipes(), self.layers):
            rows = self._source.rows(recipe, self._layer(name), images=False)
            self._require(name, self.info.scope[name], {row["filter"] for row in rows})
            found += rows
        return found

    def _images(self, recipe: Recipe, name: str) -> FilterImages:
        images = self._source.layer(recipe, self._layer(name))
        self._require(name, self.info.scope[name], {each.filter for each in images})
        return images

    def _require(self, layer: str, filters: Sequence[int], found: Collection[int | None]) -> None:
        """UsageError where one of the filters' images was not found, as in a folder that was moved or deleted since."""
        if missing := [each for each in filters if each not in found]:
            self._source.layer.cache_clear()  # The files may come back.
            others = f" and {len(missing) - 1} more" * (len(missing) > 1)
            raise UsageError(
                f"{self.name} lacks the image of filter {missing[0]} of {layer}{others}.",
                "`amaxds validate` says what else is wrong with it.",
            )

    def _recipes(self) -> Iterator[Recipe]:
        return (recipe for name, recipe in self.info.recipes.items() if name in self.recipes)

    def _layer(self, name: str) -> Layer:
        if name not in self.layers:
            raise UsageError(
                f"{self.name} has no images of a layer {name!r}.",
                f"{nearest(name, self.layers)}It has {', '.join(self.layers)}.",
            )
        return self.info.network.layer(name)
