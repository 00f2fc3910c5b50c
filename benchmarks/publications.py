"""Every request of a publication, and every operation on files, ended or failing. Part of `benchmarks/operations.py`.

The hubs are the loopback stand-ins of the tests, which the real clients publish to.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import kaggle_server
from support.commands import amaxds, start
from support.huggingface_server import HOME, HuggingFaceServer
from support.kaggle_server import KaggleServer

HUBS = {"kaggle": KaggleServer, "hf": HuggingFaceServer}
NAME = "demo-filter-activations"
REPO = f"owner/{NAME}"
RECEIPTS = {"kaggle": "receipt-kaggle.json", "hf": "receipt-huggingface.json"}
LOGIN = {"HF_TOKEN": "hf_test", **kaggle_server.LOGIN}
TRIED = re.compile("[a-z0-9_]{8}")
"""The names of files of four bytes that Python itself writes and deletes, to see whether there is a temporary folder."""
Server = KaggleServer | HuggingFaceServer
Outcome = tuple[str, str | None]
"""What became of a run, in a word or two, and what was bad of it."""


@dataclass(frozen=True)
class Undisturbed:
    """A publication that nothing happened to."""

    requests: list[str]
    operations: list[str]
    """The calls that change files, each with its path."""
    files: dict[str, bytes]
    """What is published then."""
    left: set[str]
    """The files that are there afterwards."""


def publish_undisturbed(hub: str, dataset: Path, folder: Path) -> Undisturbed:
    """Publish the dataset to the stand-in of a hub, with a home in `folder`."""
    here = _prepared(folder / f"{hub}-whole", dataset)
    with HUBS[hub]() as server:
        ended = _publish(hub, here, {"OPERATIONS_LOG": str(folder / f"{hub}-operations")})
        assert ended.returncode == 0, ended.stderr
        requests = [" ".join(each) for each in server.requests]
        (version,) = _versions(server)
    operations = (folder / f"{hub}-operations").read_text().splitlines()
    return Undisturbed(requests, operations, version.files, _files(here))


def fail_at_request(hub: str, dataset: Path, here: Path, number: int, fault: str, whole: Undisturbed) -> Outcome:
    """What becomes of a publication that is killed at its n-th request, or whose request is answered with an error of the
    server: in a word or two, and what was bad of it."""
    _prepared(here, dataset)
    with HUBS[hub]() as server:
        process = start(*_words(hub), cwd=here, **_variables(here))

        def meet(arrived: int) -> None:
            if arrived == number and fault == "killed":
                os.kill(process.pid, signal.SIGKILL)
            elif arrived == number:
                method, path = server.requests[-1]
                server.fail(path) if isinstance(server, KaggleServer) else server.fail(method, path, status=500)

        server.on_request = meet
        errors = process.communicate(timeout=300)[1]
        server.on_request = lambda arrived: None
        server.failures.clear()
        return _judged(hub, server, here, process.returncode or 0, errors, whole)


def fail_at_operation(hub: str, dataset: Path, here: Path, number: int, error: int, whole: Undisturbed) -> Outcome:
    """The same of a publication that is killed at its n-th operation on files, or whose operation fails with that error."""
    _prepared(here, dataset)
    with HUBS[hub]() as server:
        ended = _publish(hub, here, {"OPERATIONS_AT": str(number), "OPERATIONS_ERROR": str(error)})
        return _judged(hub, server, here, ended.returncode, ended.stderr, whole)


def _judged(hub: str, server: Server, here: Path, code: int, errors: str, whole: Undisturbed) -> Outcome:
    outcome = {0: "ended well", -signal.SIGKILL: "killed"}.get(code, "said")
    published = [version.files for version in _versions(server)]
    if outcome == "ended well" and published != [whole.files]:
        return outcome, f"exit 0, and {len(published)} versions are published, or other files"
    if outcome == "said":
        lines = errors.strip().splitlines()[-2:]
        if "unexpected" in errors or "Traceback" in errors or len(lines) < 2 or not lines[0].startswith("amaxds: "):
            return outcome, f"exit {code}: {lines}"
    if (here / NAME / RECEIPTS[hub]).exists() and published != [whole.files]:
        return outcome, "there is a receipt for what is not published"
    if amaxds("validate", here / NAME).returncode != 0:
        return outcome, "the dataset is not valid any more"
    again = _publish(hub, here, {})
    if again.returncode != 0:
        return outcome, f"again: exit {again.returncode}: {again.stderr.strip().splitlines()[-2:]}"
    published = [version.files for version in _versions(server)]
    if published != [whole.files]:
        return outcome, f"again: {len(published)} versions are published, or other files"
    if others := {name for name in _files(here) ^ whole.left if not TRIED.fullmatch(name.removeprefix("temporary/"))}:
        return outcome, f"left behind or missing: {', '.join(sorted(others)[:3])}"
    return outcome, None


def _prepared(here: Path, dataset: Path) -> Path:
    """A home with the dataset and a temporary folder."""
    shutil.copytree(dataset, here / NAME)
    (here / "temporary").mkdir()
    return here


def _words(hub: str) -> tuple[str, ...]:
    return ("publish", "--to", hub, "--allow-partial", "--yes")


def _variables(here: Path) -> dict[str, str]:
    return LOGIN | {"HOME": str(here), "TMPDIR": str(here / "temporary")}


def _publish(hub: str, here: Path, told: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return amaxds(*_words(hub), cwd=here, **_variables(here), OPERATIONS_UNDER=f"{here}:{HOME}", **told)


def _versions(server: Server) -> list[Any]:
    """Those that are published, without the empty one that a repository begins with."""
    if isinstance(server, KaggleServer):
        return server.datasets[REPO].versions if REPO in server.datasets else []
    return server.repos[REPO].commits[1:] if REPO in server.repos else []


def _files(here: Path) -> set[str]:
    return {str(path.relative_to(here)) for path in here.rglob("*") if path.is_file()}
