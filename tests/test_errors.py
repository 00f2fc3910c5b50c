"""Messages: what they must never show."""

from __future__ import annotations

import pytest

from amaxds.errors import AmaxdsError, in_words
from amaxds.secrets import keep_secret, without_secrets

TOKEN = "hf_0123456789abcdef"


@pytest.mark.parametrize("name", ["HF_TOKEN", "KAGGLE_API_TOKEN", "KAGGLE_KEY", "AWS_SECRET_ACCESS_KEY", "MY_PASSWORD"])
def test_secrets_of_the_environment_are_cut_out_of_every_message(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, f"{TOKEN}\nbehind-it")
    shown = in_words(ValueError(f"in header b'Bearer {TOKEN}\\nbehind-it'"))
    assert shown == "ValueError in header b'Bearer ***\\n***'"
    assert in_words(ValueError("x" * 190 + TOKEN)) == "ValueError " + "x" * 189  # No part of it at the end.
    assert str(AmaxdsError(f"{TOKEN} is no token.", f"Not {TOKEN}.")) == "*** is no token.\nNot ***."


def test_secrets_of_files_and_logins_of_urls_are_cut_out() -> None:
    keep_secret("a-key-of-a-file")
    assert without_secrets("key a-key-of-a-file, http://user:word@proxy:3128/ and http://proxy/a:b@c") == (
        "key ***, http://***@proxy:3128/ and http://proxy/a:b@c"
    )


def test_a_login_in_base64_is_cut_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_USERNAME", "owner")
    monkeypatch.setenv("KAGGLE_KEY", "secret-key")
    assert without_secrets("Basic b3duZXI6c2VjcmV0LWtleQ==") == "Basic ***"


def test_what_only_looks_like_a_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "perhaps")
    monkeypatch.setenv("SOME_KEY", "/etc/passwd")
    assert without_secrets("perhaps /etc/passwd") == "perhaps /etc/passwd"
