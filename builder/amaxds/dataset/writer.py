"""The dataset folder, written whole from finished records in one pass over them.

vgg16-filter-activations/
  README.md                            card with YAML
  <recipe>/<split>-00000-of-00001.parquet
  contact-sheet-<recipe>.png
  croissant.json
  build.json                           written last
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from amaxds.dataset import contact_sheet, parquet
from amaxds.dataset.build_command import command_of
from amaxds.dataset.build_info import BUILD_FILE, FORMAT, BuildIdentity, BuildInfo
from amaxds.dataset.card import render_card
from amaxds.dataset.croissant import CROISSANT_FILE, render_croissant
from amaxds.dataset.record import Row
from amaxds.dataset.summary import summarise
from amaxds.image import decode_png
from amaxds.storage.files import write_json, write_whole

RankedRow = tuple[Row, int | None]
"""A record, and the filter of the layer whose image excites the record's filter most; None if ranks are not known."""


@dataclass(frozen=True)
class Begun:
    """When work began: by the calendar, which anyone may set, and by a clock that only goes forward."""

    calendar: float = field(default_factory=time.time)
    """Seconds since 1970."""
    clock: float = field(default_factory=time.monotonic)


def write_dataset(
    folder: Path, name: str, identity: BuildIdentity, rows: Mapping[str, Iterable[RankedRow]], begun: Begun
) -> BuildInfo:
    """Write all files of the dataset `name` into an empty folder; the build.json that it got.

    rows: recipe -> all its records in (layer, filter) order, each with the filter that ranks first. They are passed over once;
    in memory are the images of some hundred records, and the records without their images. DiskError where the disk refuses.
    """
    infos, records, outranked = {}, list[Row](), dict[str, list[dict[str, Any]]]()
    shown = {layer: contact_sheet.shown_filters(tuple(kept), len(identity.scope)) for layer, kept in identity.scope.items()}
    for recipe, pairs in rows.items():
        tiles: dict[str, list[contact_sheet.Tile]] = {}
        outranked[recipe] = []
        with parquet.split_writer(folder / recipe, identity.network) as write:
            for row, best in pairs:
                write(row)
                of_layer = tiles.setdefault(row["layer"], [])
                pixels = decode_png(row["image"]) if row["filter"] in shown[row["layer"]] else None
                of_layer.append(contact_sheet.make_tile(row["filter"], pixels, row["status"] == "dead"))
                records.append({key: value for key, value in row.items() if key != "image"})
                if row["status"] == "alive" and (row["activation_rank"] or 1) > 1:
                    place = {"layer": row["layer"], "filter": row["filter"]}
                    outranked[recipe].append(place | {"rank": row["activation_rank"], "best": best})
        infos[recipe] = parquet.dataset_info(identity.network, recipe, folder)
        write_whole(folder / f"contact-sheet-{recipe}.png", contact_sheet.contact_sheet(identity.network, tiles))
    summaries = summarise(records, identity.network)
    counts = {"images": len(records), "dead": sum(each.dead for each in summaries)}
    found = {"format": FORMAT, "dataset": name, "command": command_of(identity), "times": _times(begun), "outranked": outranked}
    info = BuildInfo.model_validate(identity.as_json() | counts | found)
    write_whole(folder / "README.md", render_card(info, infos, summaries).encode())
    write_whole(folder / CROISSANT_FILE, render_croissant(info, folder).encode())
    write_json(folder / BUILD_FILE, info.as_json())
    return info


def _times(begun: Begun) -> dict[str, Any]:
    def moment(seconds: float) -> str:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")

    finished, seconds = time.time(), time.monotonic() - begun.clock
    # A calendar that was set back meanwhile must not say that the work ended before it began.
    started = min(begun.calendar, finished - seconds)
    return {"started": moment(started), "finished": moment(finished), "seconds_of_last_run": round(seconds, 1)}
