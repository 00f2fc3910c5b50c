"""Every operation on files, ended or failing: what a command leaves behind, and whether the next run makes up for it.

    python benchmarks/operations.py [--every N] [--from N] [SCENARIO ...] > benchmarks/operations.md

Each scenario runs once undisturbed, and the calls that change files (open to write, write, fsync, rename, unlink, mkdir ...)
are counted. Then it runs twice for every n: with the process ended at the n-th call, as by `kill -9`, and with that call
failing (a full disk, a fault of the device or a lack of rights, in turn). In a store the requests that change it are counted:
the process is ended at the n-th, that one is answered with an error of the server, or all from there on are refused. Of a
publication both are counted, operations on files and requests of any kind; it goes to the stand-ins that the tests have for
the hubs.

After that `validate` must not say valid of what is not finished, an error must be two lines and not "unexpected", and the same
command again must end in the same bytes with nothing else left, in the temporary folder neither. After a publication the same
command again must leave one version with the same files at the hub, and no receipt may be there before.

--every N: only every N-th call, the last one included. --from N: only calls from the N-th on, of one scenario but a
publication, to go on where a run was cut off; the table is then of these alone. Each run is told to standard error as it ends.
Needs a C compiler (cc). On 2 cores, beside other work, the publications
took 20 minutes (Kaggle) and 44 (Hugging Face).
"""

from __future__ import annotations

import argparse
import atexit
import errno
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).parents[1] / "tests"
sys.path.insert(0, str(TESTS))
import publications
import s3fs

from support.commands import amaxds, start_build
from support.object_store import ObjectStore

TINY = (
    *("--network", "demo", "--recipe", "original", "--steps", "1"),
    *("--layers", "block1_conv1,block1_conv2", "--filters", "0,5", "--workers", "1"),
)
FAULTS = {"killed": 0, "ENOSPC": errno.ENOSPC, "EIO": errno.EIO, "EACCES": errno.EACCES}
ERRORS = tuple(FAULTS)[1:]


@dataclass(frozen=True)
class Scenario:
    """A command that writes OUT, in a folder of its own that has `dataset` in it where `needs_dataset` is true."""

    command: tuple[str, ...]
    out: str
    needs_dataset: bool = True
    validated: bool = True
    """Whether OUT is something that `validate` takes."""


SCENARIOS = {
    "build": Scenario(("build", "out", *TINY), "out", needs_dataset=False),
    "bundle": Scenario(("bundle", "dataset", "out"), "out"),
    "describe": Scenario(("describe", "dataset-images", "out", "--network", "demo"), "out"),
    "report": Scenario(("report", "dataset", "out", "--no-neighbours"), "out", validated=False),
}

IN_A_STORE = "build in a store"
PUBLICATIONS = {"publish to Kaggle": "kaggle", "publish to Hugging Face": "hf"}


Choice = Callable[[int], list[int]]
"""The calls that are tried, by number from 1, of so many."""


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--from", type=int, default=1, dest="first")
    parser.add_argument("scenarios", nargs="*")
    given = parser.parse_args()
    if given.first > 1 and (len(given.scenarios) != 1 or given.scenarios[0] in PUBLICATIONS):
        parser.error("--from needs one scenario, and no publication")

    def choose(count: int) -> list[int]:
        if given.first > count:
            parser.error(f"there are {count} calls")
        return [each for each in sorted({*range(given.every, count + 1, given.every), count}) if each >= given.first]

    _preload()
    bad = 0
    print("| command | operations | runs | ended well | said in two lines | bad |\n|---|--:|--:|--:|--:|--:|", flush=True)
    problems: list[str] = []
    with tempfile.TemporaryDirectory(prefix="operations-") as name:
        folder = Path(name)
        dataset = folder / "dataset"
        assert amaxds("build", dataset, *TINY).returncode == 0
        assert amaxds("bundle", dataset, folder / "bundle").returncode == 0
        shutil.move(folder / "bundle" / "filterActivations", folder / "dataset-images")
        for scenario in given.scenarios or (*SCENARIOS, IN_A_STORE, *PUBLICATIONS):
            if scenario in SCENARIOS:
                line, found = _measure(scenario, SCENARIOS[scenario], folder, choose)
            elif scenario == IN_A_STORE:
                line, found = _measure_store(folder, choose)
            else:
                line, found = _measure_publication(scenario, folder, choose)
            problems += found
            bad += len(found)
            print(line, flush=True)
    print(f"\n{bad} bad", *(f"- {each}" for each in problems), sep="\n")
    return 1 if bad else 0


def _preload() -> None:
    """Have the process that commands are forked from, which is started later, count its operations."""
    folder = tempfile.mkdtemp(prefix="operations-")
    atexit.register(shutil.rmtree, folder)
    library = f"{folder}/file_operations.so"
    source = TESTS / "support" / "file_operations.c"
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    os.environ["LD_PRELOAD"] = library


def _measure(name: str, scenario: Scenario, folder: Path, choose: Choice) -> tuple[str, list[str]]:
    """The table's line of one scenario, and what was bad of it, a line each."""
    whole = _prepared(folder, scenario, f"{name}-whole")
    ended = _run(whole, scenario, log="operations")
    assert ended.returncode == 0, ended.stderr
    operations = (whole / "operations").read_text().splitlines()
    due = _tree(whole / scenario.out)
    numbers = choose(len(operations))
    runs = [(number, fault) for number in numbers for fault in _faults_at(number)]

    def case(run: tuple[int, str]) -> tuple[str, str | None]:
        number, fault = run
        here = _prepared(folder, scenario, f"{name}-{number}-{fault}")
        try:
            found = _case(here, scenario, number, fault, due)
        finally:
            shutil.rmtree(here, ignore_errors=True)
        return _told(name, number, fault, operations[number - 1].replace(str(whole), "").strip(), found)

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(case, runs))
    return _line(name, operations, results)


def _told(name: str, number: int, fault: str, what: str, found: tuple[str, str | None]) -> tuple[str, str | None]:
    """The outcome of a run and what was bad of it, as they were found, and told to standard error."""
    outcome, problem = found
    place = f"{name}, {fault} at {number} ({what})"
    print(f"{place}: {problem or outcome}", file=sys.stderr, flush=True)
    return outcome, problem and f"{place}: {problem}"


def _faults_at(number: int) -> tuple[str, str]:
    """What happens at the n-th call, in a run each."""
    return "killed", ERRORS[number % len(ERRORS)]


def _measure_publication(name: str, folder: Path, choose: Choice) -> tuple[str, list[str]]:
    """The same as `_measure` for a publication, and for its requests."""
    hub = PUBLICATIONS[name]
    dataset = folder / "named" / publications.NAME
    if not dataset.exists():
        assert amaxds("build", dataset, *TINY).returncode == 0
    whole = publications.publish_undisturbed(hub, dataset, folder)
    results: list[tuple[str, str | None]] = []

    for number in choose(len(whole.requests)):
        for fault in ("killed", "500"):
            here = folder / f"{hub}-request-{number}-{fault}"
            found = publications.fail_at_request(hub, dataset, here, number, fault, whole)
            results.append(_told(name, number, fault, whole.requests[number - 1], found))
            shutil.rmtree(here)
    for number in choose(len(whole.operations)):
        for fault in _faults_at(number):
            here = folder / f"{hub}-{number}-{fault}"
            found = publications.fail_at_operation(hub, dataset, here, number, FAULTS[fault], whole)
            results.append(_told(name, number, fault, whole.operations[number - 1].rpartition("/")[2], found))
            shutil.rmtree(here)
    return _line(name, [*("request" for _ in whole.requests), *whole.operations], results)


def _line(name: str, operations: list[str], results: list[tuple[str, str | None]]) -> tuple[str, list[str]]:
    counts, problems = Counter(outcome for outcome, _ in results), [problem for _, problem in results if problem]
    told = ", ".join(f"{count} {kind}" for kind, count in Counter(each.split()[0] for each in operations).most_common())
    cells = name, f"{len(operations)}: {told}", len(results), counts["ended well"], counts["said"], len(problems)
    return f"| {' | '.join(map(str, cells))} |", problems


def _measure_store(folder: Path, choose: Choice) -> tuple[str, list[str]]:
    """The same as `_measure` for a build in a store."""
    results: list[tuple[str, str | None]] = []
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with ObjectStore() as store:
        variables = {"AWS_ENDPOINT_URL": store.url, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
        os.environ.update(variables, AWS_DEFAULT_REGION="us-east-1")
        s3fs.S3FileSystem(skip_instance_cache=True).mkdir(store.bucket)
        operations: list[str] = []

        def count(request: Mapping[str, str]) -> None:
            if request["REQUEST_METHOD"] in ("PUT", "POST", "DELETE"):
                operations.append(f"{request['REQUEST_METHOD']} {request['PATH_INFO']}")

        store.refused = count
        whole = store.place("whole/out")
        assert amaxds("build", whole, *TINY).returncode == 0
        store.refused = lambda request: None
        due, total = store.fetched(whole, folder / "fetched-whole"), list(operations)
        for number in choose(len(total)):
            for fault in ("killed", "500", "403"):
                found = _case_in_store(store, folder, number, fault, due)
                results.append(_told(IN_A_STORE, number, fault, total[number - 1], found))
    return _line(IN_A_STORE, total, results)


def _case_in_store(store: ObjectStore, folder: Path, number: int, fault: str, due: dict[str, bytes]) -> tuple[str, str | None]:
    place, seen, process = store.place(f"{number}-{fault}/out"), 0, None
    started = threading.Event()

    def meet(request: Mapping[str, str]) -> tuple[str, str] | None:
        nonlocal seen
        changes = request["REQUEST_METHOD"] in ("PUT", "POST", "DELETE")
        seen += changes
        if seen < number or (fault != "403" and not (changes and seen == number)):
            return None
        if fault == "killed":
            started.wait()
            assert process is not None
            process.kill()
            return None
        return ("500 Internal Server Error", "InternalError") if fault == "500" else ("403 Forbidden", "AccessDenied")

    store.refused = meet
    process = start_build(str(place), *TINY)
    started.set()
    errors = process.communicate(300)[1]
    store.refused = lambda request: None
    names = store.names(place)
    finished = bool(names) and ".amaxds/build.json" not in names  # Without that the other working files mean nothing.
    left = store.fetched(place, folder / f"fetched-{number}-{fault}") if finished else {}
    whole = {name: content for name, content in left.items() if not name.startswith(".amaxds/")} == due
    outcome = {0: "ended well", -signal.SIGKILL: "killed"}.get(process.returncode or 0, "said")
    if outcome == "ended well" and not whole:
        return outcome, "exit 0, but other files"
    if outcome == "said" and ("unexpected" in errors or not errors.strip().splitlines()[-2].startswith("amaxds: ")):
        return outcome, f"exit {process.returncode}: {errors.strip().splitlines()[-2:]}"
    found = amaxds("validate", place)
    if (found.returncode == 0 and not whole) or "unexpected" in found.stderr:
        return outcome, f"validate: exit {found.returncode} {found.stderr.strip()}"
    again = amaxds("build", place, *TINY)
    if again.returncode != 0:
        return outcome, f"again: exit {again.returncode}: {again.stderr.strip().splitlines()[-2:]}"
    made = store.fetched(place, folder / f"again-{number}-{fault}")
    return outcome, None if made == due else f"again: {_difference(made, due)}"


def _prepared(folder: Path, scenario: Scenario, name: str) -> Path:
    """A folder for one run, with what it needs and a temporary folder."""
    here = folder / name
    (here / "tmp").mkdir(parents=True)
    if scenario.needs_dataset:
        for each in ("dataset", "dataset-images"):
            (here / each).symlink_to(folder / each)
    return here


def _run(
    here: Path, scenario: Scenario, log: str | None = None, at: int = 0, error: int = 0
) -> subprocess.CompletedProcess[str]:
    told = {"OPERATIONS_LOG": str(here / log)} if log else {}
    variables = {
        "OPERATIONS_UNDER": str(here),
        "OPERATIONS_AT": str(at),
        "OPERATIONS_ERROR": str(error),
        "TMPDIR": str(here / "tmp"),
    }
    return amaxds(*scenario.command, cwd=here, **variables, **told)


def _case(here: Path, scenario: Scenario, number: int, fault: str, due: dict[str, bytes]) -> tuple[str, str | None]:
    """What became of one run with a fault, in a word or two, and what was bad of it."""
    out = here / scenario.out
    ended = _run(here, scenario, at=number, error=FAULTS[fault])
    killed, left = ended.returncode == -signal.SIGKILL, _tree(out)
    if killed:
        left.pop(".amaxds/", None)  # A finished dataset with an empty working folder is a finished dataset.
    whole = left == due
    outcome = "killed" if killed else "said" if ended.returncode else "ended well"
    if outcome == "ended well" and not whole:
        return outcome, f"exit 0, but {_difference(left, due)}"
    if outcome == "said":
        lines = ended.stderr.strip().splitlines()[-2:]
        if "unexpected" in ended.stderr or "Traceback" in ended.stderr or not lines[0].startswith("amaxds: "):
            return outcome, f"exit {ended.returncode}: {lines}"
    if scenario.validated and out.exists() and not whole:
        found = amaxds("validate", out)
        if found.returncode == 0:
            return outcome, f"valid, though {_difference(left, due)}"
        if "unexpected" in found.stderr or "Traceback" in found.stderr:
            return outcome, f"validate: {found.stderr.strip().splitlines()[-2:]}"
    again = _run(here, scenario)
    if again.returncode != 0 and not (whole and "already there" in again.stderr):
        return outcome, f"again: exit {again.returncode}: {again.stderr.strip().splitlines()[-2:]}"
    if _tree(out) != due:
        return outcome, f"again: {_difference(_tree(out), due)}"
    expected = {scenario.out, "tmp"} | ({"dataset", "dataset-images"} if scenario.needs_dataset else set())
    found = {path.name for path in here.iterdir()} - expected
    found |= {path.name for path in (here / "tmp").iterdir() if not publications.TRIED.fullmatch(path.name)}
    if found:
        return outcome, f"left behind: {', '.join(sorted(found))}"
    return outcome, None


def _tree(folder: Path) -> dict[str, bytes]:
    """Every file, and every empty folder, but the times in build.json."""
    found = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if path.is_file():
            found[name] = b"" if path.name == "build.json" else path.read_bytes()
        elif not any(path.iterdir()):
            found[f"{name}/"] = b""
    return found


def _difference(found: dict[str, bytes], due: dict[str, bytes]) -> str:
    def names(which: Iterable[str]) -> str:
        return ", ".join(sorted(which)[:3])

    different = {
        "missing": names(due.keys() - found.keys()),
        "more": names(found.keys() - due.keys()),
        "other bytes": names(name for name in due.keys() & found.keys() if due[name] != found[name]),
    }
    return "; ".join(f"{what}: {which}" for what, which in different.items() if which)


if __name__ == "__main__":
    sys.exit(main())
