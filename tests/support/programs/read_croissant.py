"""Print as JSON what Croissant's own reader gives of a dataset folder: PATH."""

import hashlib
import json
import sys

import mlcroissant

dataset = mlcroissant.Dataset(jsonld=sys.argv[1])
records = []
for found in dataset.records("original"):
    row = {name.removeprefix("original/"): value for name, value in found.items()}
    row["image"] = hashlib.sha256(row["image"].convert("RGB").tobytes()).hexdigest()
    records.append({name: value.decode() if isinstance(value, bytes) else value for name, value in row.items()})
layers = [row["layers/name"] for row in dataset.records("layers")]
layers = [name.decode() if isinstance(name, bytes) else name for name in layers]
print(json.dumps({"errors": list(dataset.metadata.ctx.issues.errors), "layers": layers, "records": records}))
