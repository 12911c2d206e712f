"""Columns and pooling by the CUDA sources, on the CPU: what the tests of all backends do not see."""

from __future__ import annotations

import numpy as np
import pytest
from windows import WINDOWS

from miniae.backend import kernels
from miniae.backend.base import Backend
from miniae.backend.cupy_image import _winners
from miniae.backend.image import Windows

REFERENCE = Backend(np)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def names(cuda_on_cpu, monkeypatch):
    """The names of the kernels that are launched."""
    names, launch = [], cuda_on_cpu.kernels.launch
    monkeypatch.setattr(cuda_on_cpu.kernels, "launch", lambda instance, *args: (names.append(instance),
                                                                                launch(instance, *args)))
    return names


@pytest.mark.parametrize("sizes", [(0, 2), (1, 1), (3, 5), (70, 1)], ids=str)
@pytest.mark.parametrize("windows", WINDOWS.values(), ids=WINDOWS)
def test_columns_equal_the_reference(guarded, on_device, dtype, rng, windows, sizes):
    """Bit for bit: what comes back to a pixel is added in the same order."""
    x = rng.standard_normal((*sizes, *windows.image)).astype(dtype)
    columns = rng.standard_normal((sizes[1], *windows.kernel, sizes[0], *windows.output)).astype(dtype)
    for name, array in (("im2col", x), ("col2im", columns)):
        expected = getattr(REFERENCE, name)(array, windows)
        out = guarded.empty(expected.shape, dtype)
        assert getattr(guarded, name)(on_device(array), windows, out) is out
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("windows", [Windows((7, 5), (2, 2), (2, 2)), Windows((9, 8), (3, 2), (1, 2)),
                                     Windows((17, 18), (17, 16))], ids=str)
def test_pooling_stays_within_its_arrays(guarded, on_device, dtype, rng, monkeypatch, windows):
    """And takes every element, when threads take several each."""
    monkeypatch.setattr(kernels, "_MOST_BLOCKS", 1)
    x = on_device(rng.standard_normal((30, 3, *windows.image)).astype(dtype))
    gy = on_device(rng.standard_normal((30, 3, *windows.output)).astype(dtype))
    y, winner = guarded.max_pool(x, windows)
    for mine, theirs in zip((y, winner), REFERENCE.max_pool(x, windows), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    for name, args in (("max_pool_select", (x, winner)), ("max_pool_grad", (gy, winner)), ("sum_windows", (x,)),
                       ("spread_windows", (gy,))):
        expected = getattr(REFERENCE, name)(*args, windows)
        out = guarded.empty(expected.shape, dtype)
        assert getattr(guarded, name)(*args, windows, out) is out
        np.testing.assert_array_equal(out, expected)


def test_an_element_is_selected_whatever_the_others_are(cuda_on_cpu):
    """`max_pool2d` with the padding "same" puts -inf beside what it selects from."""
    windows = Windows((2, 2), (2, 2), (2, 2))
    x = np.array([[[[-np.inf, 3.0], [np.nan, np.inf]]]])
    assert cuda_on_cpu.max_pool_select(x, np.full((1, 1, 1, 1), 1, "u1"), windows) == 3.0
    gx = cuda_on_cpu.max_pool_grad(np.full((1, 1, 1, 1), np.inf), np.full((1, 1, 1, 1), 2, "u1"), windows)
    np.testing.assert_array_equal(gx, [[[[0, 0], [np.inf, 0]]]])


def test_one_kernel_each(cuda_on_cpu, names, rng):
    windows, x = Windows((6, 6), (2, 2), (2, 2)), rng.standard_normal((2, 3, 6, 6))
    y, winner = cuda_on_cpu.max_pool(x, windows)
    cuda_on_cpu.max_pool_select(x, winner, windows)
    cuda_on_cpu.max_pool_grad(y, winner, windows)
    cuda_on_cpu.sum_windows(x, windows)
    cuda_on_cpu.spread_windows(y, windows)
    cuda_on_cpu.col2im(cuda_on_cpu.im2col(x, windows), windows)
    assert names == ["max_pool<double, unsigned char>", "max_pool_select<double, unsigned char>",
                     "max_pool_grad<double, unsigned char>", "sum_windows<double>", "spread_windows<double>",
                     "im2col<double>", "col2im<double>"]


def test_what_the_kernels_do_not_take_goes_to_the_reference(cuda_on_cpu, names, rng):
    """Half precision, windows of more elements than 16 bits count; what lies otherwise in memory is copied."""
    windows = Windows((6, 5), (2, 2), (2, 1))
    halves = rng.standard_normal((2, 3, 6, 5)).astype("float16")
    turned = np.asfortranarray(rng.standard_normal((2, 3, 6, 5)))
    for x, launches in ((halves, 0), (turned, 6)):
        names.clear()
        y, winner = REFERENCE.max_pool(x, windows)
        for mine, theirs in zip(cuda_on_cpu.max_pool(x, windows), (y, winner), strict=True):
            np.testing.assert_array_equal(mine, theirs)
        gy = np.asfortranarray(y)
        for name, args in (("max_pool_select", (x, winner)), ("max_pool_grad", (gy, winner)), ("sum_windows", (x,)),
                           ("im2col", (x,)), ("spread_windows", (gy,))):
            np.testing.assert_array_equal(getattr(cuda_on_cpu, name)(*args, windows),
                                          getattr(REFERENCE, name)(*args, windows))
        assert len(names) == launches
    assert _winners(Windows((256, 256), (256, 256))) == "u2" and _winners(Windows((258, 257), (257, 257))) is None


def test_arrays_of_more_than_32_bits_count(cuda_on_cpu, monkeypatch):
    """Only a few pages of these images are ever touched, all others are zeros that take no memory."""
    side, step = 32000, 15000
    try:
        x = np.zeros((3, 1, side, side), "float32").view(cuda_on_cpu.xp.ndarray)
    except MemoryError:
        pytest.skip("needs 12 GB of addresses")
    assert x.size > 2**31
    rows = [0, step, 2 * step]
    x[:, 0, ::step, ::step] = np.arange(27.0).reshape(3, 3, 3)
    assert x[2, 0, rows[2], rows[2]] == 26.0
    windows = Windows((side, side), (1, 1), (step, step))
    w, gy = (np.full(shape, value, "float32").view(cuda_on_cpu.xp.ndarray)
             for shape, value in (((2, 1, 1, 1), 2.0), ((3, 2, 3, 3), 1.0)))
    expected = np.arange(27.0).reshape(3, 1, 3, 3)
    for way in ("implicit", "columns"):
        monkeypatch.setattr(cuda_on_cpu, "convolution", way)
        np.testing.assert_array_equal(cuda_on_cpu.conv(x, w, windows), np.repeat(2.0 * expected, 2, axis=1))
        np.testing.assert_array_equal(cuda_on_cpu.conv_weight_grad(x, gy, windows),
                                      np.full((2, 1, 1, 1), 351.0))
    np.testing.assert_array_equal(cuda_on_cpu.max_pool(x, windows)[0], expected)
    np.testing.assert_array_equal(cuda_on_cpu.sum_windows(x, windows), expected)
    matrix = x.reshape(3, -1)[:, ::step]
    few = np.zeros((matrix.shape[1] // 3000 + 1, 1), "float32")
    few[:] = 1.0
    np.testing.assert_array_equal(cuda_on_cpu.product(matrix[:, ::3000], few),
                                  matrix[:, ::3000].sum(axis=1, keepdims=True))
