"""A program that builds with the library, is interrupted meanwhile, and then builds again."""

import signal
import sys

import amaxds

HANDLED = signal.SIGINT, signal.SIGTERM
OPTIONS = {"recipes": "original", "layers": "block4_conv1", "batch_size": 1, "filters": range(6)}
before = [signal.getsignal(number) for number in HANDLED]
try:
    amaxds.build("demo", sys.argv[1], **OPTIONS)
except KeyboardInterrupt:
    print("KeyboardInterrupt")
    if [signal.getsignal(number) for number in HANDLED] == before:
        print("the handlers are as before")
    print(len(amaxds.build("demo", sys.argv[1], **OPTIONS)), "images")
