"""Whether a dataset is true: validation, audit, comparison, and the published contract."""
