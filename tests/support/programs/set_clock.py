"""The command with a clock that jumps by JUMP seconds once AFTER seconds have passed: AFTER JUMP ARGUMENTS..."""

import sys
import time

real, began = time.time, time.monotonic()
after, jump = map(float, sys.argv[1:3])
time.time = lambda: real() + (0 if time.monotonic() - began < after else jump)
sys.argv[1:3] = []
from amaxds.cli import main

main.main()
