"""The format: records, build.json, parquet, card, Croissant, bundle; written and read."""
