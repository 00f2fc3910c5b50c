"""Kaggle's own client, as a program can use it.

It is made for its own command line. Imported without credentials it prints its help; it sends requests again that may have
arrived; and it leaves files in the folder for temporary files. This module makes an error of each failure, and puts the rest
right. What it assumes of the client is in docs/hubs.md.
"""

from __future__ import annotations

import contextlib
import email.utils
import io
import json
import os
import re
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from amaxds.builds.progress import has_bars, screen
from amaxds.errors import AmaxdsError, HubError, UsageError, in_words
from amaxds.hubs.base import checked_token, disk_apart
from amaxds.secrets import keep_secret
from amaxds.storage.files import disk_errors

AGAIN = "Nothing is lost: run the same command again."
SETTINGS = "https://www.kaggle.com/settings"
_MOST_TRIES, _LONGEST_PAUSE = 5, 600.0
"""How often a request is sent that Kaggle refuses for there being too many, and the longest pause in seconds before it."""
_HARMLESS = re.compile("Get|Download|StartBlobUpload|IntrospectToken")
"""Requests that may be sent twice, because they change nothing, or nothing that is seen."""


def key_files() -> list[Path]:
    """Where the client looks for kaggle.json."""
    home, said = Path(os.path.expanduser("~")), os.environ.get
    settings = Path(said("XDG_CONFIG_HOME") or home / ".config") / "kaggle"
    return [folder / "kaggle.json" for folder in (Path(said("KAGGLE_CONFIG_DIR") or home / ".kaggle"), settings)]


def token() -> str | None:
    """The token or key that the client will send, if there is one, and the file's name for a login in the browser. UsageError
    where it cannot be sent, or its file cannot be read."""
    home, said = Path(os.path.expanduser("~")) / ".kaggle", os.environ.get
    if said("KAGGLE_KERNEL_RUN_TYPE") is not None and said("KAGGLE_DATA_PROXY_URL") is not None:  # In Kaggle's notebooks.
        file = Path(said("KAGGLE_API_V1_TOKEN") or "nowhere")
        if file.is_file() and _text(file).strip():
            return checked_token(_text(file), str(file))
    given = said("KAGGLE_API_TOKEN")
    if given and not os.path.exists(given):
        return checked_token(given, "KAGGLE_API_TOKEN")
    for file in (Path(given or home / "access_token"), home / "access_token", home / "access_token.txt"):
        if os.path.isfile(file):
            return checked_token(_text(file), str(file))
    if said("KAGGLE_USERNAME") and said("KAGGLE_KEY"):
        return checked_token(said("KAGGLE_KEY"), "KAGGLE_KEY")
    for file in filter(os.path.isfile, key_files()):
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
        raise UsageError(f"{file} is no JSON with username and key.", f"Make one at {SETTINGS}, and put the file there.")
    return found


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig")
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} cannot be read: {type(error).__name__}.", "Give the file with the token.") from error


def connect() -> Any:
    """The client, logged in.

    It raises HubError for a file that cannot be uploaded, heeds KAGGLE_API_ENVIRONMENT, takes tokens with a line break behind
    them, and kaggle.json with a byte order mark. What Kaggle refuses because there are too many requests is sent again when
    Kaggle says; what may have arrived is not. A folder is sent as a zip whose bytes depend on its files alone.
    """
    import kagglesdk

    class Client(_client_class()):  # type: ignore[misc]  # the library has no types
        def build_kaggle_client(self) -> Any:
            client = kagglesdk.KaggleClient(
                username=self._stripped(self.CONFIG_NAME_USER),
                password=self._stripped(self.CONFIG_NAME_KEY),
                api_token=self._stripped(self.CONFIG_NAME_TOKEN),
                response_processor=self.get_response_processor(),
            )
            http = client.http_client()
            http.call = _patient(http.call)
            return client

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

        def with_retry(self, func: Any, *_: Any, **__: Any) -> Any:
            return func  # It would send a dataset's creation again after a connection was lost; see _patient.

        def _upload_file_or_folder(self, parent_path: str, name: str, *rest: Any) -> Any:
            blob_type, upload_context, _, quiet, resources = rest[:5]
            folder = Path(parent_path, name)
            if not folder.is_dir():
                return super()._upload_file_or_folder(parent_path, name, *rest)
            archive = Path(tempfile.gettempdir()) / f"{name}.zip"
            _zip(folder, archive)
            sent = self._upload_file(archive.name, str(archive), blob_type, upload_context, quiet, resources)
            archive.unlink()
            return sent

        def _upload_file(self, file_name: str, *rest: Any, **options: Any) -> Any:
            try:
                return super()._upload_file(file_name, *rest, **options)
            except ValueError as error:
                raise HubError(f"Kaggle did not take the file {file_name}.", AGAIN) from error

        def _upload_dataset_image_file(self, folder: str, name: str, quiet: bool = False) -> Any:
            return super()._upload_dataset_image_file(folder, name, quiet or not has_bars())

    client = Client()
    client.authenticate()
    keep_secret(str(client.config_values.get(client.CONFIG_NAME_TOKEN) or ""))  # A login in the browser makes new ones.
    return client


def _client_class() -> Any:
    """The client's class, imported without a network.

    Its package logs in when it is imported, always at kaggle.com, and deletes the login of a browser where that fails.
    """
    from kagglesdk.kaggle_http_client import KaggleHttpClient

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise ConnectionError  # The package takes no notice.

    call, KaggleHttpClient.call = KaggleHttpClient.call, refuse
    try:
        from kaggle.api.kaggle_api_extended import KaggleApi
    finally:
        KaggleHttpClient.call = call
    return KaggleApi


def _zip(folder: Path, archive: Path) -> None:
    """Pack a folder of PNG files, which no packing makes smaller. The same files give the same bytes and the same time of the
    archive, by which the client knows an upload again that was interrupted."""
    changed = (folder.parent / "build.json").stat().st_mtime if (folder.parent / "build.json").exists() else 0
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packed:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix())
            entry.external_attr = 0o644 << 16  # Else nobody may read what another program unpacks.
            packed.writestr(entry, path.read_bytes())
    os.utime(archive, (changed, changed))


def _patient(call: Callable[..., Any]) -> Callable[..., Any]:
    """The function that sends one request, which sends it again where Kaggle says that there were too many, after the time that
    it gives, and where no connection could be made and sending it again does no harm."""
    import requests

    def send(service: str, name: str, *rest: Any, **options: Any) -> Any:
        for tries in range(_MOST_TRIES):
            try:
                return call(service, name, *rest, **options)
            except requests.exceptions.RequestException as error:
                if status_of(error) == 429 and (pause := _retry_after(error.response, tries)) <= _LONGEST_PAUSE:
                    if pause > 5:
                        screen().say(f"Kaggle has too many requests: going on in {pause:.0f} s")
                elif status_of(error) is None and _HARMLESS.match(name) and tries < 2:
                    pause = 0.5 * 2**tries
                else:
                    raise
                if tries == _MOST_TRIES - 1:
                    raise
            time.sleep(pause)
        raise AssertionError  # The last try returns or raises.

    return send


def _retry_after(response: Any, tries: int) -> float:
    """How many seconds the answer says to wait, as a number or a date; where it says nothing, longer with every try."""
    said = str(response.headers.get("Retry-After", "")).strip()
    if re.fullmatch(r"\d{1,6}(\.\d+)?", said, re.ASCII):
        return float(said)
    try:
        return max(email.utils.parsedate_to_datetime(said).timestamp() - time.time(), 0.0)
    except (TypeError, ValueError):
        return 0.25 * float(2**tries)


@contextlib.contextmanager
def kaggle_errors(repo: str, client: Callable[[], Any], scratch: Path | None = None) -> Iterator[Any]:
    """What `client` returns, with its printing discarded and what it raises turned into a HubError that says what to do.

    scratch: where it keeps the state of its uploads, by which one that was interrupted goes on, and other temporary files.
    """
    before = tempfile.tempdir
    try:
        if scratch is not None:
            with disk_errors(scratch):
                scratch.mkdir(exist_ok=True)
            tempfile.tempdir = str(scratch)
        with contextlib.redirect_stdout(io.StringIO()), disk_apart():
            yield client()
    except AmaxdsError:
        raise
    except SystemExit as error:
        raise HubError("Kaggle's client found no valid token.", f"Make one at {SETTINGS}.") from error
    except Exception as error:  # The client raises its own, its library's and plain exceptions.
        raise _as_hub_error(error, repo) from error
    finally:
        tempfile.tempdir = before


def _as_hub_error(error: Exception, repo: str) -> HubError:
    status, words = status_of(error), in_words(error)
    if status is None:
        unreached = isinstance(error, OSError)  # All errors of its HTTP library are.
        said = f"could not be reached for {repo}" if unreached else f"'s client failed for {repo}"
        return HubError(f"Kaggle{' ' * unreached}{said}: {words[:120]}.", AGAIN)
    remedies = {
        401: f"The token is not valid: make one at {SETTINGS}.",
        403: "The token may not write there: check owner/name.",
        404: "Check owner/name.",
        409: "The name is taken: choose another (--repo).",
        429: "Too many requests: wait some minutes, then run the same command again.",
    }
    reason = f": {words.partition(' ')[2]}" if type(error).__name__ == "HTTPError" else ""
    return HubError(f"Kaggle answered {status} for {repo}{reason.rstrip('.')}.", remedies.get(status, AGAIN))


def status_of(error: BaseException) -> int | None:
    """The HTTP status in an exception of the client, if there is one."""
    status = getattr(getattr(error, "response", None), "status_code", None) or getattr(error, "status", None)
    return int(status) if isinstance(status, int) else None
