"""Start the backend, and print what Keras then computes with."""

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
