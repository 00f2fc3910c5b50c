"""A program in which TensorFlow has computed before it asks for images, also of a Keras model that it has in memory."""

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras
import pytest
import tensorflow as tf

import amaxds

assert tf.reduce_sum(tf.ones((9, 9)) @ tf.ones((9, 9))).numpy() == 729
threads = tf.config.threading.get_intra_op_parallelism_threads()


def layers(*last: keras.Layer) -> list[keras.Layer]:
    first, second = (keras.layers.Conv2D(8, 3, activation="relu", name=name) for name in ("first", "second"))
    return [keras.Input((40, 40, 3)), first, second, *last]


model = keras.Sequential(layers(keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)), name="tiny")
model.save("tiny.keras")
options = {"layers": "second", "steps": 3, "progress": False}
made = amaxds.synthesise(model, filters=[0, 5], **options)
dataset = amaxds.build("tiny.keras", **options)
assert [each.png for each in made] == [dataset["second", filter].png for filter in (0, 5)]
assert amaxds.audit(dataset, sample=2, weights=model, progress=False).passed


class Doubled(keras.layers.Layer):
    """A layer that only this program has."""

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return x * 2


refused = "the model mine has layers of its own code, which another process lacks.\nGive a functional or sequential model"
with pytest.raises(amaxds.errors.UsageError, match=refused):
    amaxds.synthesise(keras.Sequential(layers(Doubled()), name="mine"), **options)

assert tf.config.threading.get_intra_op_parallelism_threads() == threads
assert tf.reduce_sum(tf.ones((9, 9)) @ tf.ones((9, 9))).numpy() == 729
print("done")
