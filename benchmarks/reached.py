"""Which tests reach which statements, and tests run in forks of one process that has loaded the libraries: for `mutants.py`."""

from __future__ import annotations

import ast
import contextlib
import importlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
AMAXDS = Path("builder/amaxds")
PACKAGES = ("spec", "dataset", "checks")
"""Those whose statements count."""
MOST_SECONDS = 300
"""Of a test with the fixtures that it is the first to need, besides ten times what it takes itself."""
NEAR = 6
"""Lines before and after."""
FOLDERS = ("spec", "dataset", "checks", "builds", "hubs", "cli", "analysis", "storage", "compute")
"""Of tests, in the order in which they are run to see what they reach."""
RECORDER = """
import os, sys
HERE, seen = os.path.dirname(__file__), set()
def reached(place):
    context = os.readlink(os.environ["REACHED"] + "/now")
    if (context, place) in seen:
        return
    seen.add((context, place))
    frame = sys._getframe(1)
    while frame:
        code = frame.f_code
        if code.co_name == "<module>" and code.co_filename.startswith(HERE) and "__main__" not in code.co_filename:
            context = "import"
        frame = frame.f_back
    with open(f"{os.environ['REACHED']}/places/{os.getpid()}", "a") as file:
        file.write(context + "\\t" + place + "\\n")
"""
"""What the copy calls in front of every statement: who reached it, a test, the fixture of a test, or an import."""


def sources() -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for name in PACKAGES for path in (ROOT / AMAXDS / name).rglob("*.py"))


class _Recording(ast.NodeTransformer):
    """A call of the recorder in front of every statement of every function."""

    def __init__(self, file: str) -> None:
        self.file, self.depth = file, 0

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.depth += 1
        self.generic_visit(node)
        self.depth -= 1
        return node

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        for field in ("body", "orelse", "finalbody") if self.depth else ():
            block = getattr(node, field, None)
            if isinstance(block, list) and not isinstance(node, ast.ClassDef):
                calls = [
                    ast.parse(f"__import__('amaxds.reached', fromlist='_').reached('{self.file}:{each.lineno}')").body[0]
                    for each in block
                ]
                setattr(node, field, [each for pair in zip(calls, block, strict=True) for each in pair])
        return node


class Reach:
    """Writes down which statements every test and fixture reaches, and what they take."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.seconds, self.failed = folder, Counter[str](), set[str]()
        self.known = {each["test"] for each in lines_of(folder / "tests")}
        self.turn("import")

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if item.nodeid not in self.known]

    def turn(self, context: str) -> str:
        """Set what the recorder writes down as the reason, until further notice; what it was before."""
        now, following = self.folder / "now", self.folder / "next"
        before = os.readlink(now) if now.is_symlink() else ""
        following.symlink_to(context)
        following.replace(now)
        return before

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest) -> Iterator[None]:
        if fixturedef.scope == "function":
            return (yield)
        before, begun = self.turn(f"fixture {fixturedef.argname}"), time.monotonic()
        try:
            return (yield)
        finally:
            self.turn(before)
            spent = time.monotonic() - begun
            self.seconds[_test_of(request)] -= spent
            append(self.folder / "fixtures", {"fixture": fixturedef.argname, "seconds": round(spent, 2)})

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.turn(nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration
        if not report.passed:
            self.failed.add(report.nodeid)
        if report.when == "teardown" and report.nodeid not in self.failed:
            test = {"test": report.nodeid, "fixtures": self.fixtures, "seconds": round(self.seconds[report.nodeid], 2)}
            append(self.folder / "tests", test)

    def pytest_runtest_setup(self, item: pytest.Function) -> None:
        self.fixtures = item.fixturenames


class Choice:
    """Runs the chosen tests in their order, until one fails or takes far too long, and writes down which."""

    def __init__(self, seconds: dict[str, float], last: Path) -> None:
        self.seconds, self.last = seconds, last

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        order = {test: place for place, test in enumerate(self.seconds)}
        items[:] = sorted((item for item in items if item.nodeid in order), key=lambda item: order[item.nodeid])

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.last.write_text(nodeid)
        signal.alarm(MOST_SECONDS + int(10 * self.seconds[nodeid]))


def _test_of(request: pytest.FixtureRequest) -> str:
    return str(os.environ["PYTEST_CURRENT_TEST"].rpartition(" ")[0])


def append(file: Path, entry: dict[str, Any]) -> None:
    with file.open("a") as lines:
        lines.write(json.dumps(entry) + "\n")


def lines_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def record_reach(work: Path) -> None:
    """Run what of the default suite is not known yet in an instrumented copy: WORK/reach/tests and WORK/reach/places."""
    reach, tree = work / "reach", work / "instrumented"
    (reach / "places").mkdir(parents=True, exist_ok=True)
    copy_to(tree)
    for file in sources():
        recording = ast.fix_missing_locations(_Recording(file).visit(ast.parse((ROOT / file).read_text())))
        (tree / file).write_text(ast.unparse(recording))
    (tree / AMAXDS / "reached.py").write_text(RECORDER)
    os.environ |= {"REACHED": str(reach), "PYTHONPATH": str(tree / "builder")}
    fork(lambda: run_tests(tree, [f"tests/{name}" for name in FOLDERS], Reach(reach)), work / "reach.log")


@dataclass(frozen=True)
class Known:
    """The tests, and which places they reach."""

    tests: list[dict[str, Any]]
    fixtures: dict[str, float]
    """What those take in seconds that several tests share."""
    contexts: dict[str, set[str]]
    """By place, `<file>:<line of a statement>`."""

    def choose(self, file: str, line: int, budget: float) -> dict[str, float]:
        """The tests that reach a line and what they take in seconds, in the order to run them: first those
        of the module and of its package; of these the quickest with what they build, then those among the few that reach what
        stands near it; last those that only a fixture brings there."""
        begins = statement((ROOT / file).read_text(), line)
        contexts = self.contexts.get(f"{file}:{begins}", set())
        if begins is None or "import" in contexts:
            # Its effect may be seen without any statement of the file being run again: by the tests of the package.
            contexts = {each["test"] for each in self.tests if each["test"].startswith(f"tests/{Path(file).parts[2]}/")}
            contexts |= set().union(*(found for place, found in self.contexts.items() if place.startswith(f"{file}:")))
        near = [self.contexts.get(f"{file}:{other}", set()) for other in range(line - NEAR, line + NEAR + 1)]

        folder, *parts = Path(file).with_suffix("").parts[2:]
        own = [f"tests/{folder}/test_{part}.py::" for part in parts]

        def order(test: dict[str, Any]) -> tuple[bool, int, int, int, str, float]:
            name, needed = test["test"], test["seconds"] + sum(self.fixtures.get(each, 0) for each in test["fixtures"])
            away = 0 if name.startswith(tuple(own)) else 1 if name.startswith(f"tests/{folder}/") else 2
            fewest = min((len(each) for each in near if name in each), default=len(self.tests))
            return name not in contexts, away, int(needed / 5), fewest, name.partition("::")[0], test["seconds"]

        chosen: dict[str, float] = {}
        spent, there = 0.0, set[str]()
        for test in sorted(self.tests, key=order):
            reaching = contexts & {test["test"], *(f"fixture {name}" for name in test["fixtures"])}
            needed = sum(self.fixtures.get(each, 0) for each in {*test["fixtures"]} - there)
            if reaching and spent + test["seconds"] + needed <= budget:
                chosen[test["test"]] = test["seconds"]
                spent += test["seconds"] + needed
                there |= {*test["fixtures"]}
        return chosen


def known(work: Path) -> Known:
    contexts: dict[str, set[str]] = defaultdict(set)
    for file in (work / "reach" / "places").iterdir():
        for line in file.read_text().splitlines():
            context, place = line.split("\t")
            contexts[place].add(context)
    tests, fixtures = lines_of(work / "reach" / "tests"), lines_of(work / "reach" / "fixtures")
    shared = {each["fixture"]: each["seconds"] for each in fixtures}
    return Known(list({each["test"]: each for each in tests}.values()), shared, contexts)


def statement(text: str, line: int) -> int | None:
    """The line where the innermost statement begins that holds this line; None where it runs on import."""
    tree, found = ast.parse(text), None
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            inside = [each for each in ast.walk(node) if isinstance(each, ast.stmt) and each is not node]
            holding = [each.lineno for each in inside if each.lineno <= line <= (each.end_lineno or each.lineno)]
            found = max([*holding, *filter(None, [found])], default=None)
    return found


def run_tests(copy: Path, arguments: list[str], plugin: object) -> int:
    os.chdir(copy)
    sys.path[:0] = [str(copy / "builder"), str(copy / "tests")]
    sys.argv = ["pytest"]
    fork_commands_from_here()
    with tempfile.TemporaryDirectory(prefix="mutants-") as temporary:
        usual = [
            "-n",
            "0",
            "-q",
            "-p",
            "no:cacheprovider",
            "--tb=short",
            "-W",
            "ignore::pytest.PytestAssertRewriteWarning",
            f"--basetemp={temporary}/tests",
        ]
        return int(pytest.main([*usual, *arguments], plugins=[plugin]))


def copy_to(folder: Path) -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)


def fork(task: Callable[[], int], out: Path) -> int:
    """Run the task in a process forked from this one, which has loaded the libraries; its exit code, or minus its signal."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        os.dup2(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
        os.dup2(1, 2)
        code = 70
        try:
            code = task()
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(code)
    status = os.waitpid(pid, 0)[1]
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(status)


def fork_commands_from_here() -> None:
    """Let the process that the tests fork commands from be forked from this one, too, instead of started anew."""
    listener = socket.socket(socket.AF_UNIX)
    address = tempfile.mktemp(prefix="mutants-")
    listener.bind(address)
    listener.listen()
    alive, held = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(held)
        try:
            select.select([listener, alive], [], [])  # It loads the program only where a test runs a command.
            forkserver.main(listener.fileno(), alive, ["support.preloaded"])
        finally:
            os._exit(0)
    os.close(alive)
    server = forkserver._forkserver
    server._forkserver_address, server._forkserver_alive_fd, server._forkserver_pid = address, held, pid


def load_libraries() -> None:
    """What takes seconds to load, once for all. TensorFlow is only imported: its threads would not survive a fork."""
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONDONTWRITEBYTECODE": "1"}
    for name in ("datasets", "h5py", "keras", "matplotlib.figure", "mlcroissant", "tensorflow"):
        importlib.import_module(name)
    resource_tracker.ensure_running()
