"""Print as JSON what Keras makes of a bundle's folder of images, and pandas of its table: PATH."""

import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras
import pandas

pictures = os.path.join(sys.argv[1], "filterActivations")
sys.stdout, out = sys.stderr, sys.stdout  # Keras prints how many files it has found.
loaded = keras.utils.image_dataset_from_directory(pictures, image_size=(88, 88), batch_size=None)
table = pandas.read_csv(os.path.join(sys.argv[1], "metadata.csv"))
found = {
    "classes": loaded.class_names,
    "images": sum(1 for _ in loaded),
    "shape": loaded.element_spec[0].shape.as_list(),
    "layers": table["layer"].value_counts(sort=False).to_dict(),
    "there": int(sum(os.path.isfile(os.path.join(sys.argv[1], name)) for name in table["file_name"])),
}
print(json.dumps(found), file=out)
