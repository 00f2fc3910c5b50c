"""Functions that run apart: in a process of their own, which leaves that of the caller as it is.

A backend is set up once for a process, before it starts (`backend.start`). The command owns its process, says so with `claim`,
and its functions run where they are called. A library does not: in the caller's process TensorFlow may be running with other
settings, and signals and memory are the caller's. So `run` has another process call the function.

That process runs this file's `main`. It is told what to call on its standard input, and sends on its standard output, pickled,
what the function tells meanwhile, and its result or exception. It ends when its input does, so it never outlives its caller.
"""

from __future__ import annotations

import atexit
import configparser
import contextlib
import functools
import importlib
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Hashable, Iterator
from typing import IO, Any, NoReturn, ParamSpec, TypeVar

from amaxds.compute.machine import has_nvidia_gpu, open_standard_streams, python_command, python_environment
from amaxds.errors import AmaxdsError, UsageError, in_words
from amaxds.secrets import without_secrets

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_SECONDS_TO_END = 30.0
"""How long an interrupted function may take to clean up before its process is killed."""
_CODE = "from amaxds.compute.apart import main; main()"

_NUMBERS = {"HF_HUB_DOWNLOAD_TIMEOUT", "HF_HUB_ETAG_TIMEOUT", "HF_DATASETS_IN_MEMORY_MAX_SIZE"}
"""Variables that the libraries of Hugging Face read as they load, which fails where one is no number."""

_claimed = False
_tell_caller: Callable[[Any], None] | None = None


def claim() -> None:
    """Say that this process is the tool's own: `run` then calls functions in it. What would keep libraries from loading is
    taken out of its environment."""
    global _claimed
    _claimed = True
    os.environ["MPLBACKEND"] = "agg"  # A notebook's kernel names one that works in the kernel alone.
    for name in _wrong_numbers():
        print(f"amaxds: {name} is {os.environ.pop(name)!r}, which is no number, and is not heeded.", file=sys.stderr)


def _wrong_numbers() -> list[str]:
    """The variables that are to be numbers and are none."""
    found = []
    for name in sorted(_NUMBERS & os.environ.keys()):
        try:
            float(os.environ[name])
        except ValueError:
            found.append(name)
    return found


def require_surroundings() -> None:
    """UsageError where nothing could run: in a folder that is not there any more, or with settings of fsspec or Hugging Face,
    which many libraries load, that cannot be read."""
    for name in _wrong_numbers():
        problem = f"{name} is {os.environ[name]!r}, which is no number: the libraries of Hugging Face do not load."
        raise UsageError(problem, "Give a number, or unset it.")
    try:
        os.getcwd()
    except FileNotFoundError as error:
        raise UsageError("the current folder is not there any more.", "Change to another one, and try again.") from error
    folder = os.path.expanduser(os.environ.get("FSSPEC_CONFIG_DIR", "~/.config/fsspec"))
    if os.path.isdir(folder):
        try:
            importlib.import_module("fsspec.config")
        except (configparser.Error, OSError, TypeError, ValueError) as error:
            problem = f"the settings of fsspec in {folder} cannot be read: {in_words(error)}."
            raise UsageError(problem, "Correct the files there, or set FSSPEC_CONFIG_DIR to another folder.") from error


def caller() -> Callable[[Any], None] | None:
    """What sends a message to the caller, in a process that was started to run a function; None in any other."""
    return _tell_caller


def run(
    function: Callable[Arguments, Result],
    on_message: Callable[[Any], None],
    keep: Hashable | None,
    *args: Arguments.args,
    **kwargs: Arguments.kwargs,
) -> Result:
    """Call a function of a module in another process, and return or raise what it does. In a claimed process, just call it.

    on_message: is given what the function sends to its `caller`. keep: where it is not None, the process is kept afterwards,
    and the next call with an equal `keep` finds there what this one has loaded and compiled; one process is kept at a time.

    An exception in this process meanwhile, such as KeyboardInterrupt, ends the other one. AmaxdsError where that ends by
    itself.
    """
    if _claimed:
        return function(*args, **kwargs)
    with _opened(keep) as process:
        result: Result = process.call(pickle.dumps((function, args, kwargs)), on_message)
        return result


class Process:
    """A process that runs functions for this one, started when it is made."""

    def __init__(self) -> None:
        command, environment, pipe = python_command("-c", _CODE), python_environment(), subprocess.PIPE
        # In a session of its own, which Ctrl-C does not reach.
        self._popen = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment, start_new_session=True)
        assert self._popen.stderr is not None
        self._relay = threading.Thread(target=_relay, args=(self._popen.stderr,), daemon=True)
        self._relay.start()
        self._busy = False

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None

    def call(self, request: bytes, on_message: Callable[[Any], None]) -> Any:
        """The result of the pickled function with its arguments. See `run`; after an exception of this process it is closed."""
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._busy = True
        try:
            with self._ending():
                pickle.dump(request, self._popen.stdin)
                self._popen.stdin.flush()
            while True:
                with self._ending():
                    kind, value = pickle.load(self._popen.stdout)
                if kind != "message":
                    break
                on_message(value)
        except BaseException:
            self.close()
            raise
        self._busy = False
        if kind == "error":
            raise value
        return value

    @contextlib.contextmanager
    def _ending(self) -> Iterator[None]:
        """AmaxdsError where the process ends while one speaks to it."""
        try:
            yield
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            self.close()
            raise AmaxdsError(
                f"the process that computes has ended ({self._popen.returncode}).",
                "What is finished is kept. It may have needed more memory than there is.",
            ) from error

    def close(self) -> None:
        """End the process. A function that runs in it may clean up first; another exception here meanwhile ends that."""
        try:
            if self._busy and self.alive:
                self._popen.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._popen.wait(_SECONDS_TO_END)
        finally:
            self._popen.kill()
            self._popen.wait()
            self._relay.join(1.0)  # What it has started itself may still have its standard error open.
            for pipe in filter(None, (self._popen.stdin, self._popen.stdout)):
                with contextlib.suppress(OSError):  # What was not sent to it any more.
                    pipe.close()


def _relay(errors: IO[bytes]) -> None:
    """Write what the process says on its standard error on that of this one, without secrets."""
    with errors, contextlib.suppress(OSError, ValueError):  # One of the two is closed.
        for line in errors:
            os.write(2, without_secrets(line.decode("utf-8", "backslashreplace")).encode("utf-8", "backslashreplace"))


_kept: tuple[Hashable, Process] | None = None
_lock = threading.Lock()


@contextlib.contextmanager
def _opened(keep: Hashable | None) -> Iterator[Process]:
    """A process for one call: a new one, or that which is kept."""
    global _kept
    if keep is None:
        if has_nvidia_gpu():
            with _lock:
                close_kept()  # It holds the memory of the GPU.
        process = Process()
        try:
            yield process
        finally:
            process.close()
        return
    with _lock:
        if _kept is None or _kept[0] != keep or not _kept[1].alive:
            close_kept()
            _kept = keep, Process()
        yield _kept[1]


@atexit.register
def close_kept() -> None:
    """End the process that is kept, if there is one, and free its memory."""
    global _kept
    if _kept is not None:
        _kept[1].close()
        _kept = None


def release() -> None:
    """End the process that `synthesise` keeps for the next call, and free its memory, that of the GPU, too.

    The next call starts another one. A call that runs in another thread is waited for.

    Examples:
        >>> images = amaxds.synthesise("demo", "block3_conv1", 5)
        >>> amaxds.release()
    """
    with _lock:
        close_kept()


def _forget_kept() -> None:
    """In the child of a fork: the process is the parent's, and the lock may be held by a thread that is not there any more."""
    global _kept, _lock
    _kept, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_kept)


def main() -> None:
    """What the other process does."""
    global _tell_caller
    open_standard_streams()
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # Whatever a library prints must not get in between.
    signal.signal(signal.SIGTERM, _end)
    claim()
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(incoming, requests), daemon=True).start()
    lock = threading.Lock()

    def send(kind: str, value: Any) -> None:
        data = pickle.dumps((kind, value))
        with lock:
            outgoing.write(data)
            outgoing.flush()

    _tell_caller = functools.partial(send, "message")
    while True:
        request = requests.get()
        try:
            require_surroundings()
            function, args, kwargs = pickle.loads(request)
            kind, value = "result", function(*args, **kwargs)
        except Exception as error:
            kind, value = "error", _portable(error)
        send(kind, value)


def _read(incoming: Any, requests: queue.SimpleQueue[bytes]) -> None:
    try:
        while True:
            requests.put(pickle.load(incoming))
    except (EOFError, OSError, pickle.UnpicklingError):
        os.kill(os.getpid(), signal.SIGTERM)


def _end(number: int, frame: Any) -> NoReturn:
    sys.exit(128 + number)


def _portable(error: Exception) -> Exception:
    """The exception as it can be sent; one that is no AmaxdsError with the traceback as a note."""
    if not isinstance(error, AmaxdsError):
        error.add_note(without_secrets("".join(traceback.format_exception(error))))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # An exception of a library's own class may fail in any way when it is made again.
        other = RuntimeError(in_words(error))
        other.add_note(without_secrets("".join(traceback.format_exception(error))))
        return other
    return error
