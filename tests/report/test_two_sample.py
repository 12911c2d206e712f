"""Two-sample tests, on samples whose distributions are known."""

from __future__ import annotations

import numpy as np
import pytest

from miniae import functions as F
from miniae.report import classifier_test, mmd


def test_the_discrepancy_is_that_of_the_loss():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((40, 3)) + 0.5, rng.standard_normal((30, 3))
    pairs = np.square(b[:, None] - b).sum(2)
    usual = pairs.sum() / (30 * 29)
    scales = [usual * s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10)]
    found = mmd(a, b)
    assert found.value == pytest.approx(F.mmd(a, b, scales).item(), rel=1e-10)
    assert found.p == pytest.approx(1 / 201) and found.value > 3 * found.noise
    assert mmd(a, b) == found and mmd(a, b, seed=1).noise != found.noise


def test_chance_gives_every_p_alike():
    """Under no difference p is uniform: 60 of them, by their mean and their spread."""
    rng = np.random.default_rng(1)
    found = [mmd(*rng.standard_normal((2, 20, 2)), permutations=60) for _ in range(60)]
    p = np.array([f.p for f in found])
    assert abs(p.mean() - 0.5) < 4 * np.sqrt(1 / 12 / 60) and p.min() < 0.15 and p.max() > 0.85
    assert np.std([f.value for f in found]) == pytest.approx(np.mean([f.noise for f in found]), rel=0.4)


def test_a_classifier_tells_what_can_be_told():
    rng = np.random.default_rng(2)
    a, b, far = rng.standard_normal((400, 2)), rng.standard_normal((400, 2)), rng.standard_normal((400, 2)) + 6
    assert abs(classifier_test(a, b, epochs=10) - 0.5) < 4 * 0.5 / 20
    assert classifier_test(a, far, epochs=10) > 0.99
    ring = a / np.linalg.norm(a, axis=1, keepdims=True) * np.sqrt(2)  # the same mean and covariance
    assert classifier_test(ring, b) > 0.5 + 4 * 0.5 / 20
    assert classifier_test(a, b, epochs=2) == classifier_test(a, b, epochs=2)
    assert 0 <= classifier_test(a[:5], b[:5], epochs=1) <= 1


def test_bad_input():
    ok = np.random.default_rng(0).random((6, 2))
    for function in (mmd, classifier_test):
        with pytest.raises(ValueError, match=r"shapes \(6, 2\) and \(6, 3\), expected"):
            function(ok, np.zeros((6, 3)))
        with pytest.raises(ValueError, match="2 of each or more"):
            function(ok, ok[:1])
    with pytest.raises(ValueError, match="no scale"):
        mmd(ok, np.ones((4, 2)))
    with pytest.raises(ValueError, match="permutations must be"):
        mmd(ok, ok, permutations=0)
    with pytest.raises(ValueError, match="6 and 4 samples"):
        classifier_test(ok, ok[:4])
