"""Scaling, splitting, corruption."""

from __future__ import annotations

import numpy as np
import pytest

from miniae.data import balanced, gaussian_noise, make_scaler, masking, salt_and_pepper, scaler_from, split

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


def test_rounding_is_no_variation_but_small_numbers_are():
    x = np.array([[0.1 + 0.2], [0.3]]).repeat(50, axis=0)
    np.testing.assert_allclose(make_scaler("standard").fit(x).transform(x), 0, atol=1e-9)
    tiny = RNG.standard_normal((500, 1)) * 1e-12
    np.testing.assert_allclose(make_scaler("standard").fit(tiny).transform(tiny).std(), 1, rtol=1e-9)


@pytest.mark.parametrize("name", ["minmax", "standard"])
def test_features_far_from_0_keep_their_digits(name):
    """Times in seconds since 1970: float32 tells only every 128th second apart."""
    times = np.arange(1_700_000_000, 1_700_000_101)[:, None]
    expected = np.linspace(0, 1, 101) if name == "minmax" else (np.arange(101) - 50) / np.arange(101).std()
    for x in (times, times.astype(np.float64)):
        np.testing.assert_allclose(make_scaler(name).fit(x).transform(x)[:, 0], expected, atol=1e-6)
    # Of the digits that float32 has, none is lost.
    exact = 128.0 * np.arange(2**23, 2**23 + 100)[:, None]
    x = exact.astype(np.float32)
    assert (x == exact).all()
    np.testing.assert_allclose(make_scaler(name).fit(x).transform(x), make_scaler(name).fit(exact).transform(exact),
                               rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["minmax", "standard"])
def test_scaling_back_gives_the_digits_back(name):
    times = np.arange(1_700_000_000, 1_700_000_101)[:, None]
    scaler = make_scaler(name).fit(times)
    back = scaler.inverse_transform(scaler.transform(times))
    assert back.dtype == np.float64 and np.abs(back - times).max() < 0.01


def test_rounding_noise_of_large_numbers_stays_small():
    """Neighbouring float32 numbers differ by 128 here, which would swamp all other features."""
    x = (1.7e9 + 128 * np.arange(6)).astype(np.float32)[:, None]
    assert np.abs(make_scaler("standard").fit(x).transform(x)).max() < 1e-5


def test_minmax_never_leaves_its_interval():
    x = (RNG.standard_normal((300, 200)) * 10.0 ** RNG.uniform(-30, 30, 200)).astype(np.float32)
    scaled = make_scaler("minmax").fit(x).transform(x)
    assert scaled.dtype == np.float32 and (scaled.min(0) == 0).all() and (scaled.max(0) == 1).all()


@pytest.mark.parametrize("name", ["minmax", "standard"])
def test_scalings_refuse_what_they_can_not_scale(name):
    with pytest.raises(ValueError, match="call fit"):
        make_scaler(name).transform(np.ones((2, 2)))
    with pytest.raises(ValueError, match="at least one sample"):
        make_scaler(name).fit(np.ones((0, 2)))
    fitted = make_scaler(name).fit(RNG.random((4, 3)))
    assert fitted.transform(np.ones((0, 3))).shape == (0, 3)
    for width in (1, 2):
        with pytest.raises(ValueError, match="fitted to"):
            fitted.transform(np.ones((2, width)))
    with pytest.raises(ValueError, match="expected offset and scale"):
        scaler_from(name, {"offset": np.zeros(3)})


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


def test_as_many_of_each_label():
    labels = np.array(["a"] * 50 + ["b"] * 30 + ["c"] * 3)
    for n, counts in ((9, [3, 3, 3]), (15, [6, 6, 3]), (83, [50, 30, 3])):
        rows = balanced(labels, n, seed=1)
        assert len(np.unique(rows)) == n and (np.diff(rows) > 0).all()
        assert [(labels[rows] == kind).sum() for kind in "abc"] == counts
        np.testing.assert_array_equal(balanced(labels, n, seed=1), rows)
    assert (balanced(labels, 9, seed=2) != balanced(labels, 9, seed=1)).any()
    drawn = [labels[balanced(labels, 4, seed)] for seed in range(30)]
    assert {next(kind for kind in "abc" if (d == kind).sum() == 2) for d in drawn} == set("abc")  # by chance
    np.testing.assert_array_equal(np.unique(np.concatenate([balanced(labels, 9, seed) for seed in range(200)])),
                                  np.arange(83))
    for n in (2, 84):
        with pytest.raises(ValueError, match=f"can't draw {n} of 83 samples with 3 labels"):
            balanced(labels, n)


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
    for disturb in (gaussian_noise, masking, salt_and_pepper):
        before = x.copy()
        assert disturb(x).base is not x and disturb(x.astype(np.float64)).dtype == np.float64
        assert disturb(np.ones((2, 2), np.uint8)).dtype == np.float32
        np.testing.assert_array_equal(x, before)
    for rate in (-0.1, 1.1):
        with pytest.raises(ValueError, match="rate"):
            masking(x, rate)
    with pytest.raises(ValueError, match="standard deviation"):
        gaussian_noise(x, -1)
