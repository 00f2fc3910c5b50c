"""Print as JSON what `load_dataset` gives of demo-filter-activations in the working folder: whole|stream [CONFIG]."""

import gc
import hashlib
import json
import sys

import datasets

loaded = datasets.load_dataset("demo-filter-activations", *sys.argv[2:], streaming=sys.argv[1] == "stream")
out = {}
for split, rows in loaded.items():
    names = rows.features["layer"]
    out[split] = [
        (
            names.int2str(row["layer"]),
            row["filter"],
            row["image"].mode,
            row["image"].size,
            hashlib.sha256(row["image"].tobytes()).hexdigest() == row["pixels_sha256"],
        )
        for row in rows
    ]
print(json.dumps(out))
del loaded, rows
gc.collect()  # Arrow's threads have to end before Python does (datasets issue 7566).
