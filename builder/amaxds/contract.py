"""The published contract: the files of `metadata/`, rendered from the definitions."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from amaxds.files import write_whole
from amaxds.network import NETWORKS, Network
from amaxds.record import json_schema


def contract_files() -> dict[str, str]:
    """File name -> content: the record's JSON Schema, and a table of the layers of each network."""
    tables = {f"layers-{name}.csv": layer_table(network) for name, network in sorted(NETWORKS.items())}
    return {"record.schema.json": json.dumps(json_schema(), indent=2) + "\n"} | tables


def layer_table(network: Network) -> str:
    """CSV of the layers; receptive field and stride in input pixels."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("name", "index", "filters", "receptive_field", "stride"))
    for layer in network.layers:
        writer.writerow((layer.name, layer.index, layer.filters, layer.receptive_field, layer.stride))
    return text.getvalue()


def write_contract(folder: Path) -> list[Path]:
    """Write all files of the contract; their paths."""
    for name, text in contract_files().items():
        write_whole(folder / name, text.encode())
    return [folder / name for name in contract_files()]
