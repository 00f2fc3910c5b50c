"""All forms of a convolution, and pooling with its gradient, against Keras's own."""

from __future__ import annotations

import functools

import keras
import numpy as np
import pytest

from amaxds.compute import backend, convolution
from amaxds.compute.pooling import pool_2x2
from support.commands import run_program

pytestmark = pytest.mark.usefixtures("_backend")


@pytest.mark.parametrize("name", convolution.FORMS)
@pytest.mark.parametrize("shape", [(2, 14, 14), (1, 7, 9), (3, 4, 1), (2, 274, 270)])
def test_all_forms_of_a_convolution_agree(name: str, shape: tuple[int, int, int]) -> None:
    random, form = np.random.default_rng(0), convolution.FORMS[name]
    x, kernel = random.standard_normal((*shape, 5)), random.standard_normal((3, 3, 5, 7))
    direct = keras.ops.conv(x, kernel, padding="same", data_format="channels_last")
    found = form.convolve(*map(keras.ops.convert_to_tensor, (x, form.prepare(kernel))))
    np.testing.assert_allclose(found, direct, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("side", "channels"), [(112, 128), (28, 512)])
def test_single_precision_is_enough_for_winograd(side: int, channels: int) -> None:
    random = np.random.default_rng(0)
    x, kernel = random.standard_normal((1, side, side, channels)), random.standard_normal((3, 3, channels, channels))
    exact = np.asarray(keras.ops.conv(x, kernel, padding="same", data_format="channels_last"))
    form = convolution.choose(side, channels, channels)
    assert form is convolution.WINOGRAD
    given = x.astype(np.float32), form.prepare(kernel.astype(np.float32))
    found = np.asarray(form.convolve(*map(keras.ops.convert_to_tensor, given)))
    assert np.abs(found - exact).max() < 1e-4 * exact.std()


@pytest.mark.system
def test_loops_on_a_pool_of_any_size_give_the_same_bits() -> None:
    found = {run_program("winograd_in_strips.py", workers).stdout for workers in (1, 5)}
    assert len(found) == 1
    assert len(found.pop().split()) == 1


@pytest.mark.parametrize("in_one_kernel", [False, True])
def test_the_gradient_of_pooling_is_that_of_max_pooling_and_shared_by_equals(in_one_kernel: bool) -> None:
    x = np.random.default_rng(0).standard_normal((2, 7, 6, 3)).astype(np.float32)
    x[0, 2:4, 2:4] = 5.0
    x[1, 0:2, 0:2, 0] = ((7.0, 7.0), (1.0, 2.0))
    x[1, 4:6, 2:4, 1] = ((7.0, 7.0), (7.0, 2.0))
    pool = functools.partial(pool_2x2, in_one_kernel=in_one_kernel)
    pooled, gradient = map(np.asarray, backend.value_and_gradient(pool)(keras.ops.convert_to_tensor(x)))
    np.testing.assert_array_equal(pooled, keras.ops.max_pool(x, 2, 2, data_format="channels_last"))
    windows = x[:, :6].reshape(2, 3, 2, 3, 2, 3)
    is_most = windows == windows.max(axis=(2, 4), keepdims=True)
    shares = (is_most / is_most.sum(axis=(2, 4), keepdims=True)).reshape(2, 6, 6, 3).astype(np.float32)
    np.testing.assert_array_equal(gradient, np.pad(shares, ((0, 0), (0, 1), (0, 0), (0, 0))))
    assert (gradient[0, 2, 2, 0], gradient[1, 0, 1, 0], gradient[1, 1, 1, 0]) == (0.25, 0.5, 0.0)
    assert gradient[1, 4, 3, 1] == np.float32(1 / 3)


def test_the_turned_kernel_takes_gradients_back() -> None:
    """<convolve(x), y> = <x, gradient(y)>."""
    random = np.random.default_rng(0)
    x, y, kernel = (random.standard_normal(shape) for shape in ((2, 6, 9, 5), (2, 6, 9, 7), (3, 3, 5, 7)))
    there = keras.ops.conv(x, kernel, padding="same", data_format="channels_last")
    back = keras.ops.conv(y, convolution.turned(kernel), padding="same", data_format="channels_last")
    assert float(np.sum(np.asarray(there) * y)) == pytest.approx(float(np.sum(x * np.asarray(back))))
