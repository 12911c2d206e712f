"""What makes images larger: nearest-neighbour upsampling, and padding."""

from __future__ import annotations

import numpy as np
import pytest

from miniae import Tensor, gradcheck
from miniae.autodiff import gradcheck_jvp
from miniae.functions import avg_pool2d, pad, upsample2d


def normal(*shape):
    return np.random.default_rng(shape).standard_normal(shape)


def upsampled(x, factor):
    down, across = np.broadcast_to(factor, 2)
    return x.repeat(down, 2).repeat(across, 3)


@pytest.mark.parametrize("factor", [1, 2, 3, (2, 3), (1, 4)])
def test_upsampling_repeats_every_pixel(factor, backend):
    x = normal(2, 3, 3, 2)
    np.testing.assert_array_equal(upsample2d(Tensor(x), factor).numpy(), upsampled(x, factor))
    assert gradcheck(lambda x: upsample2d(x, factor), [Tensor(x)])
    assert gradcheck_jvp(lambda x: upsample2d(x, factor), [Tensor(x)])


def test_upsampling_is_adjoint_to_the_sum_of_each_window(backend):
    x, y = normal(2, 3, 4, 5), normal(2, 3, 8, 15)
    sums = avg_pool2d(Tensor(y), (2, 3)).numpy() * 6
    assert np.sum(upsample2d(Tensor(x), (2, 3)).numpy() * y) == pytest.approx(np.sum(x * sums), rel=1e-10)


@pytest.mark.parametrize("factor", [2, 3])
def test_upsampling_like_pytorch(factor, backend):
    torch = pytest.importorskip("torch", reason="compares with torch.nn.functional")
    x = Tensor(normal(2, 3, 4, 5), requires_grad=True)
    t = torch.tensor(x.numpy(), requires_grad=True)
    y, z = upsample2d(x, factor), torch.nn.functional.interpolate(t, scale_factor=factor, mode="nearest")
    np.testing.assert_array_equal(y.numpy(), z.detach().numpy())
    seed = normal(*y.shape)
    y.backward(seed)
    z.backward(torch.tensor(seed))
    np.testing.assert_allclose(backend.to_host(x.grad), t.grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize("shape", [(0, 2, 3, 3), (1, 1, 1, 1), (2, 0, 3, 3), (2, 1, 0, 4)])
def test_upsampling_of_little_or_nothing(shape, backend):
    x = Tensor(np.ones(shape, "float32"), requires_grad=True)
    y = upsample2d(x, 2)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y.numpy(), upsampled(np.ones(shape), 2))
    y.backward(np.ones(y.shape))
    np.testing.assert_array_equal(backend.to_host(x.grad), np.full(shape, 4.0))
    assert x.grad.dtype == np.float32


def test_what_upsampling_refuses(backend):
    with pytest.raises(ValueError, match=r"takes images .*got shape \(3, 4\)"):
        upsample2d(Tensor(np.zeros((3, 4))), 2)
    for factor in (0, 1.5, (2, 2, 2), (2, -1)):
        with pytest.raises(ValueError, match="factor must be an integer of at least 1"):
            upsample2d(Tensor(np.zeros((1, 1, 2, 2))), factor)


@pytest.mark.parametrize("shape, widths", [
    ((), []), ((3,), [(1, 2)]), ((3, 4), [(0, 2), (1, 0)]), ((2, 3, 4), [(0, 0), (0, 0), (0, 0)]),
    ((2, 1, 3, 3), [(0, 0), (1, 1), (2, 0), (0, 3)]), ((0, 2), [(1, 1), (0, 1)]),
])
@pytest.mark.parametrize("value", [0, -1.5])
def test_padding_in_any_number_of_dimensions(shape, widths, value, backend):
    x = Tensor(normal(*shape), requires_grad=True)
    y = pad(x, widths, value)
    np.testing.assert_array_equal(y.numpy(), np.pad(x.numpy(), widths, constant_values=value) if widths else x.numpy())
    assert gradcheck(lambda x: pad(x, widths, value), [x])
    assert gradcheck_jvp(lambda x: pad(x, widths, value), [x])
    seed = normal(*y.shape)
    y.backward(seed)
    inner = tuple(slice(a, a + n) for n, (a, _) in zip(shape, widths, strict=True))
    np.testing.assert_array_equal(backend.to_host(x.grad), seed[inner] if widths else seed)


def test_padding_keeps_float32(backend):
    x = Tensor(np.ones((2, 2), "float32"), requires_grad=True)
    y = pad(x, [(1, 1), (1, 1)], 0.1)
    y.sum().backward()
    assert y.dtype == x.grad.dtype == np.float32


@pytest.mark.parametrize("widths", [[(1, 1)], [(1, 1), (0, -1)], 1, [(1, 1), (0.5, 1)], [(1, 1, 1), (0, 0)]])
def test_what_padding_refuses(widths, backend):
    with pytest.raises(ValueError, match=r"pad needs \(before, after\)|widths\[1\]|widths\[0\]"):
        pad(Tensor(np.zeros((2, 2))), widths)
