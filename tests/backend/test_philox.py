"""Random numbers: NumPy's own Philox on every backend, bit for bit."""

from __future__ import annotations

import math

import numpy as np
import pytest

from miniae.backend import get
from miniae.backend.base import Backend
from miniae.backend.philox import Generator, host_generator, stream_number

SHAPES = [(), (0,), (1,), (2,), (3,), (4,), (5,), (7,), (8,), (9,), (13, 17), (3, 0, 2), (4, 1025)]


def numpys(seed, stream, step, shape, dtype):
    bits = np.random.Philox(key=[seed, 0], counter=[0, step, stream, 0])
    return np.random.Generator(bits).random(shape, dtype)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed,stream,step", [(0, 0, 0), (1, 2, 3), (2**63 - 1, 2**32 - 1, 2**40)])
def test_uniform_is_numpys_philox(any_backend, dtype, shape, seed, stream, step):
    be = any_backend
    out = be.empty(shape, dtype)
    be.philox_uniform(out, seed, stream, be.asarray([step]))
    expected = numpys(seed, stream, step, shape, dtype)
    np.testing.assert_array_equal(be.to_host(out), expected)
    reference = np.empty(shape, dtype)
    Backend(np).philox_uniform(reference, seed, stream, np.array([step]))
    np.testing.assert_array_equal(reference, expected)


@pytest.mark.parametrize("draw", ["philox_uniform", "philox_normal"])
def test_a_strided_target_gets_the_same_numbers(any_backend, dtype, draw):
    be = any_backend
    whole, part = be.empty((5, 7), dtype), be.zeros((5, 14), dtype)
    for out in (whole, part[:, ::2]):
        getattr(be, draw)(out, 1, 2, be.asarray([3]))
    np.testing.assert_array_equal(be.to_host(part)[:, ::2], be.to_host(whole))
    assert (be.to_host(part)[:, 1::2] == 0).all()


@pytest.mark.parametrize("n", [0, 1, 2, 5, 10, 1001])
def test_normal_is_box_muller_of_uniform(any_backend, dtype, n):
    be = any_backend
    out = be.empty((n,), dtype)
    be.philox_normal(out, 1, 2, be.asarray([3]))
    half = (n + 1) // 2
    u = numpys(1, 2, 3, (2, half), dtype).astype("f8")
    radius = np.sqrt(-2 * np.log1p(-u[0]))
    expected = np.concatenate([radius * np.cos(2 * math.pi * u[1]), radius * np.sin(2 * math.pi * u[1])])[:n]
    np.testing.assert_allclose(be.to_host(out), expected, atol=20 * np.finfo(dtype).eps)


def test_normal_has_the_moments_of_a_normal(any_backend, dtype):
    rng = Generator(0, "moments", any_backend)
    x = any_backend.to_host(rng.normal((200_001,), dtype)).astype("f8")
    n = x.size
    # means, variance, skewness, kurtosis, and the two halves' correlation, within five standard errors
    for moment, variance, of in ((0, 1, x), (1, 2, x**2), (0, 15, x**3), (3, 96, x**4)):
        assert abs(of.mean() - moment) < 5 * math.sqrt(variance / n)
    first, second = x[: n // 2], x[n // 2 + 1:]
    assert abs(np.mean(first * second)) < 5 / math.sqrt(n / 2)
    assert np.isfinite(x).all()


def test_a_zero_draw_gives_a_finite_normal(any_backend, dtype):
    """The smallest and the largest uniform numbers there are."""
    be = any_backend
    largest = 1 - np.finfo(dtype).eps / 2
    out = be.empty((4,), dtype)
    be.box_muller(be.asarray(np.array([[0.0, largest], [0.0, largest]]), dtype), out)
    host = be.to_host(out)
    assert host[0] == 0 and np.isfinite(host).all() and abs(host[1]) > 5


def test_generator_advances_and_resumes(backend, dtype):
    rng = Generator(7, "noise", backend)
    draws = [backend.to_host(rng.uniform((3, 5), dtype)) for _ in range(4)]
    assert rng.step == 4
    for step, draw in enumerate(draws):
        np.testing.assert_array_equal(draw, numpys(7, stream_number("noise"), step, (3, 5), dtype))
    resumed = Generator(7, "noise", backend)
    resumed.step = 2
    np.testing.assert_array_equal(backend.to_host(resumed.uniform((3, 5), dtype)), draws[2])
    np.testing.assert_array_equal(backend.to_host(resumed.uniform((3, 5), dtype)), draws[3])


def test_seeds_streams_and_steps_are_independent(backend):
    def draw(seed, stream, step):
        rng = Generator(seed, stream, backend)
        rng.step = step
        return backend.to_host(rng.uniform((4000,), "float64"))

    draws = [draw(0, "a", 0), draw(1, "a", 0), draw(0, "b", 0), draw(0, "a", 1)]
    for i, a in enumerate(draws):
        for b in draws[:i]:
            assert abs(np.corrcoef(a, b)[0, 1]) < 5 / math.sqrt(4000)
            assert not np.isin(a, b).any()


def test_drawing_does_not_wait_for_the_device():
    be = get("strict")
    rng = Generator(0, "noise", be)
    before = be.waits
    rng.uniform((10,), "float32")
    rng.normal((10,), "float32")
    rng.bernoulli(be.zeros((10,), "float32"))
    assert be.waits == before


def test_bernoulli(backend, dtype):
    probability = np.repeat([0.0, 0.3, 1.0], 5000).astype(dtype)
    drawn = backend.to_host(Generator(0, "b", backend).bernoulli(backend.asarray(probability)))
    uniform = backend.to_host(Generator(0, "b", backend).uniform(probability.shape, dtype))
    np.testing.assert_array_equal(drawn, uniform < probability)
    assert drawn.dtype == dtype and drawn[:5000].sum() == 0 and drawn[10000:].all()
    assert abs(drawn[5000:10000].mean() - 0.3) < 5 * math.sqrt(0.21 / 5000)


def test_host_generator_is_the_same_stream():
    np.testing.assert_array_equal(host_generator(3, "x", 2).random(5), numpys(3, stream_number("x"), 2, 5, "float64"))
    assert stream_number(5) == 5


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_seeds_out_of_range_are_refused(seed):
    with pytest.raises(ValueError, match="seed must be an integer from 0"):
        Generator(seed)


@pytest.mark.parametrize("draw", ["uniform", "mask", "bernoulli", "normal"])
@pytest.mark.parametrize("first,n,total", [(0, 5, 5), (0, 8, 40), (3, 9, 40), (8, 16, 40), (19, 2, 41), (20, 21, 41),
                                           (13, 1000, 3001), (40, 0, 40)])
def test_a_part_of_a_draw_is_that_part_of_the_whole(any_backend, dtype, draw, first, n, total):
    be, key = any_backend, (5, 6, any_backend.asarray([7]))
    whole, part = be.empty((total,), dtype), be.empty((n,), dtype)
    if draw == "normal":
        be.philox_normal(whole, *key)
        be.philox_normal(part, *key, first, total)
    elif draw == "uniform":
        be.philox_uniform(whole, *key)
        be.philox_uniform(part, *key, first)
    else:
        kernel = be.philox_mask if draw == "mask" else be.philox_bernoulli
        args = [(0.3, 2.0)] * 2 if draw == "mask" else [(be.asarray(np.full(k, 0.3, dtype)),) for k in (total, n)]
        kernel(whole, *args[0], *key)
        kernel(part, *args[1], *key, first)
    expected = be.to_host(whole)[first:first + n]
    if draw == "normal":  # a library's sine may depend on where in an array a number stands, by a bit
        np.testing.assert_allclose(be.to_host(part), expected, rtol=4 * np.finfo(dtype).eps, atol=np.finfo(dtype).eps)
    else:
        np.testing.assert_array_equal(be.to_host(part), expected)
