"""Builds on a cluster: several nodes on this machine, which are lost, come, and are not what they should be."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from support.commands import amaxds, run_program, start_build
from support.folders import files_of, shards_of
from support.shared import made_once

Check = Callable[..., None]
SCOPE = ("--network", "demo", "--recipe", "original", "--steps", "20")
LAYERS = ("--layers", "block1_conv1,block2_conv1", "--batch-size", "4")
UNITS = 6
"""Two layers, so that an actor has two programs to compile, and four filters a unit."""


class Nodes:
    """A cluster whose head runs nothing, and the nodes that are added to it."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self._cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        self.on = ("--engine", "ray", "--address", self._cluster.address)

    def add(self, **environment: str) -> Any:
        return self._cluster.add_node(num_cpus=1, env_vars=environment)

    def kill(self, node: Any) -> None:
        self._cluster.remove_node(node, allow_graceful=False)

    def kill_head(self) -> None:
        self.kill(self._cluster.head_node)

    def kill_all(self) -> None:
        """The nodes before the head: a node that has lost its head takes a minute to end."""
        for node in self._cluster.list_all_nodes()[::-1]:
            self.kill(node)


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    started = Nodes()
    yield started
    started.kill_all()


def _actor(node: Any) -> psutil.Process | None:
    """The process on the node that runs units, while it runs one."""
    (raylet,) = node.all_processes["raylet"]
    for process in psutil.Process(raylet.process.pid).children():
        with contextlib.suppress(psutil.Error):
            if process.cmdline()[:1] == ["ray::Actor.run"]:
                return process
    return None


def _until(happened: Callable[[], object]) -> None:
    end = time.monotonic() + 180
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same build by the executor that needs no cluster. Not to be changed."""

    def make(folder: Path) -> None:
        ended = amaxds("build", folder / "demo-filter-activations", *SCOPE, *LAYERS)
        assert ended.returncode == 0, ended.stderr

    return made_once(tmp_path_factory, "without-cluster", make) / "demo-filter-activations"


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same build, stopped with some of its units made. Not to be changed."""

    def make(folder: Path) -> None:
        out = folder / "demo-filter-activations"
        process = start_build(out, *SCOPE, *LAYERS, "--workers", "1")
        _until(lambda: shards_of(out))
        process.kill()
        process.communicate()
        assert 1 <= len(shards_of(out)) < UNITS

    return made_once(tmp_path_factory, "begun", make) / "demo-filter-activations"


def _ended(process: subprocess.Popen[str]) -> str:
    errors = process.communicate(timeout=300)[1]
    assert process.returncode == 0, errors
    return errors


def test_a_cluster_of_this_machine_makes_the_same_bytes_and_goes_away(local: Path, tmp_path: Path) -> None:
    folder = tmp_path / local.name
    process = start_build("demo-filter-activations", *SCOPE, *LAYERS, "--engine", "ray", cwd=tmp_path)
    started: dict[psutil.Process, str] = {}

    def over() -> bool:
        with contextlib.suppress(psutil.Error):
            for each in psutil.Process(process.pid).children(recursive=True):
                started[each] = each.name()
        return process.poll() is not None

    _until(over)
    errors = _ended(process)
    others = ("what is made", "Ctrl-C is safe", "ranking", "packaging", "validating")
    assert len(errors.splitlines()) == UNITS + len(others), errors
    assert files_of(folder) == files_of(local)
    assert "raylet" in started.values()
    assert not psutil.wait_procs(started, timeout=20)[1]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.long)])
def test_a_signal_ends_the_build_and_its_actors(
    number: signal.Signals, code: int, nodes: Nodes, begun: Path, tmp_path: Path
) -> None:
    folder, node = shutil.copytree(begun, tmp_path / begun.name), nodes.add()
    process = start_build(folder, *SCOPE, *LAYERS, *nodes.on)
    _until(lambda: _actor(node))
    actor = _actor(node)
    process.send_signal(number)
    errors = process.communicate(timeout=180)[1].splitlines()
    assert process.returncode == code, errors
    assert errors[-1] == "What is finished is kept: run the same command again to go on."
    assert len(errors) == 5 + max(len(shards_of(folder)) - len(shards_of(begun)), 0), errors
    assert actor is not None
    actor.wait(timeout=30)


def test_a_node_that_is_killed_in_mid_unit_and_one_that_comes_change_no_byte(nodes: Nodes, tmp_path: Path) -> None:
    layers = ("--layers", "block1_conv1,block1_conv2,block2_conv1,block2_conv2")
    longer = ("--network", "demo", "--recipe", "original", "--steps", "100", *layers)
    folder, first = tmp_path / "cluster" / "demo-filter-activations", nodes.add()
    process = start_build(folder, *longer, *nodes.on)
    _until(lambda: _actor(first))
    second = nodes.add()
    _until(lambda: _actor(second))
    assert len(shards_of(folder)) < UNITS
    nodes.kill(first)
    assert "units to run again: 1" in _ended(process)
    alone = tmp_path / "alone" / folder.name
    _ended(start_build(alone, *longer))
    assert files_of(folder) == files_of(alone)


def test_a_unit_that_ends_its_actor_each_time_is_named_and_the_rest_is_done(nodes: Nodes, local: Path, tmp_path: Path) -> None:
    folder = tmp_path / local.name
    nodes.add()
    nodes.add()
    ended = run_program("deadly_unit.py", folder, "block2_conv1-0000", LAYERS[1], nodes.on[-1])
    assert ended.returncode == 3, ended.stderr
    errors = ended.stderr.splitlines()
    assert sum("lost its worker; units to run again: 1" in line for line in errors) == 3
    assert errors[-2:] == [
        "1 of 6 units are missing; each was lost with 3 workers: original block2_conv1-0000.",
        "What is finished is kept: run the same command again to go on with them.",
    ]
    assert len(shards_of(folder)) == UNITS - 1
    again = _ended(start_build(folder, *SCOPE, *LAYERS, *nodes.on))
    assert "20 of 24 images are there already" in again
    assert files_of(folder) == files_of(local)


def _other_version(folder: Path, library: str) -> dict[str, str]:
    """The environment in which another version of a library seems to be installed."""
    (folder / f"{library}-0.0.1.dist-info").mkdir(parents=True)
    (folder / f"{library}-0.0.1.dist-info" / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {library}\nVersion: 0.0.1\n")
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))}


def test_a_node_with_other_software_is_refused_by_name(
    nodes: Nodes, begun: Path, local: Path, tmp_path: Path, assert_error: Check
) -> None:
    folder = shutil.copytree(begun, tmp_path / begun.name)
    before = files_of(folder)
    nodes.add(**_other_version(tmp_path / "other", "numpy"))
    ended = amaxds("build", folder, *SCOPE, *LAYERS, *nodes.on)
    refused, *last = ended.stderr.splitlines(keepends=True)[-3:]
    assert "is not used" in refused
    assert_error(
        subprocess.CompletedProcess((), ended.returncode, "", "".join(last)), 2, "software.numpy", '"0.0.1"', str(folder)
    )
    assert files_of(folder) == before
    nodes.add(ONEDNN_MAX_CPU_ISA="SSE41")
    nodes.add()
    process = start_build(folder, *SCOPE, *LAYERS, *nodes.on)
    refused = [line for line in _ended(process).splitlines() if "is not used" in line]
    assert all(line.startswith("amaxds: node ") for line in refused)
    assert sum('software.numpy "' in line and line.endswith('", not "0.0.1".') for line in refused) == 1
    assert sum('software.settings.ONEDNN_MAX_CPU_ISA nothing, not "SSE41".' in line for line in refused) == 1
    assert files_of(folder) == files_of(local)


def test_a_driver_that_would_write_other_files_than_the_build_says_is_refused(
    nodes: Nodes, tmp_path: Path, assert_error: Check
) -> None:
    nodes.add()
    ended = amaxds("build", tmp_path / "out", *SCOPE, *LAYERS, *nodes.on, **_other_version(tmp_path / "other", "pillow"))
    assert_error(ended, 2, "pillow is 0.0.1 here, and ", "where the images are made", "install the same version")


def test_a_build_goes_on_when_the_head_is_started_again(begun: Path, local: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(begun, tmp_path / begun.name)
    with contextlib.closing(contextlib.ExitStack()) as ending:
        lost = Nodes()
        ending.callback(lost.kill_all)
        node = lost.add()
        process = start_build(folder, *SCOPE, *LAYERS, *lost.on)
        _until(lambda: _actor(node))
        lost.kill_head()
        errors = process.communicate(timeout=180)[1].splitlines()
        assert process.returncode == 3, errors
        assert errors[-2].startswith(f"amaxds: the head of the Ray cluster, {lost.on[-1]}, does not answer")
        assert errors[-1] == "What is finished is kept: run the same command again once it is there, to go on."
        lost.kill_all()
        there = Nodes()
        ending.callback(there.kill_all)
        there.add()
        _ended(start_build(folder, *SCOPE, *LAYERS, *there.on))
    assert files_of(folder) == files_of(local)


def test_a_cluster_that_is_not_there_is_an_error(tmp_path: Path, assert_error: Check) -> None:
    ended = amaxds("build", tmp_path / "out", *SCOPE, "--engine", "ray", "--address", "127.0.0.1:9")
    assert_error(ended, 3, "the head of the Ray cluster, 127.0.0.1:9, does not answer", "Connection refused")


def test_without_ray_the_extra_is_named_and_local_builds_do_not_miss_it(tmp_path: Path, assert_error: Check) -> None:
    (tmp_path / "ray.py").write_text("raise ImportError('there is no ray')")
    path = {"PYTHONPATH": os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))}
    ended = amaxds("build", tmp_path / "out", *SCOPE, "--engine", "ray", **path)
    assert_error(ended, 2, "engine 'ray' needs Ray", "amaxds[ray]")
    ended = amaxds("build", tmp_path / "out", *SCOPE, "--layers", "block1_conv1", "--filters", "1", **path)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.usefixtures("_backend")
def test_a_folder_that_a_node_does_not_see_is_an_error(tmp_path: Path) -> None:
    from amaxds.builds.worker import BuildJob, Worker, process_entries
    from amaxds.compute.networks import load_weights
    from amaxds.dataset.build_info import BuildRequest
    from amaxds.errors import AmaxdsError
    from amaxds.spec.network import DEMO
    from amaxds.spec.plan import make_plan
    from amaxds.storage.location import LocalPath

    plan, weights = make_plan(DEMO, ["original"]), load_weights(DEMO, "pretrained", 0)
    identity = BuildRequest.of_plan(plan, weights.source, weights.digest).on(process_entries(DEMO, 2))
    with pytest.raises(AmaxdsError, match=r"build\.json is not that of the build there \(FileNotFoundError\)"):
        Worker(BuildJob(plan, weights, LocalPath(tmp_path), identity), (), 2)
