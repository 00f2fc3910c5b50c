"""Print the different hashes of ascents as on a GPU, three layers twice, made by WORKERS workers."""

import hashlib
import sys

import numpy as np

from amaxds.builds.executors import local
from amaxds.compute import backend
from amaxds.compute.networks import load_weights
from amaxds.compute.programs import Programs
from amaxds.spec.network import DEMO
from amaxds.spec.recipes import get_recipe

workers, recipe, filters = int(sys.argv[1]), get_recipe("original", 3), (0, 1, 2, 3)
backend.start(workers)
programs = Programs(DEMO, load_weights(DEMO, "pretrained", 0), on_gpu=True)


def work(task, check):
    layer = DEMO.layer(task[0])
    start = np.stack([recipe.start(DEMO, 0, layer.index, filter) for filter in filters])
    schedule = np.stack([recipe.schedule(DEMO, 0, layer.index, filter) for filter in filters])
    found = programs.ascend(recipe, layer, filters, start, schedule)
    return hashlib.sha256(found.images.tobytes() + found.activation.tobytes()).hexdigest()


tasks = [(name, number) for number in range(2) for name in ("block1_conv2", "block2_conv1", "block3_conv1")]
print(*sorted({f"{name}={found}" for (name, _), found in local.run_local(tasks, work, workers)}))
