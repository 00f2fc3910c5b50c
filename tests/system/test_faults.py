"""Nothing is lost: builds that are killed, stopped, starved of disk and memory, or damaged, and what becomes of them."""

from __future__ import annotations

import ctypes
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from amaxds.checks.validate import validate
from support.commands import SMALL, amaxds, start_build
from support.folders import files_of, shards_of

Check = Callable[..., None]
SMALL_UNITS = ("block1_conv1", "block2_conv2", "block3_conv1")
FULL = ("--network", "demo", "--recipe", "original")


@dataclass(frozen=True)
class Undisturbed:
    """A build that nothing happened to."""

    folder: Path
    seconds: float


@pytest.fixture(scope="module")
def undisturbed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    folder, began = tmp_path_factory.mktemp("undisturbed") / "demo-filter-activations", time.monotonic()
    ended = amaxds("build", folder, *request.param)
    assert ended.returncode == 0, ended.stderr
    return Undisturbed(folder, time.monotonic() - began)


def _moments(number: int, seed: int) -> list[float]:
    """Random shares of a run's duration, one in each of as many equal parts of it."""
    return list((np.arange(number) + np.random.default_rng(seed).random(number)) / number)


def _state(folder: Path, units: int) -> str:
    """How far the build in a folder has come, by what it has left there."""
    if (folder / "build.json").exists():
        return "finished"
    if len(shards_of(folder)) < units:
        return f"{len(shards_of(folder))} of {units} units" if (folder / ".amaxds" / "build.json").exists() else "starting"
    packaged = (folder / ".amaxds" / "packaged").exists()
    return "ranking" if not packaged else "moving" if (folder / "README.md").exists() else "packaging"


def _killed_and_resumed(undisturbed: Undisturbed, arguments: tuple[str, ...], units: int, share: float, folder: Path) -> str:
    process = start_build(folder, *arguments)
    time.sleep(share * undisturbed.seconds)
    process.kill()
    process.communicate()
    state = _state(folder, units)
    print(f"killed after {share * undisturbed.seconds:.1f} of {undisturbed.seconds:.1f} s: {state}", flush=True)
    again = start_build(folder, *arguments)
    errors = again.communicate(timeout=3600)[1]
    assert again.returncode == 0, errors
    assert files_of(folder) == files_of(undisturbed.folder)
    return state


@pytest.mark.parametrize("undisturbed", [SMALL], ids=["small"], indirect=True)
def test_a_build_killed_at_random_moments_goes_on_to_the_same_bytes(undisturbed: Undisturbed, tmp_path: Path) -> None:
    for number, share in enumerate(_moments(3, seed=1)):
        _killed_and_resumed(undisturbed, SMALL, 3, share, tmp_path / str(number) / undisturbed.folder.name)


@pytest.mark.parametrize(
    ("stage", "delay"),
    [
        ("ranking", 0.1),
        ("packaging", 0.08),
        *(pytest.param("packaging", each, marks=pytest.mark.long) for each in (0.03, 0.14)),
    ],
)
def test_a_build_killed_after_its_last_unit_goes_on_to_the_same_bytes(
    stage: str, delay: float, unfinished: Path, tmp_path: Path, small: Path
) -> None:
    folder = shutil.copytree(unfinished, tmp_path / small.name)
    process = start_build(folder, *SMALL)
    assert process.stderr is not None
    assert any(line.startswith(stage) for line in process.stderr)
    time.sleep(delay)
    process.kill()
    process.communicate()
    print(f"killed {delay} s into {stage}: {_state(folder, 3)}")
    assert amaxds("build", folder, *SMALL).returncode == 0
    assert files_of(folder) == files_of(small)


@pytest.mark.long
@pytest.mark.parametrize("undisturbed", [FULL], ids=["full"], indirect=True)
@pytest.mark.parametrize("share", _moments(20, seed=2), ids="{:.3f}".format)
def test_a_full_build_killed_at_a_random_moment_goes_on_to_the_same_bytes(
    undisturbed: Undisturbed, share: float, tmp_path: Path
) -> None:
    _killed_and_resumed(undisturbed, FULL, 66, share, tmp_path / undisturbed.folder.name)


class SmallDisk:
    """A file system with room for little, seen only by processes that it starts itself. Use as a context manager."""

    def __init__(self, folder: Path, options: str) -> None:
        self._folder, self._options = folder, options

    def __enter__(self) -> SmallDisk:
        self._folder.mkdir()
        script = 'mount -t tmpfs -o "$1" none "$0" && echo mounted && exec cat'
        command = ["unshare", "--user", "--mount", "--map-root-user", "sh", "-c", script, str(self._folder), self._options]
        try:
            self._keeper = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        except FileNotFoundError:
            pytest.skip("there is no unshare to make a small disk with")
        if self._keeper.stdout is None or self._keeper.stdout.readline() != b"mounted\n":
            pytest.skip(f"a small disk cannot be mounted here: {self._keeper.communicate()[1].decode()}")
        return self

    def __exit__(self, *_: object) -> None:
        self._keeper.communicate()

    def run(self, *command: object) -> subprocess.CompletedProcess[str]:
        inside = ["nsenter", "--target", str(self._keeper.pid), "--user", "--mount", "--preserve-credentials"]
        return subprocess.run([*inside, *map(str, command)], capture_output=True, text=True, timeout=300, check=False)

    def amaxds(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "amaxds", *arguments)

    def enlarge(self) -> None:
        ended = self.run("mount", "-o", "remount,size=100m,nr_inodes=10k", self._folder)
        assert ended.returncode == 0, ended.stderr

    def seen(self, path: Path) -> Path:
        """The path under which this process sees what the others see as `path`."""
        return Path(f"/proc/{self._keeper.pid}/root{path}")


DISKS = {
    "for less than one shard": ("size=100k", ".amaxds/shards/original/block1_conv1-0000.parquet"),
    "for two of three shards": ("size=400k", ".amaxds/shards/original/"),
    "for the shards alone": ("size=700k", ".amaxds/packaged/original"),
    "for all files but the last": ("nr_inodes=25", ".amaxds/packaged/"),
}


@pytest.mark.parametrize("disk", DISKS)
def test_a_full_disk_ends_a_build_that_goes_on_once_there_is_room(disk: str, small: Path, tmp_path: Path) -> None:
    options, place = DISKS[disk]
    with SmallDisk(tmp_path / "disk", options) as small_disk:
        folder = tmp_path / "disk" / small.name
        ended = small_disk.amaxds("build", folder, *SMALL)
        errors = ended.stderr.splitlines()
        print(disk, ended.returncode, errors[-2:])
        assert ended.returncode == 3
        assert errors[-2].startswith(f"amaxds: cannot write {folder / place}")
        assert errors[-2].endswith(": No space left on device.")
        assert errors[-1].startswith("What is finished is kept: make room")
        left = {path.name for path in small_disk.seen(folder).rglob("*") if path.is_file()}
        assert left <= {"lock", "build.json", *(f"{unit}-0000.parquet" for unit in SMALL_UNITS)}
        small_disk.enlarge()
        ended = small_disk.amaxds("build", folder, *SMALL)
        assert ended.returncode == 0, ended.stderr
        assert files_of(small_disk.seen(folder)) == files_of(small)


def _stop(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str]:
    process.send_signal(number)
    errors = process.communicate(timeout=120)[1]
    return process.returncode, errors


PHASES = {
    "loading": ".amaxds/lock",
    "units": "original block1_conv1 filters 0-7",
    "ranking": "ranking",
    "packaging": "packaging",
    "validating": "validating",
}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("phase", PHASES)
def test_a_build_stopped_in_any_phase_says_how_to_go_on(
    phase: str, number: signal.Signals, code: int, unfinished: Path, tmp_path: Path, small: Path
) -> None:
    folder = tmp_path / small.name
    if phase not in ("loading", "units"):
        shutil.copytree(unfinished, folder)
    process = start_build(folder, *SMALL)
    if phase == "loading":
        while not (folder / PHASES[phase]).exists():
            assert process.poll() is None
    else:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith(PHASES[phase]):
                break
    ended, errors = _stop(process, number)
    assert ended == code, errors
    name = "interrupted" if number == signal.SIGINT else "terminated"
    last = [f"amaxds: {name}.", "What is finished is kept: run the same command again to go on."]
    assert errors.splitlines()[-2:] == last
    assert "Traceback" not in errors
    if phase == "validating":
        assert amaxds("build", folder, *SMALL).returncode == 0
        assert files_of(folder) == files_of(small)


def test_a_build_stopped_at_random_moments_ends_without_a_traceback(tmp_path: Path, small: Path) -> None:
    """From its own first instruction on: before the command has begun, nothing is said, as there is nothing to go on with."""
    folder, ends = tmp_path / small.name, []
    for moment in np.random.default_rng(3).random(5) * np.linspace(0.1, 4.0, 5):
        process = start_build(folder, *SMALL)
        time.sleep(0.03 + moment)
        ended, errors = _stop(process, signal.SIGINT)
        if "KeyboardInterrupt" in errors:  # Python itself was still starting: it has not come to what is ours.
            assert not re.search(r"amaxds/(?!__init__)", errors), errors
            continue
        ends.append(ended)
        assert ended in (130, -signal.SIGINT, 0), errors
        assert "Traceback" not in errors
        assert (ended == 130) == errors.endswith("run the same command again to go on.\n"), errors
    print(ends)
    assert 130 in ends
    assert amaxds("build", folder, *SMALL).returncode == 0
    assert files_of(folder) == files_of(small)


LOST_SIGNAL = """
import gc, os, time
from amaxds.cli import main
def collecting(phase, info):
    gc.callbacks.remove(collecting)
    os.kill(os.getpid(), 2)
    for _ in range(9):
        pass
def work():
    gc.callbacks.append(collecting)
    gc.collect()
    time.sleep(60)
main.app.registered_commands[0].callback = work
main.main()
"""


def test_a_signal_that_a_library_swallows_is_not_lost(tmp_path: Path) -> None:
    """No exception comes out of a callback of the garbage collector; JAX has one."""
    command = [sys.executable, "-c", LOST_SIGNAL, "build"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 130
    assert ended.stderr.startswith("amaxds: interrupted.\n"), ended.stderr


INTERRUPTED_IMPORT = """
import signal, sys, time
from amaxds.cli import exits
signal.signal(signal.SIGINT, exits.on_signal)
try:
    import interrupted
    time.sleep(60)
except exits.Signalled as signalled:
    print(sys.modules["interrupted"].done, signalled.number)
"""


def test_an_interrupted_import_is_finished_first(tmp_path: Path) -> None:
    """An exception out of the interpreter's own bookkeeping of imports is lost, and its lock stays taken: the build hung."""
    (tmp_path / "interrupted.py").write_text("import os\nos.kill(os.getpid(), 2)\nfor _ in range(9):\n    done = _\n")
    search = os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))
    command, environment = [sys.executable, "-c", INTERRUPTED_IMPORT], os.environ | {"PYTHONPATH": search}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert ended.stdout == "8 2\n", ended.stderr


def test_a_build_killed_at_a_unit_goes_on_to_the_same_bytes(tmp_path: Path, small: Path, assert_error: Check) -> None:
    folder = tmp_path / small.name
    process = start_build(folder, *SMALL, "--workers", "1")
    while not shards_of(folder):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    assert_error(amaxds("build", folder, *SMALL), 2, "another build is running", str(folder))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert 0 < len(shards_of(folder)) < 3, "the build was over before it was killed"
    again = amaxds("build", folder, *SMALL)
    assert again.returncode == 0, again.stderr
    assert "of 24 images are there already" in again.stderr
    assert files_of(folder) == files_of(small)


def test_a_build_killed_while_it_moves_files_into_place_leaves_nothing_foreign(
    unfinished: Path, tmp_path: Path, small: Path
) -> None:
    folder = shutil.copytree(unfinished, tmp_path / small.name)
    process = start_build(folder, *SMALL)
    while process.poll() is None and not (folder / "README.md").exists():
        time.sleep(0.0005)
    process.kill()
    process.communicate()
    assert {path.name for path in folder.iterdir()} <= {path.name for path in small.iterdir()} | {".amaxds"}
    assert amaxds("build", folder, *SMALL).returncode == 0
    assert files_of(folder) == files_of(small)


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _exchange(path: Path) -> None:
    other = next(shard for shard in shards_of(path.parents[3]) if shard != path)
    one, two = path.read_bytes(), other.read_bytes()
    path.write_bytes(two)
    other.write_bytes(one)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGES: dict[str, tuple[Callable[[Path], object], int, int]] = {
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:-100]), 2, 1),
    "a bit flipped": (_flip, 2, 1),
    "deleted": (Path.unlink, 2, 0),
    "exchanged with another": (_exchange, 1, 2),
    "made a pipe": (_pipe, 2, 1),
}
"""What is done to one shard of three, how many are left whole, and how many are found damaged."""


def _findings(folder: Path) -> dict[str, str]:
    return {each.place: each.problem for each in validate(folder).findings if each.rule == "shards"}


@pytest.mark.parametrize("damage", DAMAGES)
def test_validation_names_a_damaged_shard_and_counts_the_others(damage: str, unfinished: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(unfinished, tmp_path / "copy")
    harm, whole, reported = DAMAGES[damage]
    harm(folder / ".amaxds" / "shards" / "original" / "block2_conv2-0000.parquet")
    found = _findings(folder)
    assert found.pop(".amaxds").startswith(f"holds a build with {whole} of 3 units finished")
    assert len(found) == reported
    if reported:
        assert ".amaxds/shards/original/block2_conv2-0000.parquet" in found


def test_an_unfinished_build_is_reported_as_one(unfinished: Path) -> None:
    ended = amaxds("validate", unfinished)
    assert ended.returncode == 1
    assert "shards    .amaxds: holds a build with 3 of 3 units finished: run the same command to go on" in ended.stdout
    assert "build     build.json: is missing" in ended.stdout


@pytest.fixture(scope="module")
def shards_of_another_build(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("another") / "demo-filter-activations"
    process = start_build(folder, *SMALL, "--seed", "1", file_size=250_000)
    process.communicate(timeout=300)
    assert process.returncode == 3
    return shards_of(folder)


TOGETHER = [("truncated", "a bit flipped", "deleted"), ("exchanged with another", "of another build")]


@pytest.mark.parametrize("together", TOGETHER, ids=", ".join)
def test_damaged_shards_are_made_again(
    together: tuple[str, ...], shards_of_another_build: list[Path], unfinished: Path, tmp_path: Path, small: Path
) -> None:
    folder = shutil.copytree(unfinished, tmp_path / small.name)
    shards = shards_of(folder)
    for damage, shard in zip(together, reversed(shards), strict=False):
        if damage == "of another build":
            shutil.copy(shards_of_another_build[shards.index(shard)], shard)
        else:
            DAMAGES[damage][0](shard)
    found = _findings(folder)
    assert found.pop(".amaxds").startswith("holds a build with 0 of 3 units finished")
    again = amaxds("build", folder, *SMALL)
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("It is made again.") == len(found)
    assert files_of(folder) == files_of(small)


def test_what_is_left_of_an_unfinished_build_need_not_be_trusted(unfinished: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(unfinished, tmp_path / "copy")
    file = folder / ".amaxds" / "build.json"
    stored = json.loads(file.read_text())
    for text in ("", "[]", "{}", "[" * 100_000, *(json.dumps(stored | {key: -1}) for key in stored)):
        file.write_text(text)
        found = _findings(folder)
        assert found.keys() == {".amaxds/build.json"}, text[:80]
        assert "cannot be used" in found[".amaxds/build.json"]
    shutil.rmtree(folder / ".amaxds")
    (folder / ".amaxds").symlink_to(unfinished / ".amaxds")
    assert _findings(folder) == {".amaxds": "is no folder of a build"}
    (folder / ".amaxds").unlink()
    (folder / ".amaxds").mkdir()
    (folder / ".amaxds" / "lock").touch()
    assert _findings(folder) == {}


CLOCKED = """
import sys, time
real, began = time.time, time.monotonic()
after, jump = map(float, sys.argv[1:3])
time.time = lambda: real() + (0 if time.monotonic() - began < after else jump)
sys.argv[1:3] = []
from amaxds.cli import main
main.main()
"""
YEARS = 3 * 365 * 86400


@pytest.mark.parametrize("jump", [-YEARS, YEARS], ids=["back", "forward"])
def test_a_clock_that_is_set_during_a_build_changes_nothing(jump: int, tmp_path: Path, small: Path) -> None:
    folder = tmp_path / small.name
    command = [sys.executable, "-c", CLOCKED, "3", str(jump), "build", str(folder), *SMALL]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    assert files_of(folder) == files_of(small)
    times = json.loads((folder / "build.json").read_text())["times"]
    assert 0 < times["seconds_of_last_run"] < 300
    assert times["started"] <= times["finished"]


def test_shards_of_the_past_and_the_future_are_kept(unfinished: Path, tmp_path: Path, small: Path) -> None:
    folder = shutil.copytree(unfinished, tmp_path / small.name)
    for shard, moment in zip(shards_of(folder), (0, time.time() - YEARS, time.time() + 10 * YEARS), strict=True):
        os.utime(shard, (moment, moment))
    again = amaxds("build", folder, *SMALL)
    assert again.returncode == 0, again.stderr
    assert "24 of 24 images are there already" in again.stderr
    assert files_of(folder) == files_of(small)


def _heed_permissions() -> None:
    """In a child process, before it begins: root goes without the capability that lets it write anywhere."""
    if os.geteuid() == 0:
        for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            ctypes.CDLL(None, use_errno=True).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


READ_ONLY = {
    "the folder above": ("small", "..", "demo-filter-activations"),
    "an empty folder": (None, ".", "demo-filter-activations/.amaxds"),
    "the working folder": ("unfinished", ".amaxds", ".amaxds"),
    "the folder of shards": ("unfinished", ".amaxds/shards/original", "block1_conv1-0000.parquet"),
    "the folder with all shards": ("unfinished", ".", ""),
}


@pytest.mark.skipif(sys.platform != "linux", reason="capabilities are dropped as Linux does it")
@pytest.mark.parametrize("case", READ_ONLY)
def test_a_folder_that_may_not_be_written_is_left_as_it_is(
    case: str, request: pytest.FixtureRequest, tmp_path: Path, small: Path
) -> None:
    state, place, words = READ_ONLY[case]
    folder = tmp_path / "above" / small.name
    folder.parent.mkdir()
    if state == "unfinished":
        shutil.copytree(request.getfixturevalue(state), folder)
        if place == ".amaxds/shards/original":
            shards_of(folder)[0].unlink()
    elif state is None:
        folder.mkdir()
    closed = folder / place if place != ".." else folder.parent
    (folder / ".amaxds" / "lock").unlink(missing_ok=True)
    before = _tree(folder)
    closed.chmod(0o555)
    command = [sys.executable, "-m", "amaxds", "build", str(folder), *SMALL]
    ended = subprocess.run(command, capture_output=True, text=True, preexec_fn=_heed_permissions, check=False, timeout=300)
    closed.chmod(0o755)
    assert ended.returncode == 3, ended.stderr
    errors = ended.stderr.splitlines()[-2:]
    assert errors[0].startswith("amaxds: cannot write")
    assert words in errors[0]
    assert errors[0].endswith(": Permission denied.")
    assert "change the permissions" in errors[1]
    assert {name: data for name, data in _tree(folder).items() if name != ".amaxds/lock"} == before
    if case == "the folder with all shards":
        assert amaxds("build", folder, *SMALL).returncode == 0
        assert files_of(folder) == files_of(small)


def _tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


TINY = ("--network", "demo", "--recipe", "original", "--steps", "1", "--layers", "block1_conv1", "--filters", "2")


def test_of_builds_that_race_for_a_folder_one_runs(tmp_path: Path) -> None:
    """The second begins at a random moment of the first, or about its end, where the folder that both lock goes away."""
    alone = tmp_path / "alone" / "demo-filter-activations"
    began = time.monotonic()
    assert amaxds("build", alone, *TINY).returncode == 0
    seconds, ends = time.monotonic() - began, []
    rng = np.random.default_rng(5)
    for number, moment in enumerate([rng.random(), rng.uniform(0.9, 1.1)]):
        folder = tmp_path / str(number) / alone.name
        racers = [start_build(folder, *TINY)]
        time.sleep(moment * seconds)
        racers.append(start_build(folder, *TINY))
        errors = [racer.communicate(timeout=300)[1] for racer in racers]
        codes = [racer.returncode for racer in racers]
        ends.append(codes)
        assert 0 in codes, errors
        # The second may come when all is over, and only validates.
        for code, text in zip(codes, errors, strict=True):
            assert code == 0 or (code == 2 and "another build is running" in text), text
        assert sum("filters 2-2: 1/1" in text for text in errors) == 1, errors
        assert files_of(folder) == files_of(alone)
    print(ends)


LOCKERS = """
import sys, shutil, time
from pathlib import Path
from amaxds.builds.workdir import locked
from amaxds.errors import UsageError
end, work, taken, refused = time.monotonic() + 4, Path(sys.argv[1]) / ".amaxds", 0, 0
while time.monotonic() < end:
    try:
        with locked(work):
            taken += 1
        shutil.rmtree(work, ignore_errors=True)
    except UsageError:
        refused += 1
print(taken, refused)
"""


def test_the_lock_can_be_asked_for_while_its_folder_goes_away(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LOCKERS, str(tmp_path / "out")]
    racers = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for racer in racers:
        printed, errors = racer.communicate(timeout=60)
        assert racer.returncode == 0, errors
        taken, _ = map(int, printed.split())
        assert taken > 10


def _limit_memory(megabytes: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_DATA, (megabytes << 20, megabytes << 20))


@pytest.mark.parametrize("library", ["tensorflow", "jax"])
def test_too_little_memory_is_told_beforehand_and_names_the_batch_size(
    library: str, tmp_path: Path, assert_error: Check
) -> None:
    command = [sys.executable, "-m", "amaxds", "build", str(tmp_path / "out"), "--network", "vgg16", "--weights", "random"]
    command += ["--recipe", "original", "--steps", "1", "--layers", "block3_conv1", "--filters", "0", "--batch-size", "256"]
    environment = os.environ | {"KERAS_BACKEND": library}
    ended = subprocess.run(
        command, env=environment, capture_output=True, text=True, preexec_fn=_limit_memory(3000), check=False, timeout=300
    )
    assert_error(ended, 3, "out of memory: --batch-size 256", "GB or more, and", "--workers 1 to go on", "in a new OUT")


TOO_MUCH = """
from amaxds.compute import backend
from amaxds.errors import OutOfMemory
from amaxds.compute.memory import memory_errors
backend.start(1)
import keras
try:
    with memory_errors(256, 2):
        keras.ops.zeros((10**8, 10**6))
except OutOfMemory as error:
    print(error)
"""


@pytest.mark.parametrize("library", ["tensorflow", "jax"])
def test_memory_that_the_library_cannot_have_is_said_in_the_same_words(library: str) -> None:
    command, environment = [sys.executable, "-c", TOO_MUCH], os.environ | {"KERAS_BACKEND": library}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert ended.stdout.startswith("out of memory: --batch-size 256 on 2 workers needs more than there is.\n"), ended.stderr


ACCOUNT = """
import jax, numpy as np
from amaxds.compute import backend
backend.start(1)
from amaxds.compute.memory import least_bytes
from amaxds.spec.network import DEMO, VGG16
from amaxds.spec.plan import make_plan
from amaxds.compute.programs import Programs
from amaxds.compute.networks import load_weights
for network, layer in ((DEMO, "block1_conv2"), (DEMO, "block5_conv3"), (VGG16, "block3_conv1")):
    programs = Programs(network, load_weights(network, "random", 0))
    for unit in make_plan(network, ["clear", "original"], layers=layer, filters="0", batch_size=4).units():
        start = np.stack([unit.recipe.start(network, 0, unit.layer.index, 0)] * 4)
        now = np.stack([unit.recipe.schedule(network, 0, unit.layer.index, 0)] * 4)[:, 0]
        state = unit.recipe.first_state(jax.numpy.asarray(start))
        step = jax.jit(programs._make_step(unit.recipe, unit.layer))
        given = programs._forward.given(unit.layer), programs._forward.own(unit.layer, [0] * 4)
        account = step.lower(given, state, np.zeros(4, bool), now).compile().memory_analysis()
        print(account.temp_size_in_bytes / least_bytes([unit], 1))
"""


def test_no_build_is_refused_that_would_fit() -> None:
    """By XLA's own account of what its programs take."""
    ended = subprocess.run(
        [sys.executable, "-c", ACCOUNT], env=os.environ | {"KERAS_BACKEND": "jax"}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    ratios = [float(line) for line in ended.stdout.splitlines()]
    assert len(ratios) == 6
    assert 1 <= min(ratios) < max(ratios) < 5
