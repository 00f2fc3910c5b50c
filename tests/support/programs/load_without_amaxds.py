"""Print as JSON the layer, filter and hash of every image of a repository, loaded where amaxds cannot be imported: NAME."""

import json
import sys

sys.modules["amaxds"] = None
import datasets

loaded = datasets.load_dataset(sys.argv[1])
print(json.dumps([[row["layer"], row["filter"], row["pixels_sha256"]] for rows in loaded.values() for row in rows]))
