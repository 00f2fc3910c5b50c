"""Objectives of `amaxds.synthesise` beyond one filter: sums, differences, neurons, directions, and different images of one.

from amaxds.objectives import channel, neuron

amaxds.synthesise("demo", objective=channel("block3_conv1", 5) - 0.5 * channel("block3_conv1", 2))
amaxds.synthesise("demo", objective=neuron("block3_conv1", 5))
"""

from amaxds.spec.objective import Objective, channel, direction, diversity, neuron

__all__ = ["Objective", "channel", "direction", "diversity", "neuron"]
