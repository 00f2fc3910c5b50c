"""The Hugging Face Hub: a dataset folder is published as a dataset repository, with the client of the hub, huggingface_hub."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from amaxds.builds.progress import has_bars
from amaxds.dataset.build_info import BuildInfo
from amaxds.errors import AmaxdsError, HubError, UsageError, in_words, without_secrets
from amaxds.hubs.base import Changes, checked_token

_MOST_FILES, _MOST_BYTES = 1000, 20e9
_AGAIN = "Nothing is lost: run the same command again, and only what is missing is sent."


class HuggingFace:
    """The Hugging Face Hub. A dataset folder becomes one dataset repository with the same files."""

    name = licence_platform = "huggingface"
    title = "Hugging Face"
    kind = "dataset"
    """The hub's word for this kind of repository: dataset or space."""
    space_sdk: str | None = None
    """What shows the files of a Space."""

    def check(self, repo: str) -> None:
        from huggingface_hub.errors import HFValidationError
        from huggingface_hub.utils._validators import validate_repo_id

        try:
            validate_repo_id(repo)
        except HFValidationError as error:
            raise UsageError(f"{repo!r} is no name for {self.title}: {in_words(error)}", "Choose another.") from error

    def require_token(self) -> None:
        if not self._token("the token's user"):
            raise UsageError(
                "no token for Hugging Face: neither the variable HF_TOKEN nor the file that `hf auth login` writes is there.",
                "Make one with write access at https://huggingface.co/settings/tokens, and set HF_TOKEN.",
            )

    def _token(self, repo: str) -> str | None:
        """The token that the client will send, if there is one; UsageError where it cannot be sent."""
        from huggingface_hub import get_token

        with _hub_errors(repo):
            token = get_token()
        # As the client looks for it.
        named = next((name for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN") if os.environ.get(name)), None)
        return token and checked_token(token, named or "the file that `hf auth login` writes")

    def user(self) -> str:
        from huggingface_hub import HfApi

        with _hub_errors("the token's user"):
            return str(HfApi().whoami()["name"])

    def prepare(self, folder: Path, info: BuildInfo, repo: str, scratch: Path) -> Path:
        return folder

    def files(self, repo: str, scratch: Path) -> dict[str, str] | None:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import RepositoryNotFoundError

        with _hub_errors(repo):
            api = HfApi()
            api.whoami()
            try:
                info: Any = api.repo_info(repo, repo_type=self.kind, files_metadata=True)
            except RepositoryNotFoundError:
                return None
            found = {}
            for each in info.siblings or []:
                if each.rfilename != ".gitattributes":
                    found[each.rfilename] = each.lfs.sha256 if each.lfs else self._small_file(api, repo, each.rfilename)
            return found

    def _small_file(self, api: Any, repo: str, name: str) -> str:
        """SHA-256 of a file that is not in large file storage: the hub knows only its git hash, so it is downloaded."""
        fetched = api.hf_hub_download(repo, name, repo_type=self.kind)
        return hashlib.sha256(Path(fetched).read_bytes()).hexdigest()

    def send(self, source: Path, repo: str, changes: Changes, private: bool | None, message: str) -> str:
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

        with _hub_errors(repo):
            api = HfApi()
            if changes.creates:
                api.create_repo(repo, repo_type=self.kind, private=private is not False, space_sdk=self.space_sdk)
            elif private is not None:
                api.update_repo_settings(repo, repo_type=self.kind, private=private)
            operations: list[Any] = [CommitOperationDelete(name) for name in changes.removed]
            operations += [CommitOperationAdd(name, source / name) for name in (*changes.added, *changes.changed)]
            if not operations:
                return str(api.repo_info(repo, repo_type=self.kind).sha)
            return str(api.create_commit(repo, operations, commit_message=message, repo_type=self.kind).oid)

    def fetch_files(self, repo: str, version: str, folder: Path) -> None:
        from huggingface_hub import snapshot_download

        with _hub_errors(repo):
            snapshot_download(repo, repo_type=self.kind, revision=version, local_dir=folder, force_download=True)

    def fetch_untrusted(self, repo: str, version: str | None, folder: Path) -> Path:
        from huggingface_hub import HfApi, snapshot_download
        from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

        self.check(repo)
        self._token(repo)
        with _hub_errors(repo):
            try:
                info = HfApi().dataset_info(repo, revision=version, files_metadata=True)
            except (RepositoryNotFoundError, RevisionNotFoundError) as error:
                what = repo if isinstance(error, RepositoryNotFoundError) else f"revision {version!r} of {repo}"
                raise HubError(
                    f"Hugging Face has no dataset {what} that you may read, and there is no such path here.",
                    "Check the name; for a private one, set HF_TOKEN.",
                ) from error
            files = info.siblings or []
            for each in files:
                if each.rfilename.startswith("/") or ".." in each.rfilename.split("/"):
                    raise HubError(f"{repo} has a file named {each.rfilename!r}.", "It is no dataset of this tool.")
            size = sum(each.size or 0 for each in files)
            if len(files) > _MOST_FILES or size > _MOST_BYTES:
                raise HubError(
                    f"{repo} has {len(files)} files of {size / 1e9:.1f} GB in all, more than any dataset of this tool.",
                    "Check the name.",
                )
            snapshot_download(repo, repo_type="dataset", revision=info.sha, local_dir=folder)
        return folder

    def verify(self, folder: Path, info: BuildInfo, repo: str, version: str, scratch: Path) -> None:
        """HubError where `load_dataset` does not give, for every config and split, the rows that are in the dataset folder."""
        import datasets

        for config in info.recipes:
            with _hub_errors(repo), _without_bars():
                cache = str(scratch / "loaded")
                there = datasets.load_dataset(repo, config, revision=version, cache_dir=cache)
                here = datasets.load_dataset(str(folder.resolve()), config, cache_dir=cache)
            if there.keys() != here.keys():
                raise HubError(f"{repo}: loads with splits {list(there)}, not {list(here)}.", _AGAIN)
            for split in here:
                ours, theirs = (each[split].with_format("arrow") for each in (here, there))
                if ours.features != theirs.features or not ours[:].equals(theirs[:]):
                    raise HubError(f"{repo}: {config}/{split} loads with other rows than were sent.", _AGAIN)

    def url(self, repo: str) -> str:
        from huggingface_hub import constants

        return f"{constants.ENDPOINT}/{self.kind}s/{repo}"


@contextlib.contextmanager
def _without_bars() -> Iterator[None]:
    """Without the progress bars of `datasets`."""
    import datasets

    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()


@contextlib.contextmanager
def _hub_errors(repo: str) -> Iterator[None]:
    """Turn what the client raises into a HubError that says what happened and what to do."""
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    hide = not has_bars() and not are_progress_bars_disabled()
    if hide:
        disable_progress_bars()
    try:
        yield
    except (AmaxdsError, MemoryError):
        raise
    except json.JSONDecodeError as error:
        raise HubError(f"Hugging Face answered for {repo} with something that is no JSON.", _AGAIN) from error
    except (
        Exception
    ) as error:  # Its HTTP library, settings of proxies and certificates, and the disk raise errors of many kinds.
        answered = error.__cause__ if type(error) is RuntimeError else error  # The client wraps failures of large files so.
        if isinstance(answered, HfHubHTTPError):
            raise _refusal(answered, repo) from error
        if _has_cause(error, OfflineModeIsEnabled):
            raise HubError(
                f"Hugging Face's client is set to stay offline, so {repo} cannot be reached.", "Unset HF_HUB_OFFLINE."
            ) from error
        said = in_words(answered or error)
        raise HubError(f"Hugging Face could not be reached for {repo}: {said}.", _AGAIN) from error
    finally:
        if hide:
            enable_progress_bars()


def _has_cause(error: BaseException, kind: type[BaseException]) -> bool:
    """Whether the error, or one that it came from, is of this kind."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, kind):
        cause = cause.__cause__ or cause.__context__
    return cause is not None


def _refusal(error: Any, repo: str) -> HubError:
    """The HubError for an answer of the hub with an HTTP status of 400 or more."""
    status, said = error.response.status_code, " ".join(without_secrets(str(error.server_message or "")).split())[:200]
    remedies = {
        401: "The token is not valid: make one at https://huggingface.co/settings/tokens, and set HF_TOKEN.",
        403: "The token may not write there: check owner/name, and the token's permissions.",
        404: "Check owner/name, and that the token may read it.",
        409: "The name is taken: choose another (--repo).",
        429: "Too many requests: wait some minutes, then run the same command again.",
    }
    return HubError(f"Hugging Face answered {status} for {repo}: {said or 'no reason given'}.", remedies.get(status, _AGAIN))
