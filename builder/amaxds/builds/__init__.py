"""From a plan to a dataset folder: units, shards, workers, progress."""
