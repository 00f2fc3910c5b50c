"""A command of the application that gets SIGTERM, and fails on its way out."""

import os
import signal
import sys
import time

from amaxds.cli import main


@main.app.command("stop")
def stop() -> None:
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    finally:
        os.close(12345)


sys.argv = ["amaxds", "stop"]
main.main()
