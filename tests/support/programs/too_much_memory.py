"""Ask the numerical library for more memory than there is, and print how that is refused."""

from amaxds.compute import backend
from amaxds.compute.memory import memory_errors
from amaxds.errors import OutOfMemory

backend.start(1)
import keras

try:
    with memory_errors(256, 2):
        keras.ops.zeros((10**8, 10**6))
except OutOfMemory as error:
    print(error)
