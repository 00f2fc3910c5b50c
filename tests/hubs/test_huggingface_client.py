"""The client of the Hugging Face Hub: logins, settings, refusals and its bars, against the stand-in for the hub."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

from amaxds.errors import DiskError, HubError
from amaxds.hubs.huggingface_client import hub_errors
from support.commands import amaxds
from support.huggingface_repo import REPO
from support.huggingface_server import HOME, HuggingFaceServer

Check = Callable[..., None]
Publish = Callable[..., subprocess.CompletedProcess[str]]


def test_a_cache_that_may_not_be_written_is_no_failure_of_the_hub(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match=f"cannot write {tmp_path}: Permission denied"), hub_errors(REPO):
        raise RuntimeError("wrapped") from PermissionError(errno.EACCES, "Permission denied", str(tmp_path))
    with pytest.raises(HubError, match="could not be reached"), hub_errors(REPO):
        raise PermissionError(errno.EACCES, "Permission denied")


def test_a_wrong_token_and_no_network_change_nothing(hub: HuggingFaceServer, publish: Publish, assert_error: Check) -> None:
    assert_error(publish(HF_TOKEN="hf_wrong"), 3, "answered 401", "settings/tokens")
    assert hub.repos == {}
    assert_error(publish(HF_ENDPOINT="http://127.0.0.1:9"), 3, "could not be reached", "run the same command again")


def test_the_hub_says_how_long_to_wait(hub: HuggingFaceServer, publish: Publish, assert_error: Check) -> None:
    limit = {"RateLimit": '"api";r=0;t=1', "RateLimit-Policy": '"fixed window";"api";q=500;w=300'}
    hub.fail(method="GET", path="whoami", status=429, headers=limit)
    hub.fail(method="POST", path="/api/repos/create", status=429, headers={"Retry-After": "1"})
    hub.fail(method="POST", path="/commit/", status=429, headers={"Retry-After": "1"})
    ended = publish()
    assert (ended.returncode, ended.stderr) == (0, "")
    assert len(hub.repos[REPO].commits) == 2
    hub.fail(method="GET", path="whoami", status=429, headers={"Retry-After": "3600"})
    assert_error(publish(), 3, "answered 429", "Too many requests")


def test_the_login_that_the_clients_own_command_has_stored_is_taken(
    hub: HuggingFaceServer, publish: Publish, tmp_path: Path
) -> None:
    HOME.mkdir(exist_ok=True)  # Emptied with the next stand-in.
    (HOME / "token").write_text(hub.token)
    (HOME / "stored_tokens").write_text(f"[mine]\nhf_token = {hub.token}\n")
    ended = publish(HF_TOKEN="")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_bars_of_the_client_are_hidden_where_nobody_sees_them_and_only_for_the_call() -> None:
    for before in (enable_progress_bars, disable_progress_bars):
        before()
        was = are_progress_bars_disabled()
        with hub_errors("owner/name"):
            assert are_progress_bars_disabled()
        assert are_progress_bars_disabled() == was
    enable_progress_bars()


UNFIT = {"not ASCII": ("hf_0123456789ü", "not ASCII"), "of two words": ("hf_0123456789 behind", "several lines or words")}


@pytest.mark.parametrize("case", UNFIT)
def test_a_token_that_cannot_be_sent_is_refused_and_not_shown(
    case: str, hub: HuggingFaceServer, publish: Publish, tmp_path: Path, assert_error: Check
) -> None:
    token, words = UNFIT[case]
    for ended in (publish(HF_TOKEN=token), amaxds("validate", REPO, cwd=tmp_path, HF_TOKEN=token)):
        assert_error(ended, 2, "HF_TOKEN", words)
        assert "hf_0123456789" not in ended.stderr
    assert hub.requests == []


SURROUNDINGS = {
    "certificates that are not there": ({"SSL_CERT_FILE": "/nowhere/ca.pem"}, 3, ("could not be reached",)),
    "a proxy of an unknown kind": ({"ALL_PROXY": "ftp://user:word@127.0.0.1:9"}, 3, ("could not be reached", "***@127.0.0.1")),
    "a socks proxy": ({"ALL_PROXY": "socks5://127.0.0.1:9"}, 3, ("could not be reached",)),
    "offline": ({"HF_HUB_OFFLINE": "1"}, 3, ("set to stay offline", "Unset HF_HUB_OFFLINE")),
}


@pytest.mark.parametrize("case", SURROUNDINGS)
def test_settings_with_which_the_hub_cannot_be_reached_are_named(
    case: str, hub: HuggingFaceServer, dataset: Path, publish: Publish, tmp_path: Path, assert_error: Check
) -> None:
    settings, code, words = SURROUNDINGS[case]
    settings = {"NO_PROXY": "", "no_proxy": ""} | settings
    for ended in (publish(**settings), amaxds("validate", REPO, cwd=tmp_path, **settings)):
        assert_error(ended, code, *words)
    assert hub.requests == []
