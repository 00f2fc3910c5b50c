"""Functions in a process of their own: results, errors, interrupts, and what is left of them."""

from __future__ import annotations

import operator
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import amaxds
from amaxds.compute import apart
from amaxds.errors import AmaxdsError, UsageError
from amaxds.spec.recipes import get_recipe


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    yield
    apart.close_kept()


def run(function: Any, *args: Any, keep: object = None) -> Any:
    return apart.run(function, lambda message: None, keep, *args)


def test_the_function_runs_in_another_process_which_ends_with_it() -> None:
    other = run(os.getpid)
    assert other != os.getpid()
    with pytest.raises(ProcessLookupError):
        os.kill(other, 0)
    assert run(signal.getsignal, signal.SIGINT) is not None


def test_a_kept_process_is_used_again_until_another_is_needed() -> None:
    first = run(os.getpid, keep="a")
    assert run(os.getpid, keep="a") == first
    assert run(os.getpid, keep="b") != first
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)


def test_what_it_says_is_passed_on_without_secrets(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_environment")
    run(os.write, 2, b"a log: hf_of_the_environment, http://user:word@proxy:3128\n")
    assert "a log: ***, http://***@proxy:3128\n" in capfd.readouterr().err


def test_a_kept_process_is_released() -> None:
    kept = run(os.getpid, keep="a")
    amaxds.release()
    with pytest.raises(ProcessLookupError):
        os.kill(kept, 0)
    amaxds.release()
    assert run(os.getpid, keep="a") != kept


def test_a_fork_while_a_call_runs_calls_for_itself() -> None:
    code = """
import operator, os, threading, time, warnings
from amaxds.compute import apart
caller = threading.Thread(target=apart.run, args=(time.sleep, print, "a", 2))
caller.start()
while not apart._lock.locked():
    time.sleep(0.01)
warnings.simplefilter("ignore")  # That a thread runs.
child = os.fork()
if not child:
    os._exit(apart.run(operator.add, print, "a", 1, 2))
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), caller.is_alive())
caller.join()
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert ended.stdout.split()[0] == "3", ended.stderr


def test_its_exceptions_are_raised_here_in_the_same_words_and_it_goes_on() -> None:
    here = run(os.getpid, keep="a")
    with pytest.raises(UsageError) as raised:
        run(get_recipe, "cleer", keep="a")
    assert str(raised.value) == "unknown recipe 'cleer'.\nDid you mean 'clear'? There is clear and original."
    with pytest.raises(ZeroDivisionError) as other:
        run(operator.truediv, 1, 0, keep="a")
    assert "Traceback" in other.value.__notes__[0]
    assert run(os.getpid, keep="a") == here


def test_what_the_function_prints_gets_not_in_between() -> None:
    assert run(os.write, 1, b"printed\n") == 8


def test_a_process_that_dies_is_an_error_and_the_next_call_works() -> None:
    with pytest.raises(AmaxdsError, match=r"has ended \(3\)\.\nWhat is finished is kept"):
        run(os._exit, 3, keep="a")
    assert run(operator.add, 1, 2, keep="a") == 3


def test_an_error_of_who_is_told_is_raised_as_it_is() -> None:
    def closed(message: object) -> None:
        raise OSError(f"nowhere to write {message}")

    with pytest.raises(OSError, match="nowhere to write 5"):
        apart.run(exec, closed, None, "from amaxds.compute import apart; apart.caller()(5)")


@pytest.fixture
def interruptible() -> Iterator[None]:
    """As in a terminal: a shell has SIGINT ignored by what it runs in the background, such as the tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_is_raised_here_and_ends_the_other_process() -> None:
    other = run(os.getpid, keep="a")
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run(time.sleep, 60, keep="a")
    assert time.monotonic() - began < 20
    with pytest.raises(ProcessLookupError):
        os.kill(other, 0)


def test_no_signal_handler_is_set_here_and_no_variable() -> None:
    signals = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    variables = dict(os.environ)
    assert run(operator.add, 1, 2) == 3
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == signals
    assert dict(os.environ) == variables


def test_the_other_process_outlives_no_caller() -> None:
    code = (
        "import os, time\nfrom amaxds.compute import apart\nprint(apart.run(os.getpid, print, 'a'), flush=True)\nos._exit(0)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    for _ in range(100):
        try:
            os.kill(int(ended.stdout), 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("it is still there")
