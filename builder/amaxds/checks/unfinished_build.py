"""Builds that have not finished: how far they are, and whether their shards are what their units wrote."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from amaxds.builds.shards import WORK, read_shard, shard_path
from amaxds.checks.rules import ValidationReport
from amaxds.dataset.build_info import BUILD_FILE
from amaxds.dataset.build_reader import parse_identity
from amaxds.errors import AmaxdsError, DamagedShard, in_words
from amaxds.storage.files import read_text
from amaxds.storage.location import LocalPath


def check_unfinished(path: Path, report: ValidationReport) -> None:
    """Report how many units of an unfinished build are done, and name every shard that is damaged.

    A folder with a lock and nothing else is no finding: another build is just looking whether there is anything to do.
    """
    work = path / WORK
    try:
        if not stat.S_ISDIR(work.lstat().st_mode):
            report.add("shards", WORK, "is no folder of a build")
            return
        if set(os.listdir(work)) <= {"lock"}:
            return
        identity = parse_identity(read_text(work / BUILD_FILE))
    except FileNotFoundError:
        if work.exists():
            report.add("shards", WORK, "is left from a build that had not begun, or has finished: run it again")
        return
    except (OSError, ValueError, LookupError, TypeError, RecursionError, AmaxdsError) as error:
        report.add("shards", f"{WORK}/{BUILD_FILE}", f"cannot be used: {in_words(error)}")
        return
    shards, units, finished = LocalPath(work / "shards"), list(identity.plan.units()), 0
    for unit in units:
        shard = shard_path(shards, unit).path
        if not os.path.lexists(shard):
            continue
        try:
            read_shard(shards, unit, identity.plan.network.canvas, identity.digest)
            finished += 1
        except DamagedShard as damage:
            report.add("shards", shard.relative_to(path).as_posix(), damage.what)
    report.add("shards", WORK, f"holds a build with {finished} of {len(units)} units finished: run the same command to go on")
