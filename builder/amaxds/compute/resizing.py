"""Resizing of maps as products with two matrices: XLA has no program for most of TensorFlow's interpolations.

A row of the output is a weighted sum of rows of the input, and a column one of columns, whatever the interpolation.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amaxds.compute.compilation import eagerly
from amaxds.compute.keras_trace import layer_of

Tensor = Any
Operation = Any
_CLOSE = 1e-4


def is_resizing(operation: Operation) -> bool:
    """Whether it is a resizing that XLA may have no program for: any but linear interpolation, and repeated pixels."""
    kind, how = type(operation).__name__, getattr(operation, "interpolation", None)
    if getattr(operation, "data_format", None) != "channels_last":
        return False
    if kind == "UpSampling2D":
        return how not in ("nearest", "bilinear")
    return kind in ("Resizing", "Resize") and (how != "bilinear" or bool(getattr(operation, "antialias", False)))


def resized_by(operation: Operation) -> Callable[..., Tensor]:
    """A Keras layer that does to maps (n, h, w, channels) of known height and width what the operation does. Where that is more
    than resizing, such as cutting off what does not fit, it calls the operation."""
    import keras

    matrices = functools.lru_cache(maxsize=None)(functools.partial(_matrices, operation))

    def resize(x: Tensor) -> Tensor:
        found = matrices(*x.shape[1:3])
        if found is None:
            return operation(x)
        rows = keras.ops.einsum("ab,nbwc->nawc", found[0], x)
        return keras.ops.einsum("vw,nawc->navc", found[1], rows)

    return layer_of(operation, resize)


def _matrices(operation: Operation, height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """The weights of rows (out, in) and of columns, found by what becomes of single ones; None where that is not all."""
    try:
        with eagerly():  # It is asked for while a program is traced.
            rows = _applied(operation, np.eye(height)[None, :, None, :])[0, :, 0]
            columns = _applied(operation, np.eye(width)[None, None, :, :])[0, 0]
            probe = np.random.default_rng(0).random((1, height, width, 1))
            found, due = np.einsum("ab,nbwc,vw->navc", rows, probe, columns), _applied(operation, probe)
    except Exception:  # Whatever the operation cannot do, it will say when it is called itself.
        return None
    return (rows, columns) if found.shape == due.shape and np.abs(found - due).max() < _CLOSE else None


def _applied(operation: Operation, x: NDArray[Any]) -> NDArray[np.float32]:
    import keras

    return np.asarray(keras.ops.convert_to_numpy(operation(keras.ops.convert_to_tensor(x, "float32"))), np.float32)
