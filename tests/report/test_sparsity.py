"""Measures of sparseness by hand, and their ends."""

from __future__ import annotations

import numpy as np
import pytest

from miniae.report import active_fraction, dead_units, lifetime_sparsity, mean_activity, population_sparsity

CODES = np.array([[0.0, 1.0, 0.0, 3.0], [0.0, 1.0, 2.0, -1.0], [0.0, 1.0, 0.0, 0.5]])


def test_by_hand():
    np.testing.assert_allclose(mean_activity(CODES), [0, 1, 2 / 3, 1.5])
    assert active_fraction(CODES) == pytest.approx(7 / 12)
    assert active_fraction(CODES, 0.75) == pytest.approx(6 / 12)
    assert dead_units(CODES) == 1
    assert dead_units(CODES, threshold=1) == 2
    fourth = (1 - 1.5 ** 2 / ((9 + 1 + 0.25) / 3)) / (1 - 1 / 3)
    np.testing.assert_allclose(lifetime_sparsity(CODES), [np.nan, 0, 1, fourth], atol=1e-12)
    rows = [(1 - (total / 4) ** 2 / (power / 4)) / 0.75 for total, power in ((4, 10), (4, 6), (1.5, 1.25))]
    np.testing.assert_allclose(population_sparsity(CODES), rows)


def test_one_is_the_other_transposed_and_scale_does_not_matter():
    codes = np.random.default_rng(0).random((9, 5))
    np.testing.assert_allclose(population_sparsity(codes), lifetime_sparsity(codes.T))
    np.testing.assert_allclose(lifetime_sparsity(-1e3 * codes), lifetime_sparsity(codes))


def test_ends():
    np.testing.assert_allclose(population_sparsity(np.eye(6)), 1)
    np.testing.assert_allclose(population_sparsity(np.full((2, 6), 0.3)), 0, atol=1e-12)
    assert np.isnan(population_sparsity(np.zeros((1, 4)))).all()


def test_exponential_activities_have_a_half():
    """mean^2 / mean of squares is 1/2 for the exponential distribution."""
    codes = np.random.default_rng(1).exponential(2.0, (200_000, 2))
    np.testing.assert_allclose(lifetime_sparsity(codes), 0.5, atol=0.01)


def test_images_are_units_by_place():
    codes = np.random.default_rng(2).random((5, 2, 3, 4), dtype=np.float32)
    assert mean_activity(codes).shape == (24,)
    np.testing.assert_array_equal(population_sparsity(codes), population_sparsity(codes.reshape(5, 24)))


def test_refusals():
    with pytest.raises(ValueError, match="1 samples: sparseness over samples needs at least 2"):
        lifetime_sparsity(np.ones((1, 3)))
    with pytest.raises(ValueError, match="1 units"):
        population_sparsity(np.ones((3, 1)))
    with pytest.raises(ValueError, match="threshold must be a finite number of at least 0"):
        active_fraction(CODES, -1)
    with pytest.raises(ValueError, match="there is nothing in it"):
        mean_activity(np.zeros((0, 3)))
