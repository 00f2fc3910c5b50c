"""The client of the Hugging Face Hub, huggingface_hub, as a program can use it: its bars hidden where nobody sees them, its
warnings said in a line, and what it raises turned into errors that say what to do. What is assumed of it is in docs/hubs.md."""

from __future__ import annotations

import contextlib
import json
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar

from amaxds.builds.progress import has_bars, screen
from amaxds.errors import AmaxdsError, HubError, in_words, printable
from amaxds.hubs.base import disk_apart
from amaxds.secrets import without_secrets

AGAIN = "Nothing is lost: run the same command again, and only what is missing is sent."
FETCH_AGAIN = "Check the connection, and run the same command again."
_MOST_TRIES, _LONGEST_PAUSE = 5, 600.0
"""How often a request is sent that the hub refuses for there being too many, and the longest pause in seconds before it."""
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def patiently(call: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
    """What the function of the client returns; called again, after the time that the hub gives, where it says that there were
    too many requests. The client itself does so for some of its requests only."""
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils._http import parse_ratelimit_headers

    for tries in range(_MOST_TRIES):
        try:
            return call(*args, **kwargs)
        except HfHubHTTPError as error:
            limit = parse_ratelimit_headers(error.response.headers)
            said = str(error.response.headers.get("Retry-After", ""))
            # The hub counts requests in every answer: only where none is left, it is the reason.
            pause = (
                float(limit.reset_in_seconds) if limit and limit.remaining == 0 else float(said) if said.isdecimal() else None
            )
            if error.response.status_code != 429 or pause is None or pause > _LONGEST_PAUSE or tries == _MOST_TRIES - 1:
                raise
        if pause > 5:
            screen().say(f"Hugging Face has too many requests: going on in {pause:.0f} s")
        time.sleep(pause)
    raise AssertionError  # The last try returns or raises.


@contextlib.contextmanager
def without_bars() -> Iterator[None]:
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
def hub_errors(repo: str, again: str = AGAIN) -> Iterator[None]:
    """Turn what the client raises into a HubError that says what happened and what to do. again: where that is to try again."""
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    hide = not has_bars() and not are_progress_bars_disabled()
    if hide:
        disable_progress_bars()
    try:
        with disk_apart(), _warnings_in_lines():
            yield
    except (AmaxdsError, MemoryError):
        raise
    except json.JSONDecodeError as error:
        raise HubError(f"Hugging Face answered for {repo} with something that is no JSON.", again) from error
    except Exception as error:  # The HTTP library, settings of proxies and certificates raise errors of many kinds.
        wrapped = type(error) is RuntimeError  # So the client wraps failures of large files; Xet's own come alone.
        answered = error.__cause__ if wrapped else error
        if isinstance(answered, HfHubHTTPError):
            raise _refusal(answered, repo, again) from error
        if _has_cause(error, OfflineModeIsEnabled):
            raise HubError(
                f"Hugging Face's client is set to stay offline, so {repo} cannot be reached.", "Unset HF_HUB_OFFLINE."
            ) from error
        said, other = in_words(answered or error), " If this stays so, HF_HUB_DISABLE_XET=1 takes another way."
        raise HubError(
            f"Hugging Face could not be reached for {repo}: {said}.", again + other * (wrapped and answered is None)
        ) from error
    finally:
        if hide:
            enable_progress_bars()


@contextlib.contextmanager
def _warnings_in_lines() -> Iterator[None]:
    """Say warnings, such as the hub's of a card, in a line each on the screen."""
    with warnings.catch_warnings(record=True) as caught:
        yield
    for each in caught:
        if each.category is UserWarning:
            screen().say(f"Hugging Face: {printable(without_secrets(' '.join(str(each.message).split())))}")


def _has_cause(error: BaseException, kind: type[BaseException]) -> bool:
    """Whether the error, or one that it came from, is of this kind."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, kind):
        cause = cause.__cause__ or cause.__context__
    return cause is not None


def _refusal(error: Any, repo: str, again: str) -> HubError:
    """The HubError for an answer of the hub with an HTTP status of 400 or more. again: what to do where nothing else helps."""
    from huggingface_hub.errors import DisabledRepoError, GatedRepoError

    status, said = error.response.status_code, " ".join(without_secrets(str(error.server_message or "")).split())[:200]
    remedies = {
        401: "The token is not valid: make one at https://huggingface.co/settings/tokens, and set HF_TOKEN.",
        402: "Hugging Face wants to be paid for that: publish with --public, or see the plan of that account.",
        403: "The token may not write there: check owner/name, and the token's permissions.",
        404: "Check owner/name, and that the token may read it.",
        409: "The name is taken: choose another (--repo).",
        412: "Something else was committed there meanwhile: run the same command again.",
        429: "Too many requests: wait some minutes, then run the same command again.",
    }
    remedy = remedies.get(status, again)
    if isinstance(error, GatedRepoError):
        remedy = "Its owner decides who may read it: ask for access on its page, then run the same command again with HF_TOKEN."
    elif isinstance(error, DisabledRepoError):
        remedy = "Hugging Face has disabled it: see its page."
    return HubError(f"Hugging Face answered {status} for {repo}: {said.rstrip('.') or 'no reason given'}.", remedy)
