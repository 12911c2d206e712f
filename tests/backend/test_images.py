"""Kernels on images: every override against the reference, over windows, sizes, layouts in memory and given buffers."""

from __future__ import annotations

import numpy as np
import pytest
from windows import WINDOWS

from miniae.backend.arena import Arena
from miniae.backend.base import Backend
from miniae.backend.image import Windows

BATCHES = [0, 1, 3, 130]  # rows of 130 samples are long enough for every algorithm
CHANNELS = [(1, 4), (4, 1), (3, 3)]
REFERENCE = Backend(np)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def memory(a, order):
    """The same values with the axes (N, C, H, W) in another order of memory."""
    return np.ascontiguousarray(a.transpose(order)).transpose(np.argsort(order))


def same(be, mine, theirs, dtype):
    mine = be.to_host(mine)
    assert mine.dtype == theirs.dtype == np.dtype(dtype) and mine.shape == theirs.shape
    scale = max(np.abs(theirs).max(initial=0.0), 1.0)
    np.testing.assert_allclose(mine, theirs, rtol=0, atol=scale * (2e-5 if dtype == "float32" else 1e-12))


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (2, 1, 3, 0), (0, 2, 3, 1)], ids=["NCHW", "HCWN", "NHWC"])
@pytest.mark.parametrize("channels", CHANNELS, ids=str)
@pytest.mark.parametrize("n", BATCHES)
@pytest.mark.parametrize("windows", WINDOWS.values(), ids=WINDOWS)
def test_convolutions_equal_the_reference(backend, dtype, rng, windows, n, channels, order):
    be, (c, filters) = backend, channels
    x = rng.standard_normal((n, c, *windows.image)).astype(dtype)
    w = rng.standard_normal((filters, c, *windows.kernel)).astype(dtype)
    gy = rng.standard_normal((n, filters, *windows.output)).astype(dtype)
    calls = {"conv": (x, w), "conv_input_grad": (gy, w), "conv_weight_grad": (x, gy)}
    for name, operands in calls.items():
        expected = getattr(REFERENCE, name)(*operands, windows)
        arrays = [be.asarray(a) if a is w else be.asarray(a.transpose(order)).transpose(np.argsort(order).tolist())
                  for a in operands]
        same(be, getattr(be, name)(*arrays, windows), expected, dtype)
        out = be.empty(expected.shape, dtype)
        assert getattr(be, name)(*arrays, windows, out) is out
        same(be, out, expected, dtype)


@pytest.mark.parametrize("n", BATCHES)
@pytest.mark.parametrize("windows", [w for w in WINDOWS.values() if not any(map(any, w.padding))], ids=str)
def test_the_three_computations_are_adjoint(any_backend, rng, windows, n):
    """<conv(x, w), gy> = <x, conv_input_grad(gy, w)> = <w, conv_weight_grad(x, gy)>."""
    be = any_backend
    x, w = rng.standard_normal((n, 3, *windows.image)), rng.standard_normal((2, 3, *windows.kernel))
    gy = rng.standard_normal((n, 2, *windows.output))
    arrays = [be.asarray(a) for a in (x, w, gy)]
    ax, aw, agy = arrays
    forward = np.vdot(be.to_host(be.conv(ax, aw, windows)), gy)
    assert np.vdot(x, be.to_host(be.conv_input_grad(agy, aw, windows))) == pytest.approx(forward, rel=1e-10, abs=1e-9)
    assert np.vdot(w, be.to_host(be.conv_weight_grad(ax, agy, windows))) == pytest.approx(forward, rel=1e-10, abs=1e-9)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (2, 1, 3, 0)], ids=["NCHW", "HCWN"])
@pytest.mark.parametrize("windows", [Windows((6, 4), (2, 2), (2, 2)), Windows((7, 5), (2, 2), (2, 2)),
                                     Windows((7, 6), (3, 2), (1, 2))], ids=["tiles", "a rest", "overlap"])
def test_pooling_keeps_the_layout(rng, windows, order):
    """Values and gradients are those of images in the usual order, and lie in memory as the images do."""
    from miniae.backend import get

    be, x = get("numpy"), rng.standard_normal((3, 2, *windows.image))
    y, winner = be.max_pool(memory(x, order), windows)
    expected, where = REFERENCE.max_pool(x, windows)
    gy = rng.standard_normal(y.shape)
    results = {
        "y": (y, expected), "winner": (winner, where),
        "grad": (be.max_pool_grad(memory(gy, order), winner, windows), REFERENCE.max_pool_grad(gy, where, windows)),
        "select": (be.max_pool_select(memory(x, order), winner, windows), expected),
        "sum": (be.sum_windows(memory(x, order), windows), REFERENCE.sum_windows(x, windows)),
        "spread": (be.spread_windows(memory(gy, order), windows), REFERENCE.spread_windows(gy, windows)),
    }
    for name, (mine, theirs) in results.items():
        np.testing.assert_array_equal(mine, theirs, err_msg=name)
        assert mine.transpose(order).flags.c_contiguous, name


POOLING = {
    "tiles": Windows((6, 4), (2, 2), (2, 2)),
    "tiles in rows": Windows((6, 4), (3, 1), (3, 1)),
    "a rest": Windows((7, 5), (2, 2), (2, 2)),
    "overlap": Windows((7, 6), (3, 2), (1, 2)),
    "gaps": Windows((9, 8), (2, 2), (3, 5)),
    "dilated": Windows((9, 8), (2, 3), (2, 1), dilation=(3, 2)),
    "all": Windows((5, 6), (5, 6)),
    "one": Windows((1, 1), (1, 1)),
    "more than 256 elements": Windows((17, 18), (17, 16)),
}


def of_few_values(rng, shape, dtype, others=()):
    """Many elements of a window are equal."""
    return rng.choice([-2.0, -1.0, 0.5, 1.0, *others], shape).astype(dtype)


@pytest.mark.parametrize("n", [0, 1, 40])
@pytest.mark.parametrize("windows", POOLING.values(), ids=POOLING)
def test_pooling_equals_the_reference(any_backend, dtype, rng, windows, n):
    """Also where several elements are the largest, and bit for bit: sums are added in the same order."""
    be = any_backend
    x = of_few_values(rng, (n, 3, *windows.image), dtype)
    gy = rng.standard_normal((n, 3, *windows.output)).astype(dtype)
    y, winner = REFERENCE.max_pool(x, windows)
    device, mine_y, mine_winner = be.asarray(x), *be.max_pool(be.asarray(x), windows)
    results = [
        (mine_y, y), (mine_winner, winner), (be.max_pool_select(device, mine_winner, windows), y),
        (be.max_pool_grad(be.asarray(gy), mine_winner, windows), REFERENCE.max_pool_grad(gy, winner, windows)),
        (be.sum_windows(device, windows), REFERENCE.sum_windows(x, windows)),
        (be.spread_windows(be.asarray(gy), windows), REFERENCE.spread_windows(gy, windows)),
    ]
    for mine, theirs in results:
        mine = be.to_host(mine)
        assert mine.dtype == theirs.dtype and mine.shape == theirs.shape
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("windows", POOLING.values(), ids=POOLING)
def test_the_largest_of_what_is_not_finite(any_backend, dtype, rng, windows):
    """A NaN makes the maximum one; the winner is the first of the largest before it."""
    x = of_few_values(rng, (20, 2, *windows.image), dtype, (np.nan, np.inf, -np.inf, -np.inf))
    x[0] = -np.inf
    x[1] = np.nan
    for mine, theirs in zip(any_backend.max_pool(any_backend.asarray(x), windows), REFERENCE.max_pool(x, windows),
                            strict=True):
        np.testing.assert_array_equal(any_backend.to_host(mine), theirs)


def test_a_chain_stays_as_it_lies_in_memory(rng):
    """Element by element, too: nothing is turned round between convolutions, in a step or outside."""
    from miniae.backend import get

    be, windows = get("numpy"), WINDOWS["3x3"]
    x, w = rng.standard_normal((4, 2, 7, 6)), rng.standard_normal((2, 2, 3, 3))
    with be.arena(Arena(np.empty)):
        y = be.conv(x, w, windows)
        for a in (y, be.sigmoid(y), be.leaky_relu(y, 0.1), be.leaky_relu_grad(y, y, 0.0), be.add(y, w[0, 0, 0, 0]),
                  be.subtract(y, y), be.empty_like(y), be.conv_input_grad(y, w, windows)):
            assert a.shape == y.shape and a.strides == y.strides


def test_windows_that_tile():
    assert Windows((6, 4), (2, 2), (2, 2)).tile and Windows((3, 4), (1, 2), (1, 2)).tile
    for windows in (Windows((7, 4), (2, 2), (2, 2)), Windows((6, 4), (2, 2), (1, 2)), Windows((4, 4), (2, 2), (3, 3)),
                    Windows((2, 2), (2, 2), (2, 2), ((1, 1), (0, 0))),
                    Windows((4, 4), (2, 2), (2, 2), dilation=(2, 1))):
        assert not windows.tile
