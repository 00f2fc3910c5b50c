"""Start the backend, and again for less and for more; what the later starts have changed."""

import gc

from amaxds.compute import backend

backend.start(3, with_loops=True)
frozen = gc.get_freeze_count()
import tensorflow as tf

threads = [tf.config.threading.get_intra_op_parallelism_threads()]
for workers, with_loops in ((1, False), (2, True), (4, False), (4, True)):
    name = backend.start(workers, with_loops)
    threads.append(tf.config.threading.get_intra_op_parallelism_threads())
print(f"{name}, {threads} threads, {'as many' if gc.get_freeze_count() == frozen else 'more'} objects frozen")
