"""How fast a convolution is in each form, and its gradient: on one core, at the sizes of both networks' layers.

`python benchmarks/convolutions.py > benchmarks/convolutions.md`, some minutes. In it, `compute/convolution.py` chooses.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np


def convolutions() -> None:
    """Every form at the sizes of both networks' layers, forward and back, one core."""
    from amaxds.compute import backend

    backend.start(1)
    import keras

    from amaxds.compute.convolution import FORMS, choose
    from amaxds.spec.network import DEMO, VGG16

    print("## Forms of convolution\n\nMilliseconds per image on one core, median of 7; in bold what is chosen")
    print("by the number of channels, with a simple rule that is not the fastest in every row.\n")
    print("| side | channels | " + " | ".join(FORMS) + " |\n|---|---|" + "---|" * len(FORMS))
    random, done = np.random.default_rng(0), set()
    for network, batch in ((DEMO, 8), (VGG16, 4)):
        for layer in network.layers:
            for channels, filters in ((layer.channels, layer.filters), (layer.filters, layer.channels)):
                size = layer.side
                if (size, channels, filters) in done:
                    continue
                done.add((size, channels, filters))
                x = keras.ops.convert_to_tensor(random.random((batch, size, size, channels), dtype=np.float32))
                kernel = random.random((3, 3, channels, filters), dtype=np.float32)
                cells = []
                for form in FORMS.values():
                    median = _median_ms(form.convolve, batch, x, keras.ops.convert_to_tensor(form.prepare(kernel)))
                    chosen = form is choose(size, channels, filters)
                    cells.append(f"{'**' * chosen}{median:.3f}{'**' * chosen}")
                print(f"| {size} | {channels} to {filters} | {' | '.join(cells)} |", flush=True)
    print()


def depthwise() -> None:
    """XLA's own depthwise convolution against ours, there and back, one core."""
    from amaxds.compute import backend

    backend.start(1)
    import keras

    from amaxds.compute.depthwise import convolve

    def directly(x: Any, kernel: Any) -> Any:
        return keras.ops.depthwise_conv(x, kernel[..., None], padding="same", data_format="channels_last")

    def by_taps(x: Any, kernel: Any) -> Any:
        return convolve(x, kernel, (1, 1), "same", (1, 1))

    print("## Depthwise convolutions\n\nMilliseconds per image on one core, with the gradient to the image, median of 7.\n")
    print("| side | channels | kernel | XLA's own | tap by tap | ratio |\n|---|---|---|---|---|---|")
    random, batch = np.random.default_rng(0), 4
    for side, channels, width in (
        (112, 32, 3),
        (56, 144, 3),
        (28, 192, 3),
        (14, 576, 3),
        (28, 240, 5),
        (56, 96, 7),
        (14, 384, 7),
    ):
        x = keras.ops.convert_to_tensor(random.random((batch, side, side, channels), dtype=np.float32))
        kernel = keras.ops.convert_to_tensor(random.random((width, width, channels), dtype=np.float32))
        theirs, ours = (_median_ms(_gradient_of(form), batch, x, kernel) for form in (directly, by_taps))
        print(f"| {side} | {channels} | {width} | {theirs:.2f} | {ours:.2f} | {theirs / ours:.0f} |", flush=True)
    print()


def _gradient_of(convolve: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    import keras

    from amaxds.compute import backend

    def gradient(x: Any, kernel: Any) -> Any:
        squares = backend.value_and_gradient(lambda x: keras.ops.sum(keras.ops.square(convolve(x, kernel)), axis=(1, 2, 3)))
        return squares(x)[1]

    return gradient


def _median_ms(function: Callable[..., Any], batch: int, *tensors: Any) -> float:
    """Milliseconds for each of the batch, median of 7 calls after a first one."""
    import keras

    from amaxds.compute import backend

    program, times = backend.compiled(function), []
    for _ in range(8):
        begun = time.perf_counter()
        keras.ops.convert_to_numpy(program(*tensors)[0, 0, 0])
        times.append(1e3 * (time.perf_counter() - begun) / batch)
    return statistics.median(times[1:])


def main() -> None:
    print("# Convolutions\n\n`python benchmarks/convolutions.py`\n")
    convolutions()
    depthwise()
    from amaxds.compute import environment

    print(f"{environment.device()['model']}; Python {sys.version.split()[0]}")


if __name__ == "__main__":
    main()
