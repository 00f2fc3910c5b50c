"""Start the backend, and print what Keras then computes with, and whether TensorFlow was imported by then.

Everything that makes a dataset is imported before.
"""

import sys

from amaxds.builds import build, sweep  # noqa: F401
from amaxds.compute import backend

name = backend.start(1)
import keras

layer = keras.layers.Conv2D(2, 3, kernel_initializer="ones")
answer = layer(keras.ops.ones((1, 5, 5, 3)))
print(
    name,
    keras.config.floatx(),
    keras.config.image_data_format(),
    keras.config.epsilon(),
    keras.config.max_epochs(),
    layer.kernel.dtype,
    keras.backend.standardize_dtype(answer.dtype),
    *answer.shape,
)
print("TensorFlow is loaded:", "tensorflow" in sys.modules)
