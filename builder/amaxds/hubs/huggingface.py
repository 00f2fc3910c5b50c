"""The Hugging Face Hub: a dataset folder is published as a dataset repository, with the client of the hub, huggingface_hub."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from amaxds.dataset.build_info import BuildInfo
from amaxds.errors import HubError, UsageError, in_words
from amaxds.hubs.base import Changes, checked_token, disk_apart
from amaxds.hubs.huggingface_client import AGAIN, FETCH_AGAIN, hub_errors, patiently, without_bars

_MOST_FILES, _MOST_BYTES = 1000, 200e9
_MOST_IN_COMMIT = 250
"""Files in one commit, for which the hub takes a minute at most. A dataset has fewer, a gallery many more."""


class HuggingFace:
    """The Hugging Face Hub. A dataset folder becomes one dataset repository with the same files."""

    name = licence_platform = "huggingface"
    one_recipe = False
    title = "Hugging Face"
    copies = 4  # What is fetched back, what load_dataset fetches, and what it makes of both datasets.
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

        with hub_errors(repo):
            token = get_token()
        # As the client looks for it.
        named = next((name for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN") if os.environ.get(name)), None)
        return token and checked_token(token, named or "the file that `hf auth login` writes")

    def user(self) -> str:
        from huggingface_hub import whoami

        with hub_errors("the token's user"):
            return str(patiently(whoami, cache=True)["name"])  # The hub allows that question a few times only.

    @functools.cached_property
    def _heads(self) -> dict[str, str]:
        """Repository -> the commit that its files were compared with."""
        return {}

    def prepare(self, folder: Path, info: BuildInfo, repo: str, scratch: Path) -> Path:
        return folder

    def files(self, repo: str, scratch: Path) -> dict[str, str] | None:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

        with hub_errors(repo):
            api = HfApi()
            self.user()  # Refuses a token that is not valid, for which there seems to be no such repository.
            try:
                info: Any = patiently(api.repo_info, repo, repo_type=self.kind, files_metadata=True)
            except GatedRepoError:
                raise
            except RepositoryNotFoundError:
                return None
            self._heads[repo] = info.sha
            found = {}
            for each in info.siblings or []:
                if each.rfilename != ".gitattributes":
                    known = each.lfs.sha256 if each.lfs else self._small_file(api, repo, each.rfilename, info.sha)
                    found[each.rfilename] = known
            return found

    def latest(self, repo: str) -> str:
        return self._heads[repo]

    def _small_file(self, api: Any, repo: str, name: str, commit: str) -> str:
        """SHA-256 of a file that is not in large file storage: the hub knows only its git hash, so it is downloaded."""
        fetched = api.hf_hub_download(repo, name, repo_type=self.kind, revision=commit)
        return hashlib.sha256(Path(fetched).read_bytes()).hexdigest()

    def send(self, source: Path, repo: str, changes: Changes, private: bool | None, message: str) -> str:
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

        with hub_errors(repo):
            api = HfApi()
            if "README.md" in {*changes.added, *changes.changed}:
                self._check_card(source / "README.md", repo)
            if changes.creates:
                private = private is not False
                patiently(api.create_repo, repo, repo_type=self.kind, private=private, space_sdk=self.space_sdk)
            elif private:
                patiently(api.update_repo_settings, repo, repo_type=self.kind, private=private)
            operations: list[Any] = [CommitOperationDelete(name) for name in changes.removed]
            # A page comes last, when everything is there that it shows.
            names = sorted((*changes.added, *changes.changed), key=lambda name: ("/" not in name, name))
            operations += [CommitOperationAdd(name, source / name) for name in names]
            # What was committed there since the comparison, perhaps by a process that was killed, is not overwritten.
            head = self._heads.get(repo)
            for first in range(0, len(operations), _MOST_IN_COMMIT):
                part = operations[first : first + _MOST_IN_COMMIT]
                commit = functools.partial(api.create_commit, repo, part, commit_message=message, repo_type=self.kind)
                head = str(patiently(commit, parent_commit=head).oid)
            if private is False and not changes.creates:  # Not before: what was there until now was not to be seen.
                patiently(api.update_repo_settings, repo, repo_type=self.kind, private=False)
            info: Any = patiently(api.repo_info, repo, repo_type=self.kind)
            if private is not None and bool(info.private) != private:
                seen, due = ("public", "private") if private else ("private", "public")
                raise HubError(
                    f"Hugging Face shows {repo} as {seen}, though it was asked to make it {due}.",
                    f"See what its owner allows at {self.url(repo)}/settings, then run the same command again.",
                )
            return str(head if operations else info.sha)

    def _check_card(self, card: Path, repo: str) -> None:
        """HubError where the hub would not take the card: before anything is sent, and no repository is made for it."""
        from huggingface_hub import RepoCard

        try:
            patiently(RepoCard(card.read_text("utf-8"), ignore_metadata_errors=True).validate, self.kind)
        except ValueError as error:
            text = str(error)
            with contextlib.suppress(KeyError, TypeError, ValueError):
                text = "; ".join(str(each["message"]) for each in json.loads(text)["errors"])
            raise HubError(
                f"Hugging Face does not take the card of {repo}: {' '.join(text.split())[:300].rstrip('.')}.",
                "Nothing was sent. Please report it: the card is made by this tool.",
            ) from error

    def fetch_files(self, repo: str, version: str, folder: Path) -> None:
        from huggingface_hub import snapshot_download

        with hub_errors(repo):
            snapshot_download(repo, repo_type=self.kind, revision=version, local_dir=folder, force_download=True)

    def fetch_untrusted(self, repo: str, version: str | None, folder: Path) -> Path:
        from huggingface_hub import HfApi, snapshot_download
        from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

        self.check(repo)
        self._token(repo)
        with hub_errors(repo, FETCH_AGAIN):
            try:
                info = patiently(HfApi().dataset_info, repo, revision=version, files_metadata=True)
            except GatedRepoError:
                raise
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
            cache = str(scratch / "loaded")
            with without_bars():
                with hub_errors(repo):
                    there = datasets.load_dataset(repo, config, revision=version, cache_dir=cache)
                with disk_apart():
                    here = datasets.load_dataset(str(folder.resolve()), config, cache_dir=cache)
            if there.keys() != here.keys():
                raise HubError(f"{repo}: loads with splits {list(there)}, not {list(here)}.", AGAIN)
            for split in here:
                ours, theirs = (each[split].with_format("arrow") for each in (here, there))
                if ours.features != theirs.features or not ours[:].equals(theirs[:]):
                    raise HubError(f"{repo}: {config}/{split} loads with other rows than were sent.", AGAIN)

    def url(self, repo: str) -> str:
        from huggingface_hub import constants

        return f"{constants.ENDPOINT}/{self.kind}s/{repo}"
