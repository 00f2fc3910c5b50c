"""The card: the dataset folder's README.md, YAML and text, computed from the records and from build.json."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import TYPE_CHECKING

from amaxds.dataset.build_info import BuildInfo
from amaxds.dataset.licence import licence_of
from amaxds.dataset.record import descriptions, stored_types
from amaxds.dataset.summary import LayerSummary
from amaxds.spec.recipes import DEFAULT_RECIPE

if TYPE_CHECKING:
    import datasets
    import jinja2
    from huggingface_hub import DatasetCardData

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"))


def card_data(network: str, infos: Mapping[str, datasets.DatasetInfo]) -> DatasetCardData:
    """The YAML: licence and tags, one config per recipe with its features and splits."""
    from datasets.info import DatasetInfosDict
    from datasets.utils.metadata import MetadataConfigs
    from huggingface_hub import DatasetCardData

    default = default_config(list(infos))
    count = sum(split.num_examples for info in infos.values() for split in info.splits.values())
    data = DatasetCardData(
        license=licence_of(infos).huggingface,
        pretty_name="Filter activations",
        task_categories=["image-classification"],
        tags=["activation-maximization", "feature-visualization", "interpretability", network],
        size_categories=[next((name for limit, name in _SIZES if count < limit), "100K<n<1M")],
    )
    DatasetInfosDict(infos).to_dataset_card_data(data)
    configs = {
        name: {
            "data_files": [{"split": split, "path": f"{name}/{split}-*.parquet"} for split in info.splits],
            **({"default": True} if name == default else {}),
        }
        for name, info in infos.items()
    }
    MetadataConfigs(configs).to_dataset_card_data(data)
    return data


def default_config(recipes: Sequence[str]) -> str:
    """The config that is loaded where none is named."""
    return DEFAULT_RECIPE if DEFAULT_RECIPE in recipes else recipes[0]


def render_card(
    info: BuildInfo,
    infos: Mapping[str, datasets.DatasetInfo],
    summaries: Sequence[LayerSummary],
) -> str:
    """The whole of README.md. The same build gives the same text: no time and no machine is in it."""
    network = info.network
    default = default_config(list(info.recipes))
    text: str = template().render(
        yaml=card_data(network.name, infos).to_yaml().rstrip(),
        name=info.dataset,
        info=info,
        network=network,
        recipes=info.recipe_entries,
        default=default,
        images=info.images,
        dead=info.dead,
        summaries=summaries,
        counts={name: {split: info.splits[split].num_examples for split in info.splits} for name, info in infos.items()},
        licence=licence_of(infos),
        described=info.is_described,
        weights=info.network_entry.weights,
        convolutions=sum(layer.filters for layer in network.layers),
        columns=[(name, kind, descriptions()[name]) for name, kind in stored_types().items()],
        command=info.command,
    )
    return text


@functools.cache
def template() -> jinja2.Template:
    """The card's template, compiled."""
    import jinja2

    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True, trim_blocks=True)
    environment.filters |= {"code": _code, "plain": _plain}
    return environment.from_string((resources.files("amaxds") / "data" / "dataset_card.md").read_text("utf-8"))


def _code(text: str) -> str:
    """A name as code in Markdown, whatever backticks are in it."""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " if "`" in text else ""
    return f"{fence}{space}{text}{space}{fence}"


def _plain(text: str) -> str:
    """A name as text in Markdown: no markup in it is heeded."""
    return re.sub(r"[\\`*\[\]<>&|]|(?<!\w)_|_(?!\w)", r"\\\g<0>", text)
