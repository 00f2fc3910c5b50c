"""Secrets: this file knows them, and takes them out of every text that comes from elsewhere before it is shown.

Known are the values of environment variables with such names, what is in the files where the clients of hubs and stores look
for tokens and keys, and what `keep_secret` was given. Besides, whatever has the form of one is cut out: logins in URLs,
signatures and tokens in their queries, authorization headers, and tokens of the hubs.
"""

from __future__ import annotations

import base64
import functools
import os
import re
import urllib.parse
from collections.abc import Iterator

_WORDS = "token|secret|password|passwd|credential|signature|apikey"
_NAMES = re.compile(rf".*({_WORDS}|_key|_sas|credentials|connection_string)", re.IGNORECASE)
"""Of environment variables whose values are secrets."""
_ENTRY = re.compile(rf"""["']?([\w.-]*(?:{_WORDS}|key)[\w.-]*)["']?[\s:=]+["']?([^\s"',]{{6,}})""", re.IGNORECASE)
"""A name and its value in a file, be it of JSON, INI or netrc."""
_LOGIN = re.compile(r"(?<=://)[^/\s@]+(?=@)")
"""User and password in a URL, such as that of a proxy."""
_QUERY = re.compile(rf"([?&][\w.-]*(?:{_WORDS}|sig|key)[\w.-]*=)[^&\s\"'<>]+", re.IGNORECASE)
_HEADER = re.compile(
    r"(\bauthorization[\"']?\s*[:=]\s*[\"']?(?:(?:basic|bearer|token)\s+)?|\bbearer\s+)[^\s\"'*]{6,}", re.IGNORECASE
)
_FORM = re.compile(r"\b(?:hf_[A-Za-z0-9]{20,}|KGAT_\w{16,}|AKIA[A-Z0-9]{16}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,})")
"""Tokens of Hugging Face, Kaggle and Amazon, and those that hold JSON."""
_LEAST = 6
"""Shorter values are words that may be anywhere."""
_MOST_OF_FILE = 100_000
_given: set[str] = set()


def keep_secret(*values: str) -> None:
    """Keep these values, such as tokens read from files, out of every text from now on."""
    for value in values:
        _given.update(re.findall(f"[!-~]{{{_LEAST},}}", value))


def without_secrets(text: str) -> str:
    """The text with `***` for every secret in it. All texts of other libraries, hubs and processes come through here."""
    keep_secret(*_of_environment(), *_of_files())
    for secret in sorted(_given | {urllib.parse.quote(each, safe="") for each in _given} | _encoded(), key=len, reverse=True):
        text = text.replace(secret, "***")
    for pattern, kept in ((_LOGIN, "***"), (_QUERY, r"\1***"), (_HEADER, r"\1***"), (_FORM, "***")):
        text = pattern.sub(kept, text)
    return text


def _of_environment() -> Iterator[str]:
    for name, value in os.environ.items():
        if _NAMES.fullmatch(name) and not os.path.exists(value):
            yield value
        elif login := re.search(r"://([^\s@]*):(\S*)@", value):  # Its password may have characters that end a URL's login.
            yield login[2]
            yield urllib.parse.unquote(login[2])


def _encoded() -> set[str]:
    """A login as it is sent."""
    login = f"{os.environ.get('KAGGLE_USERNAME', '')}:{os.environ.get('KAGGLE_KEY', '')}"
    return {base64.b64encode(login.encode(errors="surrogateescape")).decode()}


def _places() -> Iterator[str]:
    """The files where the clients look for tokens and keys."""
    said = os.environ.get
    settings, cache = said("XDG_CONFIG_HOME") or "~/.config", said("XDG_CACHE_HOME") or "~/.cache"
    hub = said("HF_TOKEN_PATH") or os.path.join(said("HF_HOME") or os.path.join(cache, "huggingface"), "token")
    yield from (hub, os.path.join(os.path.dirname(hub), "stored_tokens"))
    yield from (os.path.join("~/.kaggle", name) for name in ("access_token", "access_token.txt", "credentials.json"))
    folders = said("KAGGLE_CONFIG_DIR") or "~/.kaggle", os.path.join(settings, "kaggle")
    yield from (os.path.join(folder, "kaggle.json") for folder in folders)
    yield from (said("KAGGLE_API_TOKEN") or "", said("KAGGLE_API_V1_TOKEN") or "")
    yield from (said("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials", said("GOOGLE_APPLICATION_CREDENTIALS") or "")
    yield said("NETRC") or "~/.netrc"


def _of_files() -> Iterator[str]:
    for place in _places():
        path = os.path.expanduser(place)
        try:
            found = os.stat(path)
            yield from _of_file(path, found.st_mtime_ns, found.st_size)
        except (OSError, ValueError):
            continue


@functools.lru_cache(64)
def _of_file(path: str, changed: int, size: int) -> tuple[str, ...]:
    """The secrets in a file of that time and size; OSError where it cannot be read."""
    if not os.path.isfile(path) or size > _MOST_OF_FILE:
        return ()
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        text = file.read()
    if re.fullmatch(r"\s*[^\s{\[]\S*\s*", text):  # A token alone.
        return (text,)
    return tuple(value for _, value in _ENTRY.findall(text) if not value.startswith(("http", "-----")))
