"""Maxima and means of windows."""

from __future__ import annotations

import numpy as np
import pytest

from miniae import Tensor, gradcheck
from miniae.autodiff import gradcheck_jvp
from miniae.functions import avg_pool2d, max_pool2d

POOLS = [max_pool2d, avg_pool2d]
# size, stride: disjoint, overlapping, with gaps, not square, one pixel
SETTINGS = [(2, None), (3, 2), (3, 1), (2, 3), (1, None), (1, 2), ((2, 3), None), ((3, 1), (1, 2)), ((5, 7), None)]


def apart(*shape):
    """Numbers no two of which are near each other, in any order."""
    return np.random.default_rng(shape).permutation(int(np.prod(shape))).reshape(shape) / 7.0 - 3.0


@pytest.mark.parametrize("size, stride", SETTINGS)
@pytest.mark.parametrize("pool", POOLS)
def test_values_and_gradients_are_those_of_pytorch(pool, size, stride, backend):
    torch = pytest.importorskip("torch", reason="compares with torch.nn.functional")
    x = Tensor(apart(2, 3, 5, 7), requires_grad=True)
    t = torch.tensor(x.numpy(), requires_grad=True)
    y, z = pool(x, size, stride), getattr(torch.nn.functional, pool.__name__)(t, size, stride)
    np.testing.assert_allclose(y.numpy(), z.detach().numpy(), rtol=1e-12)
    seed = np.random.default_rng(1).standard_normal(y.shape)
    y.backward(seed)
    z.backward(torch.tensor(seed))
    np.testing.assert_allclose(backend.to_host(x.grad), t.grad.numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("size, stride", SETTINGS)
def test_values_are_those_of_each_window(size, stride, backend):
    x = apart(2, 2, 5, 7)
    (kh, kw), step = np.broadcast_to(size, 2), np.broadcast_to(size if stride is None else stride, 2)
    largest, mean = max_pool2d(Tensor(x), size, stride).numpy(), avg_pool2d(Tensor(x), size, stride).numpy()
    assert largest.shape == mean.shape == (2, 2, (5 - kh) // step[0] + 1, (7 - kw) // step[1] + 1)
    for r, c in np.ndindex(largest.shape[2:]):
        window = x[:, :, r * step[0]:r * step[0] + kh, c * step[1]:c * step[1] + kw]
        np.testing.assert_array_equal(largest[:, :, r, c], window.max((2, 3)))
        np.testing.assert_allclose(mean[:, :, r, c], window.mean((2, 3)), rtol=1e-12)


@pytest.mark.parametrize("size, stride", SETTINGS[:-1])
@pytest.mark.parametrize("pool", POOLS)
def test_gradients_and_tangents(pool, size, stride, backend):
    inputs = [Tensor(apart(1, 1, 5, 7))]
    assert gradcheck(lambda x: pool(x, size, stride), inputs)
    assert gradcheck_jvp(lambda x: pool(x, size, stride), inputs)


def gradient(pool, x, backend, **options):
    x = Tensor(x, requires_grad=True)
    pool(x, **options).sum().backward()
    return backend.to_host(x.grad)


def test_the_first_of_equal_maxima_gets_the_gradient(backend):
    equal = gradient(max_pool2d, np.zeros((1, 1, 4, 4)), backend, size=2)
    assert equal[0, 0].tolist() == [[1, 0, 1, 0], [0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]
    later = gradient(max_pool2d, [[[[0.0, 5.0], [5.0, 1.0]]]], backend, size=2)
    assert later[0, 0].tolist() == [[0, 1], [0, 0]]


def test_overlapping_windows_add_their_gradients(backend):
    x = np.zeros((1, 1, 3, 3))
    x[0, 0, 1, 1] = 1.0
    assert gradient(max_pool2d, x, backend, size=2, stride=1)[0, 0].tolist() == [[0, 0, 0], [0, 4, 0], [0, 0, 0]]
    average = gradient(avg_pool2d, x, backend, size=2, stride=1)[0, 0]
    assert average.tolist() == [[0.25, 0.5, 0.25], [0.5, 1, 0.5], [0.25, 0.5, 0.25]]


@pytest.mark.parametrize("pool", POOLS)
def test_what_no_window_reaches_gets_no_gradient(pool, backend):
    g = gradient(pool, apart(2, 2, 5, 3), backend, size=2)
    assert not g[:, :, 4].any() and not g[:, :, :, 2].any()
    assert g.sum() == 2 * 2 * 2


def test_a_window_of_more_than_256_pixels(backend):
    """Which element won needs more than a byte."""
    for place in [(0, 0), (15, 3), (16, 16)]:
        x = np.zeros((1, 1, 17, 17))
        x[(0, 0, *place)] = 1.0
        np.testing.assert_array_equal(gradient(max_pool2d, x, backend, size=17), x)


def test_infinities_and_nan(backend):
    x = np.full((1, 1, 2, 2), -np.inf)
    assert max_pool2d(Tensor(x)).numpy().item() == -np.inf
    x[0, 0, 1, 0] = np.nan
    assert np.isnan(max_pool2d(Tensor(x)).numpy()).all()
    x[0, 0] = [[np.nan, 1.0], [2.0, 3.0]]
    assert np.isnan(max_pool2d(Tensor(x)).numpy()).all()


@pytest.mark.parametrize("pool", POOLS)
def test_no_images_and_images_of_one_pixel(pool, backend):
    empty = Tensor(np.zeros((0, 3, 4, 4)), requires_grad=True)
    y = pool(empty, 2)
    assert y.shape == (0, 3, 2, 2)
    y.backward(np.zeros(y.shape))
    assert empty.grad.shape == (0, 3, 4, 4)
    x = apart(2, 3, 1, 1)
    np.testing.assert_array_equal(pool(Tensor(x), 1).numpy(), x)


@pytest.mark.parametrize("pool", POOLS)
def test_float32_stays_float32(pool, backend):
    x = Tensor(apart(2, 3, 5, 7), requires_grad=True, dtype="float32")
    y = pool(x, 2)
    y.sum().backward()
    assert y.dtype == x.grad.dtype == np.float32


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("shape, arguments, message", [
    ((3, 4, 4), (2,), r"takes images \(N, channels, height, width\), got shape \(3, 4, 4\)"),
    ((1, 3, 4, 2), (3,), r"can't fit a window of \(3, 3\) into images of \(4, 2\)"),
    ((1, 3, 0, 4), (2,), r"can't fit a window"),
    ((1, 3, 4, 4), (0,), "size must be an integer of at least 1"),
    ((1, 3, 4, 4), (2, 0), "stride must be an integer of at least 1"),
    ((1, 3, 4, 4), ((2, 2, 2),), "size must be .* or a pair"),
])
def test_what_does_not_fit(pool, shape, arguments, message, backend):
    with pytest.raises(ValueError, match=message):
        pool(Tensor(np.zeros(shape)), *arguments)
