"""Runs a command and turns whatever stops it, an error or a signal, into two lines on stderr and an exit code."""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import signal
import sys
from types import FrameType
from typing import Any, NoReturn

import typer
from typer.exceptions import TyperException

from amaxds.compute import apart
from amaxds.errors import AmaxdsError, InvalidDataset
from amaxds.secrets import without_secrets

_SIGNALS = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
"""From the user, the system, and a terminal that is closed."""


class Signalled(BaseException):
    """One of these signals arrived. (KeyboardInterrupt would not do: Typer handles it, and exits without a message.)"""

    def __init__(self, number: int) -> None:
        self.number = number


def on_signal(number: int, frame: FrameType | None) -> None:
    """Signal handler: raise Signalled, but never inside an import, where it could get lost and leave the import lock held.

    During an import, the handler runs again a moment later.
    """
    caller = frame
    while caller is not None:
        if caller.f_code.co_filename.startswith("<frozen importlib") and hasattr(signal, "setitimer"):
            _signal_soon(number)
            return
        caller = caller.f_back
    raise Signalled(number)


def _signal_soon(number: int) -> None:
    signal.signal(signal.SIGALRM, lambda _, frame: on_signal(number, frame))
    signal.setitimer(signal.ITIMER_REAL, 0.02)


def _on_unraisable(lost: sys.UnraisableHookArgs) -> None:
    """Raise Signalled again where it got lost, for example in a library's callback, from which no exception propagates."""
    if isinstance(lost.exc_value, Signalled) and hasattr(signal, "setitimer"):
        _signal_soon(lost.exc_value.number)
    else:
        sys.__unraisablehook__(lost)


def run(app: typer.Typer) -> NoReturn:
    """Run the command and exit. Errors are printed as two lines on stderr, and give the exit code of their class."""
    for number in _SIGNALS:
        if number in _SIGNALS[:2] or signal.getsignal(number) != signal.SIG_IGN:  # `nohup` has SIGHUP ignored.
            signal.signal(number, on_signal)
    sys.unraisablehook = _on_unraisable
    apart.claim()
    logging.setLogRecordFactory(_log_record)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code: Any = _invoke(app)
    except typer.Exit as exit_request:
        code = exit_request.exit_code
    except AmaxdsError as error:
        code = _print_error(error, str(error), error.exit_code)
    except Signalled as stopped:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)  # A second signal ends the process at once.
        name = "interrupted" if stopped.number == signal.SIGINT else "terminated"
        message = f"{name}.\nWhat is finished is kept: run the same command again to go on."
        code = _print_error(stopped, message, 128 + stopped.number)
    except MemoryError as error:
        code = _print_error(error, "out of memory.\nClose other programs, or use a machine with more memory.", 3)
    except TyperException as error:
        code = _print_error(
            error, f"{error.format_message()}\nSee `amaxds --help`, or `amaxds COMMAND --help`.", error.exit_code
        )
    except OSError as error:
        # Errors from our own files carry a file name; one without comes from printing.
        if error.filename is not None or error.errno not in (errno.EPIPE, errno.ENOSPC, errno.EIO):
            code = _print_unexpected(error)
        else:
            code = _print_output_error(error)
    except Exception as error:
        code = _print_unexpected(error)
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        code = _print_output_error(error)
    sys.exit(code if isinstance(code, int) else 0)


def _log_record(*args: Any, **kwargs: Any) -> logging.LogRecord:
    """What a library logs, without secrets."""
    record = logging.LogRecord(*args, **kwargs)
    with contextlib.suppress(TypeError, ValueError):  # The library's text and values do not fit; logging says so.
        record.msg, record.args = without_secrets(record.getMessage()), ()
    return record


def _invoke(app: typer.Typer) -> Any:
    """Run the command, and print the findings in a dataset that it cannot work on.

    Where a signal caused another error on the way out, such as a file closed twice, raise the signal.
    """
    try:
        apart.require_surroundings()
        return app(standalone_mode=False)
    except InvalidDataset as error:
        from amaxds.cli.output import print_findings

        print_findings(error.report)
    except SystemExit as error:  # From Typer and Rich, where nobody reads what they print any more.
        if found := _before(error, Signalled) or _before(error, BrokenPipeError):
            raise found from error
        raise
    except Exception as error:
        if found := _before(error, Signalled):
            raise found from error
        raise


def _before(error: BaseException, kind: type[BaseException]) -> BaseException | None:
    """The error of this kind that another came after, if there is one."""
    before = error.__context__
    while before is not None and not isinstance(before, kind):
        before = before.__context__
    return before


def _print_unexpected(error: Exception) -> int:
    problem = f"unexpected {type(error).__name__}: {' '.join(without_secrets(str(error)).split())[:300]}"
    return _print_error(error, f"{problem}\nPlease report it with what `amaxds --debug COMMAND ...` shows.", 3)


def _print_output_error(error: OSError) -> int:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Drops what is left in the buffer, or Python would fail again at exit.
    return _print_error(error, "standard output cannot be written.\nGive it somewhere to go; what was done is done.", 3)


def _print_error(error: BaseException, message: str, code: int) -> int:
    try:
        if os.environ.get("AMAXDS_DEBUG"):
            import traceback

            print(without_secrets("".join(traceback.format_exception(error))), end="", file=sys.stderr)
        print(f"amaxds: {without_secrets(message)}", file=sys.stderr, flush=True)
    except OSError:  # Nobody can be told, but by the exit code.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    return code
