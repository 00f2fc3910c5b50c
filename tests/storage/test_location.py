"""One rule for the paths and URLs that users give."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from datasets import packaged_modules

from amaxds.errors import UsageError
from amaxds.storage.location import LocalPath, local_path, parse_location, require_loadable
from support.commands import amaxds
from support.folders import files_of, read_rows

ONE = ("--network", "demo", "--layers", "block1_conv1", "--filters", "0", "--steps", "1")
NOT_UTF_8 = os.fsdecode(b"caf\xe9")


def test_a_tilde_is_the_home_folder_and_a_file_url_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert local_path("~/out") == local_path(f"file://{tmp_path}/out") == tmp_path / "out"
    assert local_path("a/~") == Path("a/~")
    for text in ("file://here/out", "file://~/out", "local://out"):
        with pytest.raises(UsageError, match=r"no path of this machine"):
            parse_location(text)


@pytest.mark.parametrize(
    "url",
    [
        *("reference://list.json", "zip://out.zip", "simplecache://x/y", "http://host/out", "github://a:b@c/d", "memory://out"),
        *("s3://bucket//name", "s3://bucket/a/../b", "s3://bucket/./a", "s3:/bucket/a", "file:/tmp/a"),
        *("s3://bucket/a::zip://b", "s3://bucket/list.json::reference://a", "s3://bucket/file:///etc/passwd"),
    ],
)
def test_urls_that_lead_elsewhere_than_to_a_store_are_refused(url: str, assert_error: Callable[..., None]) -> None:
    """fsspec reads a file of references, or one link of a chain, and goes where it says."""
    with pytest.raises(UsageError, match=r"unknown protocol|names no folder|has lost a slash"):
        parse_location(url)
    if url.startswith(("reference", "s3://bucket/a")):
        for words in (("validate", url), ("build", url, *ONE)):
            assert_error(amaxds(*words), 2, url)


def test_chains_of_urls_lead_nowhere(tmp_path: Path, assert_error: Callable[..., None]) -> None:
    for name in ("reference::list.json", "simplecache::s3://bucket/out", "zip://*::out.zip"):
        assert_error(amaxds("validate", name, cwd=tmp_path), 2, name)
        assert_error(amaxds("build", name, *ONE, cwd=tmp_path), 2, "::")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name", ["parquet", "json", "a::b", "~", "~x", "x[1]", "x*", "x?", "file:x", "local:x", "two\nlines", " x", "x ", NOT_UTF_8]
)
def test_a_folder_whose_dataset_could_not_be_loaded_is_refused_before_anything_is_made(
    name: str, tmp_path: Path, assert_error: Callable[..., None]
) -> None:
    (tmp_path / "sweep.toml").write_text('networks = ["demo"]')
    for words in (("build", f"./{name}", *ONE), ("bundle", tmp_path, f"./{name}"), ("describe", ".", f"./{name}")):
        if words[0] != "bundle":
            assert_error(amaxds(*words, cwd=tmp_path), 2, "Choose another OUT")
    if not name.startswith(("~", "file:", "local:", "two", "parquet", "json", NOT_UTF_8)) and name == name.strip():
        assert_error(amaxds("sweep", "sweep.toml", name, cwd=tmp_path), 2, "Choose another OUT")
    assert [each.name for each in tmp_path.iterdir()] == ["sweep.toml"]
    with pytest.raises(UsageError):
        require_loadable(LocalPath(tmp_path / name))


def test_every_builder_of_the_library_is_known() -> None:
    assert len(packaged_modules._PACKAGED_DATASETS_MODULES) > 10
    for name in packaged_modules._PACKAGED_DATASETS_MODULES:
        with pytest.raises(UsageError, match="load_dataset has a builder of that name"):
            require_loadable(parse_location(f"s3://bucket/{name}"))


def test_the_library_finds_nothing_or_others_where_folders_are_refused(small: Path, tmp_path: Path) -> None:
    """The other way about: what is refused is what `datasets` cannot load, and nothing else."""
    import datasets

    for name in ("a::b", "~", "x[1]", "{x}", "x#y", "a%20b", "a b", "s3:x", "ü", "a!b"):
        folder = shutil.copytree(small, tmp_path / name)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(tmp_path)
            try:
                found = datasets.load_dataset(name, cache_dir=str(tmp_path / "cache"))["train"].num_rows
            except (OSError, RuntimeError):
                found = 0
            try:
                require_loadable(LocalPath(folder))
                assert found
            except UsageError:
                assert not found


def test_a_parent_folder_that_is_not_utf_8_changes_nothing(small: Path, tmp_path: Path) -> None:
    parent = tmp_path / NOT_UTF_8
    copy = shutil.copytree(small, parent / small.name)
    assert amaxds("validate", copy).stdout.endswith(": 24 images, valid\n")
    ended = amaxds("bundle", copy, parent / "bundle")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert amaxds("diff", copy, parent / "bundle").returncode == 0
    ended = amaxds("describe", parent / "bundle" / "filterActivations", parent / "described", "--network", "demo")
    assert ended.returncode == 0, ended.stderr
    assert files_of(parent / "described")


@pytest.mark.system
def test_below_a_folder_that_is_not_utf_8_datasets_and_reports_are_made(tmp_path: Path) -> None:
    parent = tmp_path / NOT_UTF_8
    parent.mkdir()
    for folder in (parent, tmp_path):
        ended = amaxds("build", folder / "one", *ONE)
        assert ended.returncode == 0, ended.stderr
    assert files_of(parent / "one") == files_of(tmp_path / "one")
    ended = amaxds("report", parent / "one", parent / "report", "--no-neighbours")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_files_of_networks_and_weights_are_named_by_the_same_rule(tmp_path: Path, assert_error: Callable[..., None]) -> None:
    from importlib import resources

    home = {"HOME": str(tmp_path)}
    shutil.copy(str(resources.files("amaxds") / "data" / "demo.safetensors"), tmp_path / "mine.safetensors")
    for number, name in enumerate(("~/mine.safetensors", f"file://{tmp_path}/mine.safetensors")):
        for plan in (("--plan",), ()):
            ended = amaxds("build", f"~/{number}", *ONE, "--weights", name, *plan, **home)
            assert ended.returncode == 0, ended.stderr
        assert read_rows(tmp_path / "0", "clear") == read_rows(tmp_path / str(number), "clear")
    assert_error(amaxds("build", "~/out", "--network", "s3://bucket/mine.keras", **home), 2, "is in a store")


def test_a_folder_that_was_locked_in_vain_is_gone_again(tmp_path: Path) -> None:
    with LocalPath(tmp_path / "a" / "b" / "c").lock():
        assert (tmp_path / "a" / "b" / "c").is_dir()
    assert not list(tmp_path.iterdir())
    with LocalPath(tmp_path / "a" / "b").lock():
        (tmp_path / "a" / "b" / "kept").touch()
    with LocalPath(tmp_path / "a").lock():
        assert (tmp_path / "a" / "b" / "kept").exists()
    assert (tmp_path / "a" / "b" / "kept").exists()
    (tmp_path / "mine").mkdir()
    with LocalPath(tmp_path / "mine").lock():
        pass
    assert (tmp_path / "mine").is_dir()


def test_who_holds_a_lock_is_said_where_only_a_file_knows(tmp_path: Path, assert_error: Callable[..., None]) -> None:
    """On file systems without locks; there, the file stays where its process was killed."""
    lock = tmp_path / "out" / ".amaxds" / "lock"
    with LocalPath(lock.parent).lock():
        assert_error(amaxds("build", tmp_path / "out", *ONE), 2, "another build is running in", "Wait for it")
        lock.write_text("12\nnode-b\n")
        ended = amaxds("build", tmp_path / "out", *ONE)
    assert_error(ended, 2, "process 12 on node-b", f"If that runs no more, delete {lock}")


def test_a_path_that_no_room_would_help_asks_for_another(tmp_path: Path, assert_error: Callable[..., None]) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / ("n" * 300), tmp_path / "file" / "out"):
        assert_error(amaxds("build", path, *ONE), 3, "choose another path")
