"""The records as a `datasets` builder, for those who want to prepare them with Hugging Face's own machinery.

`amaxds build` writes the same files in one pass (`parquet.split_writer`): a builder passes over its rows once for each split,
and deletes its output where one of them fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

import datasets

from amaxds.dataset import record
from amaxds.dataset.parquet import stored_row
from amaxds.dataset.record import Row
from amaxds.spec.network import Network
from amaxds.spec.recipes import DESCRIBED, RECIPES
from amaxds.spec.splits import SPLITS, split_of


class FilterActivations(datasets.GeneratorBasedBuilder):  # type: ignore[misc]  # the library has no types
    """The records of one recipe, which the config names, in their splits.

    network: whose layers the class labels are. rows: called for every split, gives all records in (layer, filter) order.
    """

    BUILDER_CONFIGS: ClassVar = [
        datasets.BuilderConfig(name=name, version="1.0.0", description=f"Images made with the recipe `{name}`.")
        for name in (*RECIPES, DESCRIBED.name)
    ]

    def __init__(self, *args: Any, network: Network, rows: Callable[[], Iterable[Row]], **kwargs: Any) -> None:
        self.network, self.rows = network, rows
        self._split = {(layer.name, filter): split for layer in network.layers for filter, split in split_of(layer).items()}
        super().__init__(*args, **kwargs)

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(features=record.features(self.network))

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        present = {self._split[row["layer"], row["filter"]] for row in self.rows()}
        return [datasets.SplitGenerator(name=split, gen_kwargs={"split": split}) for split in SPLITS if split in present]

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        for key, row in enumerate(self.rows()):
            if self._split[row["layer"], row["filter"]] == split:
                yield key, stored_row(row)
