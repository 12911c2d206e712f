"""Initial weights: their variance, their structure, and that they repeat."""

from __future__ import annotations

import math

import numpy as np
import pytest

from miniae.nn.init import INITIALIZERS, fans, get_initializer, sparse

DENSE, CONV = (300, 200), (40, 30, 5, 3)

VARIANCES = {
    "glorot_uniform": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "glorot_normal": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "he_uniform": lambda fan_in, fan_out: 2 / fan_in,
    "he_normal": lambda fan_in, fan_out: 2 / fan_in,
    "lecun_uniform": lambda fan_in, fan_out: 1 / fan_in,
    "lecun_normal": lambda fan_in, fan_out: 1 / fan_in,
    "normal": lambda fan_in, fan_out: 0.01**2,
}


def test_fans():
    assert fans(DENSE) == (300, 200)
    assert fans(CONV) == (30 * 15, 40 * 15)
    with pytest.raises(ValueError, match="got shape \\(3,\\)"):
        fans((3,))


@pytest.mark.parametrize("shape", [DENSE, CONV])
@pytest.mark.parametrize("name", VARIANCES)
def test_mean_and_variance(name, shape):
    drawn = get_initializer(name)(shape, 0, "w")
    variance = VARIANCES[name](*fans(shape))
    assert abs(drawn.mean()) < 4 * math.sqrt(variance / drawn.size)
    # The variance of a sample variance is at most 2/n of its square, that of normal numbers.
    assert drawn.var() == pytest.approx(variance, rel=4 * math.sqrt(2 / drawn.size))
    if name.endswith("uniform"):
        limit = math.sqrt(3 * variance)
        assert 0.99 * limit < abs(drawn).max() < limit


@pytest.mark.parametrize("shape", [(40, 12), (12, 40), (7, 7), (8, 3, 2, 2), (20, 3, 2, 2)])
def test_orthogonal(shape):
    w = get_initializer("orthogonal")(shape, 0, "w")
    matrix = w if w.ndim == 2 else w.reshape(len(w), -1)
    product = matrix.T @ matrix if matrix.shape[0] >= matrix.shape[1] else matrix @ matrix.T
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-12)


@pytest.mark.parametrize("shape, inputs, units", [((100, 30), 100, 30), ((10, 30), 10, 30), ((30, 4, 3, 3), 36, 30)])
def test_sparse(shape, inputs, units):
    w = sparse(shape, 0, "w")
    incoming = w if w.ndim == 2 else w.reshape(units, inputs).T
    assert ((incoming != 0).sum(axis=0) == min(15, inputs)).all()
    assert incoming[incoming != 0].std() == pytest.approx(1.0, abs=0.15)
    assert ((sparse(shape, 0, "w", connections=3) != 0).sum()) == 3 * units
    if inputs > 15:
        assert len({tuple(np.flatnonzero(column)) for column in incoming.T}) > 1, "each unit has inputs of its own"


@pytest.mark.parametrize("name", INITIALIZERS)
def test_repeats_by_seed_and_stream(name):
    draw = get_initializer(name)
    assert draw(DENSE, 3, "a").shape == DENSE
    assert draw(DENSE, 3, "a").dtype == np.float64
    np.testing.assert_array_equal(draw(DENSE, 3, "a"), draw(DENSE, 3, "a"))
    if name == "zeros":
        assert not draw(DENSE, 3, "a").any()
    else:
        assert (draw(DENSE, 3, "a") != draw(DENSE, 4, "a")).any()
        assert (draw(DENSE, 3, "a") != draw(DENSE, 3, "b")).any()


@pytest.mark.parametrize("name", INITIALIZERS)
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (1, 1)])
def test_empty_and_single(name, shape):
    assert get_initializer(name)(shape, 0, "w").shape == shape


def test_names():
    def mine(shape, seed, stream):
        return np.ones(shape)

    assert get_initializer(mine) is mine
    with pytest.raises(ValueError, match="unknown initializer 'xavier': expected one of glorot_uniform"):
        get_initializer("xavier")
