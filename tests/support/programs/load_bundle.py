"""Load a bundle as anybody would, and count its images and those that are of the record beside them."""

import sys

import datasets
import numpy as np

from amaxds.image import pixels_sha256

loaded = datasets.load_dataset("imagefolder", data_files=f"{sys.argv[1]}/**", cache_dir=sys.argv[2])["train"]
print(len(loaded), sum(pixels_sha256(np.asarray(row["image"])) == row["pixels_sha256"] for row in loaded))
