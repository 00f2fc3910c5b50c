"""Packaging: finished rows become a whole dataset folder: data, contact sheets, card, Croissant, and build.json."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from amaxds.dataset import card, contact_sheet, parquet, summary
from amaxds.dataset.build_info import BUILD_FILE, FORMAT, Identity
from amaxds.dataset.croissant import CROISSANT_FILE, render_croissant
from amaxds.dataset.summary import LayerSummary
from amaxds.image import decode_png
from amaxds.spec.network import Network
from amaxds.storage.files import write_json, write_whole


@dataclass(frozen=True)
class Begun:
    """When work began: by the calendar, which anyone may set, and by a clock that only goes forward."""

    calendar: float = field(default_factory=time.time)
    """Seconds since 1970."""
    clock: float = field(default_factory=time.monotonic)


def write_dataset(
    folder: Path,
    scratch: Path,
    name: str,
    network: Network,
    identity: Identity,
    command: str,
    rows: Mapping[str, parquet.Rows],
    outranked: Mapping[str, Sequence[Mapping[str, Any]]],
    begun: Begun,
) -> None:
    """Write all files of the dataset `name` into an empty folder. rows: recipe -> all its records, anew at every call."""
    infos, records = {}, []
    for recipe, give in rows.items():
        parquet.package(network, recipe, give, folder, scratch)
        infos[recipe] = parquet.dataset_info(network, recipe, folder)
        tiles: dict[str, list[contact_sheet.Tile]] = {}
        for row in give():
            tiles.setdefault(row["layer"], []).append(
                contact_sheet.make_tile(decode_png(row["image"]), row["status"] == "dead")
            )
            records.append({key: value for key, value in row.items() if key != "image"})
        write_whole(folder / f"contact-sheet-{recipe}.png", contact_sheet.contact_sheet(tiles))
    summaries = summary.summarise(records, network)
    stored = _build_file(identity, name, command, summaries, begun) | {"outranked": outranked}
    write_whole(folder / "README.md", card.render_card(identity, name, infos, summaries).encode())
    write_whole(folder / CROISSANT_FILE, render_croissant(stored, folder).encode())
    write_json(folder / BUILD_FILE, stored)


def _build_file(identity: Identity, name: str, command: str, summaries: Sequence[LayerSummary], begun: Begun) -> dict[str, Any]:
    def moment(seconds: float) -> str:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")

    finished, seconds = time.time(), time.monotonic() - begun.clock
    # A calendar that was set back meanwhile must not say that the work ended before it began.
    started = min(begun.calendar, finished - seconds)
    return {
        "format": FORMAT,
        "dataset": name,
        **identity,
        "images": sum(each.images for each in summaries),
        "dead": sum(each.dead for each in summaries),
        "command": command,
        "times": {
            "started": moment(started),
            "finished": moment(finished),
            "seconds_of_last_run": round(seconds, 1),
        },
    }
