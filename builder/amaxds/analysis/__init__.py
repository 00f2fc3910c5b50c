"""What a dataset shows: figures, gallery, classification."""
