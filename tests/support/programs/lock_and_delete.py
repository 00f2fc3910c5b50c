"""Take the lock of a working folder, OUT, and delete the folder, for four seconds; print how often it was taken and refused."""

import shutil
import sys
import time
from pathlib import Path

from amaxds.builds.workdir import locked
from amaxds.errors import UsageError

end, work, taken, refused = time.monotonic() + 4, Path(sys.argv[1]) / ".amaxds", 0, 0
while time.monotonic() < end:
    try:
        with locked(work):
            taken += 1
        shutil.rmtree(work, ignore_errors=True)
    except UsageError:
        refused += 1
print(taken, refused)
