"""What a dataset shows: the report with its figures and gallery, and classification."""
