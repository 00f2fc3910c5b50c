"""A build on a cluster, one unit of which ends the process that runs it: OUT UNIT LAYERS ADDRESS."""

import functools
import os
import sys
from pathlib import Path

from amaxds.builds.build import build
from amaxds.builds.executors.open import open_executor
from amaxds.compute.networks import load_weights
from amaxds.errors import AmaxdsError
from amaxds.spec.network import DEMO
from amaxds.spec.plan import make_plan
from amaxds.storage.location import LocalPath

out, name, layers, address = sys.argv[1:]


def dies(work, worker, task, check):
    if getattr(task, "name", None) == name:
        os._exit(1)
    return work(worker, task, check)


class Deadly:
    def __init__(self, executor):
        self.first, self.open, self._run = executor.first, executor.open, executor.run

    def run(self, tasks, work):
        return self._run(tasks, functools.partial(dies, work))


plan = make_plan(DEMO, ["original"], steps=20, layers=layers, batch_size=4)
try:
    with open_executor("ray", address=address) as executor:
        build(LocalPath(Path(out)), plan, load_weights(DEMO, "pretrained", 0), Deadly(executor))
except AmaxdsError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
