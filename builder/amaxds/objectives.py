"""Objectives of `amaxds.synthesise` beyond one filter: sums, differences, neurons, directions, units of a head, and different
images of one filter.

Examples:
    >>> from amaxds.objectives import channel, neuron
    >>> amaxds.synthesise("demo", objective=channel("block3_conv1", 5) - 0.5 * channel("block3_conv1", 2))
    >>> amaxds.synthesise("demo", objective=neuron("block3_conv1", 5))

Objectives may be added, also by `sum`, subtracted, and multiplied or divided by numbers.
"""

from amaxds.spec.objective import Objective, channel, direction, diversity, neuron, unit

__all__ = ["Objective", "channel", "direction", "diversity", "neuron", "unit"]
