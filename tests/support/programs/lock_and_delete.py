"""Lock the folder OUT as a build does and delete its working folder, for four seconds; print how often each came about."""

import shutil
import sys
import time
from pathlib import Path

from amaxds.builds.workdir import locked
from amaxds.errors import UsageError
from amaxds.storage.location import LocalPath

end, out, taken, refused = time.monotonic() + 4, Path(sys.argv[1]), 0, 0
while time.monotonic() < end:
    try:
        with locked(LocalPath(out)):
            taken += 1
        shutil.rmtree(out / ".amaxds", ignore_errors=True)
    except UsageError:
        refused += 1
print(taken, refused)
