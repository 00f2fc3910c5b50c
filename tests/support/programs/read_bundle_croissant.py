"""Print as JSON what Croissant's own reader gives of a bundle: its errors, and whether the table names the pictures: PATH."""

import hashlib
import json
import sys

import mlcroissant

dataset = mlcroissant.Dataset(jsonld=sys.argv[1])
table = {row["original/file_name"].decode(): row["original/pixels_sha256"].decode() for row in dataset.records("original")}
pictures = {
    row["pictures/file_name"].decode(): hashlib.sha256(row["pictures/image"].tobytes()).hexdigest()
    for row in dataset.records("pictures")
}
print(json.dumps([list(dataset.metadata.ctx.issues.errors), len(table), table == pictures]))
