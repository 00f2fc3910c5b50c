"""Write `amaxds/applications.csv`: the networks of keras.applications, with their layers and filters as `graph` finds them.

`python builder/applications.py` builds each of them once, without weights: some minutes, and 6 GB of memory.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

TABLE = Path(__file__).parent / "amaxds" / "data" / "applications.csv"
OTHER_CANVAS = {
    **dict.fromkeys(("InceptionResNetV2", "InceptionV3", "Xception"), 299),
    **dict(zip((f"EfficientNetB{n}" for n in range(8)), (224, 240, 260, 300, 380, 456, 528, 600), strict=True)),
    **dict(zip((f"EfficientNetV2B{n}" for n in range(4)), (224, 240, 260, 300), strict=True)),
    **dict(zip((f"EfficientNetV2{size}" for size in "SML"), (384, 480, 480), strict=True)),
    "NASNetLarge": 331,
}
"""Sides of the images that those were trained with which were not trained with 224, by keras.applications' documentation."""


def snake(builder: str) -> str:
    """`EfficientNetV2B0` -> `efficientnet_v2_b0`, `ResNet50V2` -> `resnet50_v2`."""
    parts = re.findall(
        r"ConvNeXt|DenseNet\d+|EfficientNet|Inception(?=ResNet|V)|MobileNet|NASNet|ResNet\d*|VGG\d+|V\d+|X?[A-Z][a-z]*\d*",
        builder,
    )
    return "_".join(parts).lower()


def main() -> None:
    import keras

    from amaxds.compute.networks import describe_application

    builders = sorted(name for name in dir(keras.applications) if name[0].isupper() and name != "VGG16")
    with TABLE.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("name", "builder", "canvas", "layers", "filters"))
        for builder in builders:
            canvas = OTHER_CANVAS.get(builder, 224)
            network = describe_application(snake(builder), builder, canvas)
            writer.writerow((network.name, builder, canvas, len(network.usable), network.filters))
            file.flush()


if __name__ == "__main__":
    main()
