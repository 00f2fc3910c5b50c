"""Start the backend, and again in other words; what the second start has changed."""

import gc

from amaxds.compute import backend

backend.start(3, with_loops=True)
frozen = gc.get_freeze_count()
name = backend.start(1)
import tensorflow as tf

threads = tf.config.threading.get_intra_op_parallelism_threads()
print(f"{name}, {threads} threads, {'as many' if gc.get_freeze_count() == frozen else 'more'} objects frozen")
