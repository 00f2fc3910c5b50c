"""The application, whose command gets SIGINT inside a callback of the garbage collector, out of which no exception comes."""

import gc
import os
import time

from amaxds.cli import main


def collecting(phase, info):
    gc.callbacks.remove(collecting)
    os.kill(os.getpid(), 2)
    for _ in range(9):
        pass


def work():
    gc.callbacks.append(collecting)
    gc.collect()
    time.sleep(60)


main.app.registered_commands[0].callback = work
main.main()
