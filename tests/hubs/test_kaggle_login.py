"""The logins that Kaggle's client takes, wherever they are, and those that cannot be sent, which are refused and not shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from support.kaggle_repo import NAME, REPO, publish_on_kaggle
from support.kaggle_server import KaggleServer

Check = Callable[..., None]
SECRET = "KGAT_0123456789abcdef"
UNFIT = {
    "of two lines": (f"{SECRET}\nbehind", "several lines"),
    "with a space": (f"{SECRET} behind", "several lines"),
    "not ASCII": (f"{SECRET}ü", "not ASCII"),
    "of spaces": (" \n", "is empty"),
}
PLACES = ("variable", "file", "file that the variable names", "kaggle.json", "key")


@pytest.mark.parametrize(
    ("place", "case"),
    [
        # Every case in one place, and one case in every place; the others with the matrices.
        pytest.param(place, case, marks=[pytest.mark.system] * (place != "variable" and case != "of two lines"))
        for place in PLACES
        for case in UNFIT
    ],
)
def test_a_token_that_cannot_be_sent_is_refused_and_not_shown(
    case: str, place: str, kaggle: KaggleServer, dataset: Path, tmp_path: Path, assert_error: Check
) -> None:
    token, words = UNFIT[case]
    folder, variables = tmp_path / ".kaggle", {"KAGGLE_USERNAME": "", "KAGGLE_KEY": ""}
    folder.mkdir()
    match place:
        case "variable":
            variables, named = variables | {"KAGGLE_API_TOKEN": token}, "KAGGLE_API_TOKEN"
        case "file":
            (folder / "access_token").write_text(token)
            named = "access_token"
        case "file that the variable names":
            (tmp_path / "mine").write_text(token)
            variables, named = variables | {"KAGGLE_API_TOKEN": str(tmp_path / "mine")}, "mine"
        case "kaggle.json":
            (folder / "kaggle.json").write_text(json.dumps({"username": "owner", "key": token}))
            named = "kaggle.json"
        case _:
            variables, named = {"KAGGLE_KEY": token}, "KAGGLE_KEY"
    ended = publish_on_kaggle(dataset, tmp_path, **variables)
    assert_error(ended, 2, f"{named} ", words)
    debugged = publish_on_kaggle(dataset, tmp_path, **variables, AMAXDS_DEBUG="1")
    assert debugged.returncode == 2
    assert all(SECRET not in text for each in (ended, debugged) for text in (each.stdout, each.stderr))
    assert kaggle.requests == []


def test_a_login_with_a_line_break_behind_it_or_a_byte_order_mark_is_taken(
    kaggle: KaggleServer, dataset: Path, tmp_path: Path
) -> None:
    assert publish_on_kaggle(dataset, tmp_path, KAGGLE_KEY=f"{KaggleServer.key}\n").returncode == 0
    (tmp_path / ".kaggle").mkdir()
    login = json.dumps({"username": KaggleServer.username, "key": KaggleServer.key})
    (tmp_path / ".kaggle" / "kaggle.json").write_text(login, "utf-8-sig")
    ended = publish_on_kaggle(dataset, tmp_path, KAGGLE_USERNAME="", KAGGLE_KEY="")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "27 unchanged" in ended.stdout


LOGINS = ["variable", "file that it names", "access_token", "access_token.txt", "kaggle.json", "browser", "notebook"]


@pytest.mark.parametrize("form", LOGINS)
def test_every_form_of_login_that_the_client_takes(form: str, kaggle: KaggleServer, dataset: Path, tmp_path: Path) -> None:
    folder, variables, token = tmp_path / ".kaggle", {"KAGGLE_USERNAME": "", "KAGGLE_KEY": ""}, KaggleServer.token
    folder.mkdir()
    mine = tmp_path / "mine"
    match form:
        case "variable":
            variables["KAGGLE_API_TOKEN"] = token
        case "file that it names":
            mine.write_text(f"{token}\n")
            variables["KAGGLE_API_TOKEN"] = str(mine)
        case "kaggle.json":
            (folder / form).write_text(json.dumps({"username": KaggleServer.username, "key": KaggleServer.key}))
        case "browser":
            login = {"refresh_token": KaggleServer.refresh_token, "username": KaggleServer.username, "scopes": []}
            (folder / "credentials.json").write_text(json.dumps(login))
        case "notebook":
            mine.write_text(token)
            place = {"KAGGLE_KERNEL_RUN_TYPE": "Interactive", "KAGGLE_DATA_PROXY_URL": "http://localhost:9"}
            variables |= place | {"KAGGLE_API_V1_TOKEN": str(mine)}
        case _:
            (folder / form).write_text(f"{token}\n")
    ended = publish_on_kaggle(dataset, tmp_path, "--repo", NAME, **variables)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert kaggle.datasets.keys() == {REPO}
    assert kaggle.calls("IntrospectToken") == (form not in ("kaggle.json", "browser"))
    assert kaggle.calls("GenerateAccessToken") == (form == "browser")
