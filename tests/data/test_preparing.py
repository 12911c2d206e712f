"""Scaling, splitting, corruption."""

from __future__ import annotations

import numpy as np
import pytest

from miniae.data import gaussian_noise, make_scaler, masking, salt_and_pepper, scaler_from, split

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("name", [None, "none", "minmax", "standard"])
@pytest.mark.parametrize("shape", [(50, 4), (20, 2, 3, 3), (1, 5)])
def test_scaling_is_undone_and_restored(name, shape):
    x = RNG.standard_normal(shape) * 10 + 3
    scaler = make_scaler(name).fit(x)
    np.testing.assert_allclose(scaler.inverse_transform(scaler.transform(x)), x, rtol=1e-9, atol=1e-9)
    again = scaler_from(name, scaler.state())
    np.testing.assert_array_equal(again.transform(x), scaler.transform(x))
    assert scaler.transform(x.astype(np.float32)).dtype == np.float32
    assert scaler.transform(np.ones(shape, np.uint8)).dtype == np.float32


def test_what_scaling_does():
    x = RNG.standard_normal((1000, 3)) * [1, 50, 0] + [5, -7, 1e6]
    standard = make_scaler("standard").fit(x).transform(x)
    np.testing.assert_allclose(standard.mean(0), 0, atol=1e-9)
    np.testing.assert_allclose(standard.std(0), [1, 1, 0], atol=1e-9)
    small = make_scaler("minmax").fit(x).transform(x)
    np.testing.assert_allclose(small.min(0), 0)
    np.testing.assert_allclose(small.max(0), [1, 1, 0])


def test_a_constant_of_inexact_sums_is_constant():
    x = np.full((1000, 1), 0.1)
    np.testing.assert_allclose(make_scaler("standard").fit(x).transform(x), 0, atol=1e-9)


def test_unknown_scaling():
    with pytest.raises(ValueError, match="none, minmax, standard"):
        make_scaler("robust")


def test_split():
    kept, held_out = split(100, 0.2, seed=3)
    assert len(kept) == 80 and len(held_out) == 20
    np.testing.assert_array_equal(np.sort(np.concatenate([kept, held_out])), np.arange(100))
    np.testing.assert_array_equal(split(100, 0.2, seed=3)[1], held_out)
    assert (split(100, 0.2, seed=4)[1] != held_out).any()
    assert [len(part) for part in split(2, 0.01)] == [1, 1]
    for n, fraction in ((1, 0.5), (10, 0.0), (10, 1.0)):
        with pytest.raises(ValueError, match="can't hold out"):
            split(n, fraction)


def test_corruption():
    x = RNG.random((200, 100)).astype(np.float32) * 0.5 + 0.25
    noisy = gaussian_noise(x, 0.3, seed=1)
    assert noisy.dtype == np.float32 and abs((noisy - x).std() - 0.3) < 0.01
    np.testing.assert_array_equal(gaussian_noise(x, 0.3, seed=1), noisy)
    assert (gaussian_noise(x, 0.3, seed=2) != noisy).any()
    masked = masking(x, 0.25)
    assert abs((masked == 0).mean() - 0.25) < 0.02 and (masked[masked != 0] == x[masked != 0]).all()
    grains = salt_and_pepper(x, 0.2)
    assert abs((grains == 0).mean() - 0.1) < 0.01 and abs((grains == 1).mean() - 0.1) < 0.01
    for rate in (-0.1, 1.1):
        with pytest.raises(ValueError, match="rate"):
            masking(x, rate)
    with pytest.raises(ValueError, match="standard deviation"):
        gaussian_noise(x, -1)
