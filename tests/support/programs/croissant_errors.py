"""Print the errors that Croissant's own reader finds, a line for each description: PATH..."""

import sys

import mlcroissant

for path in sys.argv[1:]:
    print(*mlcroissant.Dataset(jsonld=path).metadata.ctx.issues.errors)
