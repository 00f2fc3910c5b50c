"""Print the different hashes of ascents as on a GPU, made by WORKERS workers: under each recipe, in single and in reduced
precision, all of them twice."""

import hashlib
import sys

import numpy as np

from amaxds.builds.executors import local
from amaxds.compute import backend
from amaxds.compute.networks import load_weights
from amaxds.compute.programs import Programs
from amaxds.spec.network import DEMO
from amaxds.spec.plan import PRECISIONS
from amaxds.spec.recipes import RECIPES, get_recipe

workers, filters = int(sys.argv[1]), (0, 1, 2, 3)
backend.start(workers)
weights = load_weights(DEMO, "pretrained", 0)
programs = {precision: Programs(DEMO, weights, precision, on_gpu=True) for precision in PRECISIONS}


def work(task, check):
    layer, recipe = DEMO.layer("block2_conv1"), get_recipe(task[0], 3)
    start = np.stack([recipe.start(DEMO, 0, layer.index, filter) for filter in filters])
    schedule = np.stack([recipe.schedule(DEMO, 0, layer.index, filter) for filter in filters])
    found = programs[task[1]].ascend(recipe, layer, filters, start, schedule)
    return hashlib.sha256(found.images.tobytes() + found.activation.tobytes()).hexdigest()


tasks = [(recipe, precision, number) for number in range(2) for recipe in RECIPES for precision in PRECISIONS]
print(*sorted({f"{recipe}-{precision}={found}" for (recipe, precision, _), found in local.run_local(tasks, work, workers)}))
