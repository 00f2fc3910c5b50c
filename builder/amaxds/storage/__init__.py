"""Bytes, safely: files that appear whole, stores, archives, and JSON read strictly."""
