"""Kaggle: a dataset folder is published as the bundle of its default recipe, with Kaggle's own client.

The client is made for its own command line. Imported without credentials it prints its help; a file that cannot be uploaded
is left out without a word; and whenever it cannot ask for a dataset, it takes it that there is none. This module makes an
error of each.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from amaxds.builds.progress import has_bars
from amaxds.dataset.build_info import BuildInfo
from amaxds.dataset.bundle import bundle
from amaxds.dataset.bundle_files import KAGGLE_FILE
from amaxds.errors import HubError, UsageError, in_words, keep_secret
from amaxds.hubs.base import Changes, checked_token, hashes

_AGAIN = "Nothing is lost: run the same command again."
_SETTINGS = "https://www.kaggle.com/settings"
_READY_SECONDS = 1800.0


class Kaggle:
    """Kaggle. A dataset folder becomes one Kaggle dataset with the images as files; every version has all of them."""

    name = licence_platform = "kaggle"
    title = "Kaggle"

    def check(self, repo: str) -> None:
        slug = repo.partition("/")[2]
        if not 6 <= len(slug) <= 50:
            raise UsageError(f"{repo!r}: Kaggle's names have 6 to 50 characters, {slug!r} has {len(slug)}.", "Choose another.")

    def require_token(self) -> None:
        if _token() is None:
            raise UsageError(
                f"no token for Kaggle: no KAGGLE_API_TOKEN, no KAGGLE_USERNAME with KAGGLE_KEY, and no {_key_files()[0]}.",
                f"Make one at {_SETTINGS}, and set the variables or put the file there.",
            )

    def user(self) -> str:
        with _kaggle_errors("the token's user") as api:
            return str(api.config_values[api.CONFIG_NAME_USER])

    def prepare(self, folder: Path, info: BuildInfo, repo: str, scratch: Path) -> Path:
        bundle(folder, info, scratch / "bundle", repo=repo)
        return scratch / "bundle"

    def files(self, repo: str, scratch: Path) -> dict[str, str] | None:
        """As the protocol says; all files are fetched for this, since Kaggle tells no hashes."""
        with _kaggle_errors(repo) as api:
            try:
                api.dataset_status(repo)
            except Exception as error:
                if _status_of(error) in (403, 404):  # Kaggle answers 403 where there is no dataset.
                    return None
                raise
        there = scratch / "there"
        there.mkdir()
        self.fetch_files(repo, "", there)
        return hashes(there)

    def send(self, source: Path, repo: str, changes: Changes, private: bool | None, message: str) -> str:
        with _kaggle_errors(repo) as api:
            before, quiet = 0 if changes.creates else self._version(api, repo), not has_bars()
            if changes.creates:
                answer = api.dataset_create_new(str(source), public=private is False, quiet=quiet, dir_mode="zip")
            elif not changes.nothing:
                answer = api.dataset_create_version(str(source), message, quiet=quiet, dir_mode="zip")
            else:
                answer = None
            if answer is not None and (answer.error or str(answer.status).lower() == "error"):
                raise HubError(
                    f"Kaggle refused {repo}: {str(answer.error or answer.status).rstrip('.')}.",
                    "Choose another name (--repo), or mend that.",
                )
            if private is not None and not changes.creates:
                self._set_visibility(api, source, repo, private)
            return str(self._wait(api, repo, before + (answer is not None)))

    def _set_visibility(self, api: Any, source: Path, repo: str, private: bool) -> None:
        settings = json.loads((source / KAGGLE_FILE).read_text("utf-8")) | {"isPrivate": private}
        folder = source.parent / "settings"
        folder.mkdir(exist_ok=True)
        (folder / KAGGLE_FILE).write_text(json.dumps(settings), "utf-8")
        api.dataset_metadata_update(repo, str(folder))

    def _wait(self, api: Any, repo: str, version: int) -> int:
        """Wait until Kaggle has unpacked that version or a later one; its number."""
        began, pause = time.monotonic(), 0.2
        while time.monotonic() - began < _READY_SECONDS:
            with contextlib.suppress(LookupError):
                status = api.dataset_status(repo)
                if status == "ready" and (found := self._version(api, repo)) >= version:
                    return found
                if status in ("error", "failed"):
                    raise HubError(f"Kaggle could not unpack {repo}: its status is {status!r}.", _AGAIN)
            time.sleep(pause)
            pause = min(2 * pause, 10.0)
        raise HubError(f"Kaggle has not finished {repo} after {_READY_SECONDS / 60:.0f} minutes.", _AGAIN)

    def _version(self, api: Any, repo: str) -> int:
        return int(json.loads(api.dataset_status(repo, format="json(current_version_number)"))["current_version_number"] or 0)

    def fetch_files(self, repo: str, version: str, folder: Path) -> None:
        with _kaggle_errors(repo) as api:
            api.dataset_download_files(f"{repo}/{version}" if version else repo, path=str(folder), force=True, unzip=True)

    def fetch_untrusted(self, repo: str, version: str | None, folder: Path) -> Path:
        self.check(repo)
        self.require_token()
        if version is not None and not re.fullmatch(r"\d{1,9}", version, re.ASCII):
            raise UsageError(f"{version!r} is no version of a Kaggle dataset.", "Versions are numbers from 1.")
        with _kaggle_errors(repo) as api:
            try:
                api.dataset_download_files(f"{repo}/{version}" if version else repo, path=str(folder), force=True)
            except Exception as error:
                if _status_of(error) in (403, 404):
                    what = f"version {version} of {repo}" if version else repo
                    raise HubError(
                        f"Kaggle has no dataset {what} that you may read.", "Check the name, and whose token it is."
                    ) from error
                raise
        return folder / f"{repo.partition('/')[2]}.zip"

    def verify(self, folder: Path, info: BuildInfo, repo: str, version: str, scratch: Path) -> None:
        """Does nothing: the files are all that users of Kaggle need."""

    def url(self, repo: str) -> str:
        return f"https://www.kaggle.com/datasets/{repo}"


def _key_files() -> list[Path]:
    """Where the client looks for kaggle.json."""
    home, said = Path(os.path.expanduser("~")), os.environ.get
    settings = Path(said("XDG_CONFIG_HOME") or home / ".config") / "kaggle"
    return [folder / "kaggle.json" for folder in (Path(said("KAGGLE_CONFIG_DIR") or home / ".kaggle"), settings)]


def _token() -> str | None:
    """The token or key that the client will send, if there is one, and the file's name for a login in the browser. UsageError
    where it cannot be sent, or its file cannot be read."""
    home, said = Path(os.path.expanduser("~")) / ".kaggle", os.environ.get
    given = said("KAGGLE_API_TOKEN")
    if given and not os.path.exists(given):
        return checked_token(given, "KAGGLE_API_TOKEN")
    for file in (Path(given or home / "access_token"), home / "access_token", home / "access_token.txt"):
        if os.path.isfile(file):
            return checked_token(_text(file), str(file))
    if said("KAGGLE_USERNAME") and said("KAGGLE_KEY"):
        return checked_token(said("KAGGLE_KEY"), "KAGGLE_KEY")
    for file in filter(os.path.isfile, _key_files()):
        return checked_token(_login(file).get("key", ""), str(file))
    if os.path.isfile(home / "credentials.json"):
        keep_secret(*re.findall(r'"([^"]{20,})"', _text(home / "credentials.json")))
        return "credentials.json"
    return None


def _login(file: Path) -> dict[str, Any]:
    """What kaggle.json says; UsageError where it cannot be read."""
    try:
        found = json.loads(_text(file))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise UsageError(f"{file} is no JSON with username and key.", f"Make one at {_SETTINGS}, and put the file there.")
    return found


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig")
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} cannot be read: {type(error).__name__}.", "Give the file with the token.") from error


def _client() -> Any:
    """Kaggle's client, logged in. It raises HubError for a file that cannot be uploaded, heeds KAGGLE_API_ENVIRONMENT, and
    takes tokens with a line break behind them, and kaggle.json with a byte order mark."""
    import kagglesdk
    from kaggle.api.kaggle_api_extended import KaggleApi

    class Client(KaggleApi):  # type: ignore[misc]  # the library has no types
        def build_kaggle_client(self) -> Any:
            return kagglesdk.KaggleClient(
                username=self._stripped(self.CONFIG_NAME_USER),
                password=self._stripped(self.CONFIG_NAME_KEY),
                api_token=self._stripped(self.CONFIG_NAME_TOKEN),
                response_processor=self.get_response_processor(),
            )

        def _stripped(self, name: str) -> str | None:
            value = self.config_values.get(name)
            return None if value is None else str(value).strip()

        def _introspect_token(self, access_token: str) -> Any:
            return super()._introspect_token(access_token.strip())

        def read_config_file(self, config_data: Any = None, quiet: bool = False) -> Any:
            return (config_data or {}) | (_login(Path(self.config)) if os.path.isfile(self.config) else {})

        def read_config_environment(self, config_data: Any = None) -> Any:
            said = super().read_config_environment({})
            return (config_data or {}) | {name: value for name, value in said.items() if value}

        def _upload_file(self, file_name: str, *rest: Any, **options: Any) -> Any:
            try:
                return super()._upload_file(file_name, *rest, **options)
            except ValueError as error:
                raise HubError(f"Kaggle did not take the file {file_name}.", _AGAIN) from error

    client = Client()
    client.authenticate()
    return client


@contextlib.contextmanager
def _kaggle_errors(repo: str) -> Iterator[Any]:
    """The client, with its printing discarded and what it raises turned into a HubError that says what to do."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield _client()
    except (HubError, UsageError):
        raise
    except SystemExit as error:
        raise HubError("Kaggle's client found no valid token.", f"Make one at {_SETTINGS}.") from error
    except Exception as error:  # The client raises its own, its library's and plain exceptions.
        status = _status_of(error)
        if status is None:
            raise HubError(f"Kaggle could not be reached for {repo}: {in_words(error)[:120]}", _AGAIN) from error
        remedies = {
            401: f"The token is not valid: make one at {_SETTINGS}.",
            403: "The token may not write there: check owner/name.",
            404: "Check owner/name.",
            409: "The name is taken: choose another (--repo).",
            429: "Too many requests: wait some minutes, then run the same command again.",
        }
        raise HubError(f"Kaggle answered {status} for {repo}.", remedies.get(status, _AGAIN)) from error


def _status_of(error: BaseException) -> int | None:
    """The HTTP status in an exception of the client, if there is one."""
    status = getattr(getattr(error, "response", None), "status_code", None) or getattr(error, "status", None)
    return int(status) if isinstance(status, int) else None
