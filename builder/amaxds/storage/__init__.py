"""Reading and writing safely: files that appear in full or not at all, locations here and in stores, archives, JSON values."""
