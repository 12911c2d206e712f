"""Kernels that do what would be several: bias with activation and the adjoint of both, Adam's rates, masks, losses."""

from __future__ import annotations

import math

import numpy as np
import pytest

from miniae.backend.base import Backend
from miniae.backend.cupy import _in_channels, _slices

RNG = np.random.default_rng(0)
ACTIVATIONS = {
    None: (lambda z: z, lambda y: 1.0),
    "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda y: y * (1 - y)),
    "tanh": (np.tanh, lambda y: 1 - y * y),
    "relu": (lambda z: np.maximum(z, 0), lambda y: y > 0),
}
ROWS = [(0, 3), (1, 1), (7, 5), (70, 67), (2000, 3)]
IMAGES = [(0, 2, 3, 3), (1, 1, 1, 1), (3, 4, 5, 2), (40, 3, 21, 13), (5, 33, 1, 1), (1, 2, 99, 99)]
# How images may lie in memory: by channels, channels last, and as the CPU has them.
LAYOUTS = {"channels first": (0, 1, 2, 3), "channels last": (0, 2, 3, 1), "rows first": (2, 1, 3, 0)}


def lying(be, a, layout):
    """The array on the device, its axes in memory in that order."""
    if layout is None:
        return be.asarray(a)
    order = LAYOUTS[layout]
    return be.asarray(a.transpose(order).copy()).transpose(*np.argsort(order).tolist())



def cases(test):
    pairs = [*((shape, None) for shape in ROWS), *((shape, layout) for shape in IMAGES for layout in LAYOUTS)]
    test = pytest.mark.parametrize(("shape", "layout"), pairs, ids=str)(test)
    return pytest.mark.parametrize("f", ACTIVATIONS)(test)


@cases
def test_bias_and_activation(any_backend, dtype, f, shape, layout):
    be = any_backend
    z, b = (2 * RNG.standard_normal(s).astype(dtype) for s in (shape, shape[1:2]))
    device = lying(be, z, layout)
    y = be.add_bias(device, be.asarray(b), f)
    assert y is device
    z64 = z.astype("f8") + (b if z.ndim == 2 else b.reshape(-1, 1, 1))
    np.testing.assert_allclose(be.to_host(y), ACTIVATIONS[f][0](z64), rtol=8 * np.finfo(dtype).eps,
                               atol=8 * np.finfo(dtype).eps)


@cases
def test_its_adjoint(any_backend, dtype, f, shape, layout):
    be = any_backend
    gy, y = RNG.standard_normal(shape).astype(dtype), RNG.uniform(-1, 1, shape).astype(dtype)
    out = be.empty(shape[1:2], dtype) if f in (None, "tanh") else None
    device = lying(be, gy, layout)
    g, gb = be.add_bias_grad(device, lying(be, y, layout), f, out)
    assert (out is None or gb is out) and gb.dtype == dtype and (f is not None or g is device)
    expected = gy.astype("f8") * ACTIVATIONS[f][1](y.astype("f8"))
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(be.to_host(g), expected, rtol=8 * eps, atol=8 * eps)
    axes = 0 if gy.ndim == 2 else (0, 2, 3)
    tolerance = 40 * eps * max(math.prod(shape), 1) ** 0.5
    np.testing.assert_allclose(be.to_host(gb), expected.sum(axes), rtol=0, atol=tolerance)
    np.testing.assert_array_equal(be.to_host(device), gy)


def test_the_adjoint_is_that_of_the_derivative():
    """Against central differences, in float64: <g, dz> and <gb, db> are the change of <gy, f(z + b)>."""
    be, h = Backend(np), 1e-6
    for f in ACTIVATIONS:
        for shape in ((6, 4), (3, 4, 2, 5)):
            z, gy, dz = (RNG.standard_normal(shape) for _ in range(3))
            b, db = RNG.standard_normal(4), RNG.standard_normal(4)
            y = be.add_bias(z.copy(), b, f)
            g, gb = be.add_bias_grad(gy, y, f)
            ahead, behind = (np.sum(gy * be.add_bias(z + s * dz, b + s * db, f)) for s in (h, -h))
            assert np.sum(g * dz) + np.sum(gb * db) == pytest.approx((ahead - behind) / (2 * h), rel=1e-6)


@pytest.mark.parametrize("f", ACTIVATIONS)
def test_a_nan_stays_one(any_backend, dtype, f):
    be = any_backend
    z = be.asarray(np.array([[np.nan, 1.0], [-1e4, 1e4]], dtype))
    y = be.to_host(be.add_bias(z, be.zeros((2,), dtype), f))
    assert np.isnan(y[0, 0]) and np.isfinite(y[1]).all() and np.isfinite(y[0, 1])


def test_large_sums_are_cut_into_slices():
    """Both kernels are tested with slices above: these shapes have some, of unequal lengths."""
    assert _slices(2000, 3, 1) == 4
    assert _slices(40, 3, 21 * 13) == 2
    assert _slices(128, 784, 1) == 1 and _slices(1, 8, 10**6) == 1


def test_how_channels_lie_in_memory():
    x = np.empty((2, 3, 4, 5))
    assert _in_channels(x) == (2, 3, 20)
    assert _in_channels(np.empty((2, 4, 5, 3)).transpose(0, 3, 1, 2)) == (40, 3, 1)
    assert _in_channels(np.empty((7, 3))) == (7, 3, 1)
    for other in (x[:, ::2], np.empty((7, 6))[:, ::2], np.empty((3, 7)).T, x.transpose(1, 0, 2, 3), np.empty(5)):
        assert _in_channels(other) is None


def test_memory_around_the_arrays_is_left_alone(cuda_on_cpu, dtype):
    be = cuda_on_cpu
    for shape in ((70, 67), (2000, 3), (40, 3, 21, 13)):
        n, channels = math.prod(shape), shape[1]
        memory = be.asarray(np.full(n + channels + 96, 7.0, dtype))
        z, sums = memory[32:32 + n].reshape(shape), memory[64 + n:64 + n + channels]
        z[...] = 0.0
        be.add_bias(z, be.zeros((channels,), dtype), "sigmoid")
        be.add_bias_grad(z, z, None, out=sums)
        assert (z == 0.5).all() and np.allclose(sums, 0.5 * n / channels)
        for part in (memory[:32], memory[32 + n:64 + n], memory[64 + n + channels:]):
            assert (part == 7.0).all()


@pytest.mark.parametrize("step", [1, 2, 10, 1000, 10**6])
def test_rates_of_adam(any_backend, dtype, step):
    """By sums of the weights, as the optimizer states them."""
    be, b1, b2, lr, epsilon = any_backend, 0.9, 0.999, 1e-3, 1e-8
    w1, w2 = (math.fsum(b**k for k in range(min(step, 60_000))) for b in (b1, b2))
    rates, scratch = be.zeros((2,), dtype), be.zeros((2,), "float64")
    betas, last, count = (be.asarray(a, "float64") for a in ([b1, b2], [1 - b1, 1 - b2], [step]))
    be.adam_rates(betas, last, count, be.asarray([lr], dtype), epsilon, scratch, rates)
    np.testing.assert_allclose(be.to_host(rates), [lr * math.sqrt(w2) / w1, epsilon * math.sqrt(w2)],
                               rtol=1e-10 if dtype == "float64" else 3e-7)


@pytest.mark.parametrize("shape", [(0,), (1,), (8,), (9,), (37, 31)])
def test_masks_and_coins_are_those_of_the_uniform_numbers(any_backend, dtype, shape):
    """Bit by bit, on every backend."""
    be = any_backend
    uniform, key = np.empty(shape, dtype), (5, 6, np.array([7]))
    Backend(np).philox_uniform(uniform, *key)
    key = (5, 6, be.asarray([7]))
    probability = RNG.uniform(size=shape).astype(dtype)
    probability.reshape(-1)[::3] = uniform.reshape(-1)[::3]  # ties: not below
    out = be.empty(shape, dtype)
    be.philox_bernoulli(out, be.asarray(probability), *key)
    np.testing.assert_array_equal(be.to_host(out), uniform < probability)
    for rate, kept in ((0.0, 1.0), (0.3, 1.0), (0.3, 1 / 0.7), (1.0, 1.0)):
        be.philox_mask(out, rate, kept, *key)
        expected = (uniform >= dtype.type(rate)).astype(dtype) * dtype.type(kept)
        np.testing.assert_array_equal(be.to_host(out), expected)


@pytest.mark.parametrize("kind", ["uint8", "int64", "float32", "float64"])
@pytest.mark.parametrize("shape", [(5,), (5, 3), (5, 0), (5, 2, 3)], ids=str)
def test_gathering(any_backend, kind, shape):
    be = any_backend
    rows = (200 * RNG.random(shape)).astype(kind)
    for index in ([4, 0, 4, -1, -5], []):
        index = np.array(index, "int64")
        np.testing.assert_array_equal(be.to_host(be.gather(be.asarray(rows), be.asarray(index))), rows[index])


@pytest.mark.parametrize("shape", [(5, 1), (5, 7), (5, 2, 3)], ids=str)
def test_gathering_and_scaling(any_backend, dtype, shape):
    be = any_backend
    rows = RNG.integers(0, 256, shape, np.uint8)
    offset, scale = RNG.uniform(0, 100, shape[1:]), RNG.uniform(1, 255, shape[1:])
    for index in ([3, 3, 0, -1], []):
        index = np.array(index, "int64")
        out = be.empty((len(index), *shape[1:]), dtype)
        assert be.gather_scaled(*map(be.asarray, (rows, index, offset, scale)), out) is out
        np.testing.assert_array_equal(be.to_host(out), ((rows[index] - offset) / scale).astype(dtype))


@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (1024, 1), (205, 5), (3000, 201)], ids=str)
def test_losses_of_one_block_and_of_many(any_backend, dtype, shape):
    be = any_backend
    y, t = RNG.standard_normal(shape).astype(dtype), RNG.uniform(size=shape).astype(dtype)
    y64, t64, n = y.astype("f8"), t.astype("f8"), max(len(y), 1)
    eps = np.finfo(dtype).eps
    for run, loss, grad in (
        (be.squared_error, np.sum((y64 - t64) ** 2) / n, 2 * (y64 - t64) / n),
        (be.bce_logits, np.sum(np.logaddexp(0, y64) - t64 * y64) / n, (1 / (1 + np.exp(-y64)) - t64) / n),
    ):
        got, g = run(be.asarray(y), be.asarray(t))
        assert got.shape == () and got.dtype == dtype
        np.testing.assert_allclose(be.to_host(got), loss, rtol=40 * eps)
        np.testing.assert_allclose(be.to_host(g), grad, rtol=40 * eps, atol=8 * eps / n)


def test_a_step_of_them_is_captured(cuda_on_cpu):
    """Nothing is read back, allocated anew or done at once."""
    be, xp = cuda_on_cpu, cuda_on_cpu.xp
    x, w, b = (be.asarray(RNG.standard_normal(s), "float32") for s in ((600, 5), (5, 3), (3,)))
    step, gb = be.zeros((1,), "float64"), be.zeros((3,), "float32")
    kept = []

    def run():
        y = be.affine(x, w, b, f="tanh")
        loss, gy = be.squared_error(y, be.multiply(y, 0.5))
        g, _ = be.add_bias_grad(gy, y, "tanh", gb)
        be.increment(step)
        kept[:] = [y, loss, g, gb, step]

    stream = xp.cuda.Stream(non_blocking=True)
    with stream, be.arena() as arena:
        for _ in range(2):
            arena.rewind()
            kept.clear()
            run()
        expected = [be.to_host(a) for a in kept]
        be.fill(x, 0.0)
        arena.rewind()
        kept.clear()
        stream.begin_capture()
        run()
        graph = stream.end_capture()
        be.upload(RNG.standard_normal((600, 5)).astype("float32"), x)
        graph.launch()
        replayed = [be.to_host(a) for a in kept]
        run()
        for one, two in zip(replayed[:-1], (be.to_host(a) for a in kept[:-1]), strict=True):
            np.testing.assert_array_equal(one, two)
        assert expected[-1] == 2 and replayed[-1] == 3 and not np.array_equal(expected[3], replayed[3])
