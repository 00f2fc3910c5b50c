"""The published contract: the files of `metadata/`, rendered from the definitions.

The examples describe the demo network's whole dataset under both recipes. They show what the definitions decide; the data
files they describe are empty, so the checksums in them are those of empty files.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from amaxds.checks.rules import RULES
from amaxds.dataset.build_command import command_of
from amaxds.dataset.build_info import FORMAT, BuildInfo, BuildRequest
from amaxds.dataset.bundle_files import kaggle_metadata, render_bundle_croissant
from amaxds.dataset.croissant import render_croissant
from amaxds.dataset.record import json_schema
from amaxds.spec.network import DEMO, NETWORKS
from amaxds.spec.plan import make_plan
from amaxds.spec.recipes import DEFAULT_RECIPE, RECIPES
from amaxds.spec.splits import SPLITS
from amaxds.spec.tables import layer_table
from amaxds.storage.files import disk_errors, write_whole
from amaxds.storage.scratch import temporary_folder


def contract_files() -> dict[str, str]:
    """The files by name: JSON Schemas, layer tables, the rules of validation, and an example of each description."""
    info = _example_build()
    part = info.of_recipe(DEFAULT_RECIPE)
    return {
        "record.schema.json": _json(json_schema()),
        "build.schema.json": _json(build_schema()),
        "rules.md": rules_page(),
        "croissant.example.json": _example_croissant(info),
        "croissant.bundle.example.json": render_bundle_croissant(part, [{"status": "alive"}] * DEMO.filters, b""),
        "dataset-metadata.example.json": _json(kaggle_metadata(part, dead=0)),
        **{f"layers-{name}.csv": layer_table(network) for name, network in sorted(NETWORKS.items())},
    }


def build_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of build.json."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | BuildInfo.model_json_schema()


def rules_page() -> str:
    """rules.md: what validation looks for, a section for each rule."""
    sections = [f"## {code}\n\nIn a valid dataset: {rule.sentence}.\n\n{rule.meaning}\n" for code, rule in RULES.items()]
    head = (
        "# What `amaxds validate` looks for\n\n"
        "It takes a dataset folder, a bundle for Kaggle as folder or zip, or the name of a dataset on a hub, and lists all "
        "findings, each under the code of the rule that is broken and with its place. Exit code 0: none, 1: some. The data is "
        "not trusted: sizes are bounded before anything is decoded, nothing is unpacked, no link is followed, no program is "
        "run.\n\n"
    )
    return head + "\n".join(sections)


def write_contract(folder: Path) -> list[Path]:
    """Write all files of the contract into a folder, and return their paths."""
    files = contract_files()
    for name, text in files.items():
        write_whole(folder / name, text.encode())
    return [folder / name for name in files]


def _example_build() -> BuildInfo:
    plan = make_plan(DEMO, list(RECIPES))
    request = BuildRequest.of_plan(plan, "pretrained", "0" * 64)
    moment = "2000-01-01T00:00:00+00:00"
    made: dict[str, Any] = {
        "software": {"python": "3", "backend": "none", "amaxds": "0", "settings": {}},
        "device": None,
        "format": FORMAT,
        "dataset": f"{DEMO.name}-filter-activations",
        "images": plan.images,
        "dead": 0,
        "command": command_of(request),
        "times": {"started": moment, "finished": moment, "seconds_of_last_run": 0.0},
        "outranked": {recipe: [] for recipe in RECIPES},
    }
    return BuildInfo.model_validate(request.as_json() | made)


def _example_croissant(info: BuildInfo) -> str:
    with temporary_folder() as folder:
        with disk_errors(folder):
            for recipe in RECIPES:
                (folder / recipe).mkdir()
                for split in SPLITS:
                    (folder / recipe / f"{split}-00000-of-00001.parquet").touch()
        return render_croissant(info, folder)


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
