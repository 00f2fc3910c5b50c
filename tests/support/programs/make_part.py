"""Print the hash of every image of one part of the work: PART WORK, a number and JSON."""

import json
import sys

import numpy as np

from amaxds.builds.executors import local
from amaxds.builds.synthesis import synthesise
from amaxds.compute import backend
from amaxds.compute.networks import load_weights
from amaxds.compute.programs import Programs
from amaxds.spec.network import DEMO
from amaxds.spec.plan import Plan, make_plan

part, said = int(sys.argv[1]), json.loads(sys.argv[2])
backend.start(said["workers"])
whole = make_plan(DEMO, said["recipes"], layers=said["layers"], filters=said["filters"], steps=said["steps"])
own = {
    name: tuple(filter for filter in filters if (DEMO.layer(name).index + filter // 4) % said["processes"] == part)
    for name, filters in whole.scope.items()
}
plan = Plan(DEMO, whole.recipes, whole.seed, {name: kept for name, kept in own.items() if kept}, whole.batch_size)
units = list(plan.units())
if said["order"] == "reversed":
    units.reverse()
elif said["order"] == "shuffled":
    np.random.default_rng(6).shuffle(units)
programs = Programs(DEMO, load_weights(DEMO, "pretrained", 0))


def make(unit, check):
    return synthesise(plan, programs, unit, check)


for _, rows in local.run_local(units, make, said["workers"]):
    for row in rows:
        print(row["recipe"], row["layer"], row["filter"], row["pixels_sha256"])
