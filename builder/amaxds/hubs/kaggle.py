"""Kaggle: a dataset folder is published as the bundle of its default recipe, with Kaggle's own client."""

from __future__ import annotations

import functools
import os
import re
import shutil
import time
import zipfile
from pathlib import Path
from typing import Any

from amaxds.builds.progress import has_bars, screen
from amaxds.dataset.build_info import BUILD_FILE, BuildInfo
from amaxds.dataset.bundle import bundle
from amaxds.errors import HubError, UsageError
from amaxds.hubs.base import Changes, hashes
from amaxds.hubs.kaggle_client import AGAIN, SETTINGS, connect, kaggle_errors, key_files, status_of, token
from amaxds.hubs.kaggle_page import about, check_answer, update_page
from amaxds.storage.files import disk_errors
from amaxds.storage.scratch import KEPT

_READY_SECONDS, _SEEN_SECONDS = 1800.0, 120.0
"""How long Kaggle may take to unpack a version, and then to let it be seen."""
_FAILED, _DELETED = ("failed", "error"), "deleted"


class Kaggle:
    """Kaggle. A dataset folder becomes one Kaggle dataset with the images as files; every version has all of them."""

    name = licence_platform = "kaggle"
    title = "Kaggle"
    one_recipe = True
    copies = 3  # The bundle, and of what is fetched back a zip and its files.

    @functools.cached_property
    def _client(self) -> Any:
        """Logged in once: with a token, Kaggle is asked whose it is."""
        return connect()

    def check(self, repo: str) -> None:
        slug = repo.partition("/")[2]
        if not 6 <= len(slug) <= 50:
            raise UsageError(f"{repo!r}: Kaggle's names have 6 to 50 characters, {slug!r} has {len(slug)}.", "Choose another.")
        if not re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", slug):
            other = "-".join(re.findall("[a-z0-9]+", slug.lower()))
            raise UsageError(
                f"{repo!r}: Kaggle's names have lower-case letters, digits, and single hyphens between them.",
                f"Choose another, such as --repo {other or 'filter-activations'}.",
            )

    def require_token(self) -> None:
        if token() is None:
            raise UsageError(
                f"no token for Kaggle: no KAGGLE_API_TOKEN, no KAGGLE_USERNAME with KAGGLE_KEY, and no {key_files()[0]}.",
                f"Make one at {SETTINGS}, and set the variables or put the file there.",
            )

    def user(self) -> str:
        with kaggle_errors("the token's user", lambda: self._client) as api:
            return str(api.config_values[api.CONFIG_NAME_USER])

    def prepare(self, folder: Path, info: BuildInfo, repo: str, scratch: Path) -> Path:
        out = scratch / "bundle"
        bundle(folder, info, out, repo=repo)
        # The client knows a file that it has begun to upload by its path, size and time.
        changed = (folder / BUILD_FILE).stat().st_mtime
        for path in out.iterdir():
            os.utime(path, (changed, changed))
        return out

    def files(self, repo: str, scratch: Path) -> dict[str, str] | None:
        """As the protocol says; all files are fetched for this, since Kaggle tells no hashes. A version that is still being
        unpacked, as after a process that was killed, is waited for."""
        there = scratch / "there"
        with disk_errors(there):
            there.mkdir()
        with kaggle_errors(repo, lambda: self._client) as api:
            try:
                status = api.dataset_status(repo)
            except Exception as error:
                if status_of(error) in (403, 404):  # Kaggle answers 403 where there is no dataset.
                    return None
                raise
            if status in _FAILED:
                return {}  # Of the last version nothing can be had: all is sent again.
            self._download(api, repo, str(self._wait(api, repo, 1)), there)
            found = hashes(there)
            shutil.rmtree(there)  # There need not be room for another copy.
            return found

    def latest(self, repo: str) -> str:
        with kaggle_errors(repo, lambda: self._client) as api:
            return str(self._version(api, repo))

    def send(self, source: Path, repo: str, changes: Changes, private: bool | None, message: str) -> str:
        with kaggle_errors(repo, lambda: self._client, source.parent / KEPT) as api:
            before, quiet = 0 if changes.creates else self._version(api, repo), not has_bars()
            if changes.creates:
                answer = api.dataset_create_new(str(source), public=private is False, quiet=quiet, dir_mode="zip")
                private = private is not False
            elif not changes.nothing:
                answer = api.dataset_create_version(str(source), message, quiet=quiet, dir_mode="zip")
            else:
                answer = None
            if answer is not None:
                check_answer(answer, repo)
            version = self._wait(api, repo, before + (answer is not None))
            update_page(api, source, repo, private, source.parent / "settings")
            return str(version)

    def _wait(self, api: Any, repo: str, version: int) -> int:
        """Wait until Kaggle has unpacked that version or a later one; its number."""
        began, pause, told = time.monotonic(), 0.2, False
        while (taken := time.monotonic() - began) < _READY_SECONDS:
            status, found = self._state(api, repo, taken)
            if status == "ready" and found >= version:
                return found
            if status in _FAILED:
                raise HubError(f"Kaggle could not unpack {repo}: its status is {status!r}.", AGAIN)
            if status == _DELETED:
                raise HubError(f"{repo} was deleted on Kaggle.", "Choose another name (--repo).")
            if taken > 10 and not told:
                screen().say(f"waiting until Kaggle has unpacked {repo}")
                told = True
            time.sleep(pause)
            pause = min(1.5 * pause, 10.0)
        raise HubError(f"Kaggle has not finished {repo} after {_READY_SECONDS / 60:.0f} minutes.", AGAIN)

    def _state(self, api: Any, repo: str, waited: float) -> tuple[str, int]:
        """The status of the latest version, and its number if it is ready; an empty status where it has one that the client
        does not know, or is not to be seen yet."""
        try:
            status = str(api.dataset_status(repo))
            return status, self._version(api, repo) if status == "ready" else 0
        except (AttributeError, LookupError):
            return "", 0
        except Exception as error:
            if status_of(error) in (403, 404) and waited < _SEEN_SECONDS:
                return "", 0
            raise

    def _version(self, api: Any, repo: str) -> int:
        return int(about(api, repo).current_version_number or 0)

    def fetch_files(self, repo: str, version: str, folder: Path) -> None:
        with kaggle_errors(repo, lambda: self._client) as api:
            self._download(api, repo, version, folder)

    def _download(self, api: Any, repo: str, version: str, folder: Path) -> None:
        """Fetch a version that is known to be there, which Kaggle may not hand out at once, and unpack it."""
        archive, began, pause = folder / f"{repo.partition('/')[2]}.zip", time.monotonic(), 0.2
        while True:
            try:
                api.dataset_download_files(f"{repo}/{version}", path=str(folder), force=True, quiet=not has_bars())
                with disk_errors(folder), zipfile.ZipFile(archive) as packed:
                    packed.extractall(folder)
                break
            except Exception as error:
                known = type(error) in (zipfile.BadZipFile, ValueError) or status_of(error) in (403, 404)
                if not known or time.monotonic() - began > _SEEN_SECONDS:
                    raise
            time.sleep(pause)
            pause = min(1.5 * pause, 10.0)
        archive.unlink()

    def fetch_untrusted(self, repo: str, version: str | None, folder: Path) -> Path:
        slug = repo.partition("/")[2]
        self.require_token()
        if version is not None and not re.fullmatch(r"\d{1,9}", version, re.ASCII):
            raise UsageError(f"{version!r} is no version of a Kaggle dataset.", "Versions are numbers from 1.")
        with kaggle_errors(repo, lambda: self._client) as api:
            try:
                name = f"{repo}/{version}" if version else repo
                api.dataset_download_files(name, path=str(folder), force=True, quiet=not has_bars())
            except Exception as error:
                if status_of(error) in (403, 404):
                    what = f"version {version} of {repo}" if version else repo
                    raise HubError(
                        f"Kaggle has no dataset {what} that you may read.", "Check the name, and whose token it is."
                    ) from error
                raise
        return folder / f"{slug}.zip"

    def verify(self, folder: Path, info: BuildInfo, repo: str, version: str, scratch: Path) -> None:
        """Does nothing: the files are all that users of Kaggle need."""

    def url(self, repo: str) -> str:
        return f"https://www.kaggle.com/datasets/{repo}"
