"""Every kernel against its formula in float64, and every override against the reference implementation."""

from __future__ import annotations

import numpy as np
import pytest

from miniae.backend.base import Backend

SHAPES = [(0,), (1,), (3, 0), (7, 5), (257, 3)]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def close(be, actual, expected, dtype, scale=1.0):
    """Equal up to a few roundings of the dtype, which is kept."""
    assert be.is_array(actual)
    assert actual.dtype == dtype
    assert actual.shape == np.shape(expected)
    tolerance = 8 * np.finfo(dtype).eps * scale
    np.testing.assert_allclose(be.to_host(actual).astype("f8"), expected, rtol=tolerance, atol=tolerance)


def softplus(x):
    return np.logaddexp(0.0, x)


def sigmoid(x):
    return np.exp(-np.logaddexp(0.0, -x))


ONE_INPUT = {
    "sigmoid": (lambda be, x, out: be.sigmoid(x, out=out), sigmoid),
    "tanh": (lambda be, x, out: be.tanh(x, out=out), np.tanh),
    "relu": (lambda be, x, out: be.leaky_relu(x, 0.0, out=out), lambda x: np.maximum(x, 0)),
    "leaky_relu": (lambda be, x, out: be.leaky_relu(x, 0.1, out=out), lambda x: np.where(x > 0, x, 0.1 * x)),
    "softplus": (lambda be, x, out: be.softplus(x, out=out), softplus),
}
TWO_INPUTS = {
    "sigmoid_grad": (lambda be, g, y, out: be.sigmoid_grad(g, y, out=out), lambda g, y: g * y * (1 - y)),
    "tanh_grad": (lambda be, g, y, out: be.tanh_grad(g, y, out=out), lambda g, y: g * (1 - y * y)),
    "relu_grad": (lambda be, g, x, out: be.leaky_relu_grad(g, x, 0.0, out=out), lambda g, x: g * (x > 0)),
    "leaky_relu_grad": (lambda be, g, x, out: be.leaky_relu_grad(g, x, 0.1, out=out),
                        lambda g, x: g * np.where(x > 0, 1, 0.1)),
    "add": (lambda be, a, b, out: be.add(a, b, out=out), np.add),
    "subtract": (lambda be, a, b, out: be.subtract(a, b, out=out), np.subtract),
    "multiply": (lambda be, a, b, out: be.multiply(a, b, out=out), np.multiply),
    "divide": (lambda be, a, b, out: be.divide(a, b, out=out), np.divide),
}


@pytest.mark.parametrize("given", [False, True], ids=["new", "out"])
@pytest.mark.parametrize("shape", [(), *SHAPES])
@pytest.mark.parametrize("kernel", ONE_INPUT)
def test_one_input(any_backend, dtype, rng, kernel, shape, given):
    be, (run, formula) = any_backend, ONE_INPUT[kernel]
    x = (4 * rng.standard_normal(shape)).astype(dtype)
    device = be.asarray(x)
    out = be.empty(shape, dtype) if given else None
    y = run(be, device, out)
    close(be, y, formula(x.astype("f8")), dtype)
    assert out is None or y is out
    np.testing.assert_array_equal(be.to_host(device), x)  # the input is left alone


@pytest.mark.parametrize("given", [False, True], ids=["new", "out"])
@pytest.mark.parametrize("shape", [(), *SHAPES])
@pytest.mark.parametrize("kernel", TWO_INPUTS)
def test_two_inputs(any_backend, dtype, rng, kernel, shape, given):
    be, (run, formula) = any_backend, TWO_INPUTS[kernel]
    a, b = (np.asarray(rng.uniform(0.1, 0.9, shape) * rng.choice([-1, 1], shape), dtype) for _ in range(2))
    out = be.empty(shape, dtype) if given else None
    y = run(be, be.asarray(a), be.asarray(b), out)
    close(be, y, formula(a.astype("f8"), b.astype("f8")), dtype)
    assert out is None or y is out


@pytest.mark.parametrize("kernel", ONE_INPUT)
def test_extreme_inputs(any_backend, dtype, kernel):
    """Far out the functions reach their limits without overflowing, and NaN stays NaN."""
    be, (run, formula) = any_backend, ONE_INPUT[kernel]
    x = np.array([-1e4, -100.0, -0.0, 0.0, 100.0, 1e4], dtype)
    close(be, run(be, be.asarray(x), None), formula(x.astype("f8")), dtype)
    assert np.isnan(be.to_host(run(be, be.asarray(np.array([np.nan], dtype)), None))).all()


@pytest.mark.parametrize("kernel", ["sigmoid", "leaky_relu", "softplus"])
def test_strided_inputs(any_backend, dtype, rng, kernel):
    """Views that are not contiguous give the same numbers."""
    be, (run, formula) = any_backend, ONE_INPUT[kernel]
    x = rng.standard_normal((6, 8)).astype(dtype)
    close(be, run(be, be.asarray(x)[::2, 1:].T, None), formula(x[::2, 1:].T.astype("f8")), dtype)


def test_arithmetic_broadcasts(any_backend, dtype, rng):
    be = any_backend
    a, b = rng.standard_normal((4, 3)).astype(dtype), rng.standard_normal(3).astype(dtype)
    close(be, be.add(be.asarray(a), be.asarray(b)), a + b, dtype)
    close(be, be.multiply(be.asarray(b), be.asarray(a)), a * b, dtype)
    close(be, be.subtract(1.0, be.asarray(a)), 1 - a, dtype)
    with be.arena():
        close(be, be.multiply(be.asarray(b), be.asarray(a)), a * b, dtype)
        close(be, be.divide(1.0, be.asarray(a)), 1 / a, dtype)


def test_arithmetic_may_write_over_an_operand(any_backend, dtype):
    be = any_backend
    a = be.asarray(np.array([1.0, 2.0], dtype))
    assert be.add(a, a, out=a) is a
    close(be, a, [2, 4], dtype)


def test_less(any_backend, dtype):
    be = any_backend
    a, b = np.array([0.1, 0.5, 0.9], dtype), np.array([0.5, 0.5, 0.5], dtype)
    out = be.asarray(a)
    close(be, be.less(out, be.asarray(b), out=out), [1, 0, 0], dtype)


@pytest.mark.parametrize("n,k,m", [(5, 7, 3), (1, 1, 1), (0, 4, 2), (3, 0, 2), (3, 4, 0)])
def test_matrix_products(any_backend, dtype, rng, n, k, m):
    be = any_backend
    x, w, b = (rng.standard_normal(s).astype(dtype) for s in ((n, k), (k, m), (m,)))
    expected = x.astype("f8") @ w.astype("f8")
    device = be.asarray(x), be.asarray(w), be.asarray(b)
    close(be, be.matmul(device[0], device[1]), expected, dtype, scale=10)
    close(be, be.affine(*device), expected + b, dtype, scale=10)
    close(be, be.matmul(device[1].T, device[0].T), expected.T, dtype, scale=10)
    out = be.empty((n, m), dtype)
    assert be.affine(*device, out=out) is out
    close(be, out, expected + b, dtype, scale=10)


def test_batched_matrix_product(any_backend, dtype, rng):
    be = any_backend
    a, b = rng.standard_normal((2, 3, 4)).astype(dtype), rng.standard_normal((2, 4, 5)).astype(dtype)
    close(be, be.matmul(be.asarray(a), be.asarray(b)), a.astype("f8") @ b.astype("f8"), dtype, scale=10)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("shape", [(4, 3, 5), (1, 1, 1), (0, 3, 5)])
def test_sum(any_backend, dtype, rng, shape, axis, keepdims):
    be = any_backend
    a = rng.standard_normal(shape).astype(dtype)
    expected = a.astype("f8").sum(axis=axis, keepdims=keepdims)
    close(be, be.sum(be.asarray(a), axis=axis, keepdims=keepdims), expected, dtype, scale=10)


@pytest.mark.parametrize("shape", [(), (1,), (3,), (4, 3), (1, 3), (4, 1), (1, 1), (2, 4, 3), (2, 1, 3)])
def test_sum_to_is_the_adjoint_of_broadcasting(any_backend, dtype, rng, shape):
    """<sum_to(a), b> = <a, broadcast(b)> for every b."""
    be = any_backend
    a, b = rng.standard_normal((2, 4, 3)).astype(dtype), rng.standard_normal(shape)
    summed = be.sum_to(be.asarray(a), shape)
    assert summed.shape == shape and summed.dtype == dtype
    assert np.sum(be.to_host(summed) * b) == pytest.approx(np.sum(a * b), rel=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (0, 4), (4, 2, 3)])
def test_losses(any_backend, dtype, rng, shape):
    be = any_backend
    z, t = rng.standard_normal(shape).astype(dtype), rng.uniform(size=shape).astype(dtype)
    y64, t64, n = z.astype("f8"), t.astype("f8"), max(shape[0], 1)
    for run, loss, grad in (
        (be.squared_error, np.sum((y64 - t64) ** 2) / n, 2 * (y64 - t64) / n),
        (be.bce_logits, np.sum(softplus(y64) - t64 * y64) / n, (sigmoid(y64) - t64) / n),
    ):
        got_loss, got_grad = run(be.asarray(z), be.asarray(t))
        close(be, got_loss, loss, dtype, scale=10)
        close(be, got_grad, grad, dtype)


def test_loss_of_extreme_logits(any_backend, dtype):
    be = any_backend
    z, t = np.array([[-1e4, 1e4, 1e4]], dtype), np.array([[0, 1, 0]], dtype)
    loss, grad = be.bce_logits(be.asarray(z), be.asarray(t))
    close(be, loss, np.float64(1e4), dtype)
    close(be, grad, [[0, 0, 1]], dtype)


@pytest.mark.parametrize("size", [0, 1, 1000])
def test_momentum_and_scaled_sums(any_backend, dtype, rng, size):
    be = any_backend
    p, g, v = (rng.standard_normal(size).astype(dtype) for _ in range(3))
    arrays = [be.asarray(a) for a in (p, g, v, np.array([0.01], dtype), np.empty(size, dtype))]
    be.momentum(*arrays, 0.9)
    p, g, v = (a.astype("f8") for a in (p, g, v))
    v = 0.9 * v + g
    close(be, arrays[2], v, dtype)
    close(be, arrays[0], p - 0.01 * v, dtype)
    be.add_scaled(arrays[2], arrays[1], 32.0)
    close(be, arrays[2], v + 32.0 * g, dtype, scale=10)


@pytest.mark.parametrize("size", [0, 1, 1000, 300_000])
def test_adam(any_backend, dtype, rng, size):
    be = any_backend
    p, g, m = (rng.standard_normal(size).astype(dtype) for _ in range(3))
    v, rates = rng.uniform(size=size).astype(dtype), np.array([0.01, 1e-3], dtype)
    arrays = [be.asarray(a) for a in (p, g, m, v, rates, np.empty(size, dtype))]
    be.adam(*arrays, 0.9, 0.999)
    p, g, m, v, rates = (a.astype("f8") for a in (p, g, m, v, rates))
    m = 0.9 * m + g
    v = 0.999 * v + g * g
    close(be, arrays[2], m, dtype)
    close(be, arrays[3], v, dtype)
    close(be, arrays[0], p - rates[0] * m / (np.sqrt(v) + rates[1]), dtype, scale=10)
    np.testing.assert_array_equal(be.to_host(arrays[1]), g)


@pytest.mark.parametrize("shape", [(5,), (5, 3), (5, 2, 3)])
def test_gather(any_backend, dtype, rng, shape):
    be = any_backend
    rows = rng.standard_normal(shape).astype(dtype)
    for index in ([4, 0, 4, 2], [3], []):
        index = np.array(index, "int64")
        close(be, be.gather(be.asarray(rows), be.asarray(index)), rows[index], dtype)
    labels = np.array([7, 8, 9])
    assert be.to_host(be.gather(be.asarray(labels), be.asarray([2, 0]))).tolist() == [9, 7]


@pytest.mark.parametrize("name", ["numpy", "strict"])
@pytest.mark.parametrize("wrong", [5, -6])
def test_gather_checks_its_indices(name, wrong):
    from miniae.backend import get

    be = get(name)
    rows = be.zeros((5, 2), "float32")
    with pytest.raises(IndexError):
        be.gather(rows, be.asarray([0, wrong]))


@pytest.mark.parametrize("kind", ["uint8", "int64", "float32", "float64"])
@pytest.mark.parametrize("shape", [(0, 3), (4,), (5, 2, 3)])
def test_upload(any_backend, kind, shape, rng):
    be = any_backend
    host = (100 * rng.random(shape)).astype(kind)
    expected, out = host.copy(), be.zeros(shape, kind)
    be.upload(host, out)
    host[...] = 7  # what was uploaded stays as it was
    np.testing.assert_array_equal(be.to_host(out), expected)


def test_copy_fill_increment(any_backend, dtype):
    be = any_backend
    a = be.asarray(np.arange(6.0).reshape(2, 3), dtype)
    b = be.copy(a)
    be.fill(a, 7.0)
    close(be, b, np.arange(6.0).reshape(2, 3), dtype)
    close(be, a, np.full((2, 3), 7.0), dtype)
    counter = be.zeros((1,), "int64")
    be.increment(counter)
    be.increment(counter)
    assert be.to_host(counter).tolist() == [2]


def test_asarray_copies(any_backend):
    be = any_backend
    host = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    a = be.asarray(host)
    host[:] = -1
    assert be.to_host(a).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert a.flags.c_contiguous
    assert be.asarray([1, 2], "float32").dtype == np.float32
    assert not be.is_array([1, 2]) and be.is_array(be.asarray(3.0)) and be.asarray(3.0).shape == ()


def overridden(cls):
    return sorted(n for n in vars(cls) if not n.startswith("_") and callable(getattr(Backend, n, None)))


def test_every_override_is_compared_with_the_reference():
    """A kernel added to a backend needs a line in one of these lists; test_images.py has the convolutions."""
    from miniae.backend.cupy import CupyBackend
    from miniae.backend.numpy import NumpyBackend
    from miniae.backend.numpy_image import NumpyImageKernels

    not_kernels = {"asarray", "to_host", "synchronize", "device_info", "empty_like", "graph"}
    images = {"conv", "conv_input_grad", "conv_weight_grad"}
    assert {*overridden(NumpyBackend), *overridden(CupyBackend)} - not_kernels <= set(CALLS)
    assert set(overridden(NumpyImageKernels)) <= images


CALLS = {
    "sigmoid": lambda be, a, b: be.sigmoid(a),
    "sigmoid_grad": lambda be, a, b: be.sigmoid_grad(a, b),
    "tanh_grad": lambda be, a, b: be.tanh_grad(a, b),
    "leaky_relu": lambda be, a, b: be.leaky_relu(a, 0.2),
    "leaky_relu_grad": lambda be, a, b: be.leaky_relu_grad(a, b, 0.2),
    "scaled": lambda be, a, b: tuple(be.scaled(a, factor) for factor in (be.asarray(2.5, a.dtype), be.one(a.dtype))),
    "sum": lambda be, a, b: tuple(be.sum(a, axis) for axis in (0, 1, None)),
    "softplus": lambda be, a, b: be.softplus(a),
    "squared_error": lambda be, a, b: be.squared_error(a, b),
    "bce_logits": lambda be, a, b: be.bce_logits(a, b),
    "matmul": lambda be, a, b: (be.matmul(a, b.T), be.matmul(a.T, b)),
    "gather": lambda be, a, b: be.gather(a, be.asarray([0, len(a) - 1, 0])),
    "gather_scaled": lambda be, a, b: _gather_scaled(be, a),
    "add_bias": lambda be, a, b: be.add_bias(a, b[0], "sigmoid"),
    "add_bias_grad": lambda be, a, b: be.add_bias_grad(a, b, "tanh"),
    "increment": lambda be, a, b: _incremented(be, a),
    "momentum": lambda be, a, b: _momentum(be, a, b),
    "add_scaled": lambda be, a, b: (be.add_scaled(a, b, 0.3), a)[1],
    "adam": lambda be, a, b: _adam(be, a, b),
    "adam_rates": lambda be, a, b: _adam_rates(be, a.dtype),
    "philox_bernoulli": lambda be, a, b: _drawn(be, lambda out, *key: be.philox_bernoulli(out, b, *key), a),
    "philox_mask": lambda be, a, b: _drawn(be, lambda out, *key: be.philox_mask(out, 0.3, 1.7, *key), a),
    "philox_uniform": lambda be, a, b: _drawn(be, be.philox_uniform, a),
    "box_muller": lambda be, a, b: _drawn(be, be.philox_normal, a),
}


def _momentum(be, a, b):
    v, scratch = be.zeros(a.shape, a.dtype), be.zeros(a.shape, a.dtype)
    for _ in range(2):
        be.momentum(a, b, v, be.asarray([0.1], a.dtype), scratch, 0.9)
    return a


def _adam(be, a, b):
    m, v, scratch = be.copy(b), be.multiply(b, b), be.empty_like(a)
    be.adam(a, b, m, v, be.asarray([0.1, 1e-8], a.dtype), scratch, 0.9, 0.99)
    return a, m, v


def _adam_rates(be, dtype):
    betas, scratch, rates = np.array([0.9, 0.999]), be.zeros((2,), "float64"), be.zeros((2,), dtype)
    be.adam_rates(be.asarray(betas), be.asarray(1 - betas), be.asarray([3.0]), be.asarray([0.01], dtype), 1e-8, scratch,
                  rates)
    return rates


def _gather_scaled(be, like):
    rows = be.asarray(np.arange(15).reshape(5, 3), "uint8")
    offset, scale = be.asarray([1.0, 0.5, 0.0]), be.asarray([255.0, 3.0, 7.0])
    return be.gather_scaled(rows, be.asarray([4, 0, 4, -1]), offset, scale, be.empty((4, 3), like.dtype))


def _incremented(be, a):
    be.increment(a.reshape(-1)[:1])
    return a


def _drawn(be, draw, like):
    out = be.empty_like(like)
    draw(out, 3, 4, be.asarray([5]))
    return out


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (33, 67)])
@pytest.mark.parametrize("kernel", CALLS)
def test_overrides_equal_the_reference(any_backend, dtype, rng, kernel, shape):
    a, b = rng.standard_normal(shape).astype(dtype), rng.standard_normal(shape).astype(dtype)
    reference = Backend(np)
    results = [CALLS[kernel](be, be.asarray(a), be.asarray(b)) for be in (any_backend, reference)]
    results = [r if isinstance(r, tuple) else (r,) for r in results]
    for mine, theirs in zip(*results, strict=True):
        close(any_backend, mine, theirs, dtype, scale=10)


def test_device_info(backend):
    info = backend.device_info()
    assert info["device"]
    assert all(info[k] > 0 for k in ("memory_total", "memory_free") if k in info)
