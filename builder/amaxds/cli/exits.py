"""How a command ends: on its own, by a signal or with an error, whose two lines and exit code are made here."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from types import FrameType
from typing import Any, NoReturn

import typer
from typer.exceptions import TyperException

from amaxds.errors import AmaxdsError, InvalidDataset


class Signalled(BaseException):
    """SIGINT or SIGTERM arrived. (Typer would end a KeyboardInterrupt without a word.)"""

    def __init__(self, number: int) -> None:
        self.number = number


def on_signal(number: int, frame: FrameType | None) -> None:
    """Raise Signalled; in the middle of an import only after it: raised there, it can be lost and leave imports locked."""
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
    """Raise Signalled again where it was lost: in a library's callback, say, out of which no exception comes."""
    if isinstance(lost.exc_value, Signalled) and hasattr(signal, "setitimer"):
        _signal_soon(lost.exc_value.number)
    else:
        sys.__unraisablehook__(lost)


def run(app: typer.Typer) -> NoReturn:
    """Run the command; errors as two lines on stderr and the exit code of their kind."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    sys.unraisablehook = _on_unraisable
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code: Any = _called(app)
    except typer.Exit as ended:
        code = ended.exit_code
    except InvalidDataset as error:
        code = _invalid(error)
    except AmaxdsError as error:
        code = _fail(error, str(error), error.exit_code)
    except Signalled as stopped:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)  # Another one ends what is still being waited for, at once.
        name = "interrupted" if stopped.number == signal.SIGINT else "terminated"
        message = f"{name}.\nWhat is finished is kept: run the same command again to go on."
        code = _fail(stopped, message, 128 + stopped.number)
    except MemoryError as error:
        code = _fail(error, "out of memory.\nClose other programs, or use a machine with more memory.", 3)
    except TyperException as error:
        code = _fail(error, f"{error.format_message()}\nSee `amaxds --help`, or `amaxds COMMAND --help`.", error.exit_code)
    except OSError as error:
        # All files are written with their names in the error: without one, it was what is printed.
        if error.filename is not None or error.errno not in (errno.EPIPE, errno.ENOSPC, errno.EIO):
            code = _unexpected(error)
        else:
            code = _no_output(error)
    except Exception as error:
        code = _unexpected(error)
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        code = _no_output(error)
    sys.exit(code if isinstance(code, int) else 0)


def _called(app: typer.Typer) -> Any:
    """Run the command. What else went wrong while a signal was on its way out, a file closed twice, say, gives way to it."""
    try:
        return app(standalone_mode=False)
    except Exception as error:
        before = error.__context__
        while before is not None and not isinstance(before, Signalled):
            before = before.__context__
        if before is None:
            raise
        raise before from error


def _invalid(error: InvalidDataset) -> int:
    from amaxds.cli.output import print_findings

    try:
        print_findings(error.report)
    except typer.Exit as ended:
        return ended.exit_code
    return error.exit_code


def _unexpected(error: Exception) -> int:
    problem = f"unexpected {type(error).__name__}: {' '.join(str(error).split())[:300]}"
    return _fail(error, f"{problem}\nPlease report it with what `amaxds --debug COMMAND ...` shows.", 3)


def _no_output(error: OSError) -> int:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # What is left in the buffer has nowhere to go.
    return _fail(error, "standard output cannot be written.\nGive it somewhere to go; what was done is done.", 3)


def _fail(error: BaseException, message: str, code: int) -> int:
    if os.environ.get("AMAXDS_DEBUG"):
        import traceback

        traceback.print_exception(error)
    print(f"amaxds: {message}", file=sys.stderr)
    return code
