"""Tables of layers and of networks, as CSV."""

from __future__ import annotations

import csv
import io

from amaxds.spec.applications import APPLICATIONS
from amaxds.spec.network import NETWORKS, Network


def layer_table(network: Network) -> str:
    """CSV of the layers that images can be made for; receptive field, empty where it is not bounded, and stride in input
    pixels."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("name", "index", "filters", "receptive_field", "stride"))
    for layer in network.usable:
        writer.writerow((layer.name, layer.index, layer.filters, layer.receptive_field, layer.stride))
    return text.getvalue()


def network_table() -> str:
    """CSV of all networks by name; canvas in pixels, layers that images can be made for on it, and their filters."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("name", "canvas", "layers", "filters"))
    for network in NETWORKS.values():
        writer.writerow((network.name, network.canvas, len(network.usable), network.filters))
    for known in APPLICATIONS.values():
        writer.writerow((known.name, known.canvas, known.layers, known.filters))
    return text.getvalue()
