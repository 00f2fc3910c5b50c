"""What no text shows, in whatever form it is there."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from amaxds import secrets
from amaxds.secrets import without_secrets

TOKEN = "s3cret-0123456789"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder, and nothing known yet."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("HF_HOME", "HF_TOKEN_PATH", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "KAGGLE_CONFIG_DIR", "KAGGLE_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(secrets, "_given", set())
    return tmp_path


VARIABLES = [
    *("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_OIDC_ID_TOKEN", "KAGGLE_API_TOKEN", "KAGGLE_KEY", "AWS_SECRET_ACCESS_KEY"),
    *("AWS_SESSION_TOKEN", "AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_SAS", "MY_PASSWORD", "WANDB_API_KEY"),
]


@pytest.mark.parametrize("name", VARIABLES)
def test_variables(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, TOKEN)
    assert without_secrets(f"a {TOKEN} z") == "a *** z"


FILES = {
    ".cache/huggingface/token": TOKEN,
    ".cache/huggingface/stored_tokens": f"[mine]\nhf_token = other-0123456789\nrefresh_token = {TOKEN}\n",
    ".kaggle/access_token": f"{TOKEN}\n",
    ".kaggle/access_token.txt": f"\ufeff{TOKEN}\r\n",
    ".kaggle/credentials.json": f'{{"refresh_token": "{TOKEN}", "username": "owner"}}',
    ".kaggle/kaggle.json": f'{{"username":"owner","key":"{TOKEN}"}}',
    ".config/kaggle/kaggle.json": f'{{"key": "{TOKEN}", "username": "owner"}}',
    ".aws/credentials": f"[default]\naws_access_key_id=AK\naws_secret_access_key={TOKEN}\n",
    ".netrc": f"machine huggingface.co login owner password {TOKEN}\n",
}


@pytest.mark.parametrize("name", FILES)
def test_files(name: str, home: Path) -> None:
    (home / name).parent.mkdir(parents=True, exist_ok=True)
    (home / name).write_text(FILES[name])
    assert without_secrets(f"owner's is {TOKEN}.") == "owner's is ***."


def test_a_file_that_a_variable_names(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "mine").write_text(TOKEN)
    monkeypatch.setenv("KAGGLE_API_TOKEN", str(home / "mine"))
    assert without_secrets(f"{home / 'mine'} has {TOKEN}") == f"{home / 'mine'} has ***"


FORMS = {
    "a login in a URL": ("http://owner:word@proxy:3128/", "http://***@proxy:3128/"),
    "a token for a login": ("https://hf_short@host/a", "https://***@host/a"),
    "a signature": ("https://s/b?X-Goog-Signature=0a1b&X-Goog-Date=1", "https://s/b?X-Goog-Signature=***&X-Goog-Date=1"),
    "a query": ("GET /b?id=1&access_token=0a1b 404", "GET /b?id=1&access_token=*** 404"),
    "a header": ("headers {'Authorization': 'Bearer 0123456789'}", "headers {'Authorization': 'Bearer ***'}"),
    "a basic header": ("Authorization: Basic b3duZXI6a2V5", "Authorization: Basic ***"),
    "a token of Hugging Face": ("use hf_abcdefghijklmnopqrstuvwxyzABCDEFGH", "use ***"),
    "a token of Kaggle": ("use KGAT_0123456789abcdef0123456789abcdef", "use ***"),
    "a web token": ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "***"),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms(form: str) -> None:
    text, shown = FORMS[form]
    assert without_secrets(text) == shown


def test_other_writings_of_what_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_PASSWORD", "pass/word+0")
    assert without_secrets("?q=pass%2Fword%2B0") == "?q=***"
    monkeypatch.setenv("KAGGLE_USERNAME", "owner")
    monkeypatch.setenv("KAGGLE_KEY", "secret-key")
    assert without_secrets(f"sent {base64.b64encode(b'owner:secret-key').decode()}") == "sent ***"
    monkeypatch.setenv("HTTPS_PROXY", "http://user:wo/rd@rd0@proxy:3128")
    assert "wo/rd@rd0" not in without_secrets("cannot connect to http://user:wo/rd@rd0@proxy:3128")


def test_what_is_no_secret_is_shown() -> None:
    text = (
        "Basic settings: tokens at https://huggingface.co/settings/tokens; hf_hub_download of owner/name@main, key block1_conv1"
    )
    assert without_secrets(text) == text
