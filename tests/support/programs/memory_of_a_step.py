"""Print the memory of a compiled step, by XLA's own account, over what `least_bytes` says, for units of two networks."""

import jax
import numpy as np

from amaxds.compute import backend

backend.start(1)
from amaxds.compute.ascent import make_step, make_value
from amaxds.compute.memory import least_bytes
from amaxds.compute.networks import forward_pass, load_weights
from amaxds.spec.network import DEMO, VGG16
from amaxds.spec.plan import make_plan

for network, layer in ((DEMO, "block1_conv2"), (DEMO, "block5_conv3"), (VGG16, "block3_conv1")):
    forward = forward_pass(network)(network, load_weights(network, "random", 0))
    for unit in make_plan(network, ["clear", "original"], layers=layer, filters="0", batch_size=4).units():
        start = np.stack([unit.recipe.start(network, 0, unit.layer.index, 0)] * 4)
        now = np.stack([unit.recipe.schedule(network, 0, unit.layer.index, 0)] * 4)[:, 0]
        state = unit.recipe.first_state(jax.numpy.asarray(start))
        step = jax.jit(make_step(network, unit.recipe, make_value(network, forward, unit.recipe, unit.layer), None))
        params = forward.params(unit.layer), forward.own_filters(unit.layer, [0] * 4)
        account = step.lower(params, state, np.zeros(4, bool), now).compile().memory_analysis()
        print(account.temp_size_in_bytes / least_bytes([unit], 1))
