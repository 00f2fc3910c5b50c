"""Train the demo network and write its weights into the package.

    python builder/demo/train.py builder/amaxds/data/demo.safetensors

The network is VGG16's convolutional part at one eighth of its width. It learns, from procedural textures, which of
18 kinds a picture shows and which of 8 hues are in it. Batch normalisation makes so narrow and deep a chain trainable
and is folded into the convolutions afterwards, so that what is written is 13 plain convolutions with biases.

Input scale: pictures enter as RGB from -1 to 1. The `original` recipe works with values of about +-1 whatever the network
expects, so the input scale decides how a recipe image compares with the biases, and with it how many filters stay silent.
At this scale the shares of dead filters come out much as published for VGG16: none in the first two blocks, few in block
3, a quarter in block 4, two fifths in block 5 (139 of 528 in all, with seed 0).

Took 20 minutes on 2 shared cores; held-out accuracy: kinds 0.985 (chance 0.056), hues 0.998. Needs about 3 GB of memory.
Same seed, same software and same machine give the same weights; elsewhere rounding differs, and with it the last digits.
"""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from safetensors.numpy import save_file

import textures
from amaxds.spec.network import DEMO

SEED = 20260
SIZE, CROP, BATCH = 80, 64, 64


def build_model() -> keras.Model:
    """Input (n, side, side, 3) in [-1, 1]; outputs: 18 kind logits, 8 hue logits."""
    x = inputs = keras.Input((None, None, 3))
    for layer in DEMO.layers:
        if layer.pooled:
            x = keras.layers.MaxPooling2D()(x)
        conv = keras.layers.Conv2D(
            layer.filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal", name=layer.name
        )
        x = keras.layers.BatchNormalization(momentum=0.98, name=f"{layer.name}_norm")(conv(x))
        x = keras.layers.ReLU()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    kind = keras.layers.Dense(len(textures.KINDS), name="kind")(keras.layers.Dropout(0.2)(x))
    hue = keras.layers.Dense(len(textures.HUES), name="hue")(x)
    return keras.Model(inputs, {"kind": kind, "hue": hue})


def fold(model: keras.Model) -> dict[str, np.ndarray]:
    """Kernels and biases of the 13 convolutions, batch normalisation folded in."""
    tensors = {}
    for layer in DEMO.layers:
        (kernel,) = model.get_layer(layer.name).get_weights()
        norm = model.get_layer(f"{layer.name}_norm")
        gamma, beta, mean, variance = norm.get_weights()
        factor = gamma / np.sqrt(variance + norm.epsilon)
        tensors[f"{layer.name}/kernel"] = (kernel * factor).astype(np.float32)
        tensors[f"{layer.name}/bias"] = (beta - mean * factor).astype(np.float32)
    return tensors


class Crops(keras.utils.PyDataset):
    """Random crops and mirrorings of a set of textures, in an order of its own every epoch."""

    def __init__(self, data: tuple[np.ndarray, np.ndarray, np.ndarray], seed: int) -> None:
        super().__init__()
        self.images, self.kinds, self.hues = data
        self.rng = np.random.default_rng(seed)
        self.order = self.rng.permutation(len(self.images))

    def __len__(self) -> int:
        return len(self.images) // BATCH

    def on_epoch_end(self) -> None:
        self.order = self.rng.permutation(len(self.images))

    def __getitem__(self, index: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        chosen = self.order[index * BATCH : (index + 1) * BATCH]
        crops = np.empty((len(chosen), CROP, CROP, 3), np.uint8)
        for crop, image in zip(crops, self.images[chosen], strict=True):
            top, left = self.rng.integers(0, SIZE - CROP + 1, 2)
            crop[...] = image[top : top + CROP, left : left + CROP][:: self.rng.choice((-1, 1))]
        return DEMO.preprocess(crops), {"kind": self.kinds[chosen], "hue": self.hues[chosen]}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("out")
    arguments.add_argument("--epochs", type=int, default=24)
    arguments.add_argument("--images", type=int, default=16000, help="new training textures per epoch")
    options = arguments.parse_args()
    started = time.perf_counter()

    keras.utils.set_random_seed(SEED)
    model = build_model()
    steps = options.epochs * (options.images // BATCH)
    schedule = keras.optimizers.schedules.CosineDecay(0.0, steps - steps // 20, warmup_target=4e-3, warmup_steps=steps // 20)
    model.compile(
        optimizer=keras.optimizers.AdamW(schedule, weight_decay=2e-3),
        loss={
            "kind": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            "hue": keras.losses.BinaryCrossentropy(from_logits=True),
        },
        loss_weights={"kind": 1.0, "hue": 3.0},
        metrics={"kind": "accuracy", "hue": keras.metrics.BinaryAccuracy(threshold=0.0)},
    )
    with ProcessPoolExecutor(1) as drawing:
        following = drawing.submit(textures.draw_set, options.images, SIZE, SEED)
        for epoch in range(options.epochs):
            data = following.result()
            following = drawing.submit(textures.draw_set, options.images, SIZE, SEED + epoch + 1)
            model.fit(Crops(data, SEED + epoch), initial_epoch=epoch, epochs=epoch + 1, verbose=2)
        following.cancel()
    training_minutes = (time.perf_counter() - started) / 60

    images, kinds, hues = textures.draw_set(3600, CROP, SEED - 1)
    logits = model.predict(DEMO.preprocess(images), batch_size=BATCH, verbose=0)
    guessed = logits["kind"].argmax(axis=1)
    print(f"held-out textures: {len(images)}, trained for {training_minutes:.1f} min")
    print(f"kind accuracy {np.mean(guessed == kinds):.4f} (chance {1 / len(textures.KINDS):.4f})")
    print(f"hue accuracy  {np.mean((logits['hue'] > 0) == (hues > 0)):.4f} per hue and picture")
    for kind, function in enumerate(textures.KINDS):
        print(f"  {function.__name__:10} {np.mean(guessed[kinds == kind] == kind):.3f}")
    save_file(fold(model), options.out)
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
