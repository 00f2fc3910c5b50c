"""Import the module `interrupted`, which gets SIGINT while it is imported, and print what it came to and the signal."""

import importlib
import signal
import sys
import time

from amaxds.cli import exits

signal.signal(signal.SIGINT, exits.on_signal)
try:
    importlib.import_module("interrupted")
    time.sleep(60)
except exits.Signalled as signalled:
    print(sys.modules["interrupted"].done, signalled.number)
