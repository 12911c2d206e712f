"""Draws from priors against what is known of their distributions."""

from __future__ import annotations

import numpy as np
import pytest

from miniae.backend import get
from miniae.backend.philox import Generator
from miniae.models import PRIORS, Gaussian, GaussianMixture, Prior, SwissRoll, get_prior

N = 20000


def draw(prior, n=N, size=2, seed=1, labels=None, dtype="float64", backend=None):
    return get(backend).to_host(prior.draw(n, size, seed, labels, dtype, backend))


@pytest.mark.parametrize("prior", [Gaussian(), GaussianMixture(), SwissRoll(), GaussianMixture(3, 1.0), SwissRoll(4)])
def test_the_mean_square(prior):
    """By the central limit theorem, within 4 standard errors."""
    for size in (2, 5):
        lengths = np.square(draw(prior, size=size)).sum(1)
        assert abs(lengths.mean() - prior.mean_square(size)) < 4 * lengths.std() / np.sqrt(N)


@pytest.mark.parametrize("prior", [Gaussian(), GaussianMixture(), SwissRoll(), GaussianMixture(1, 5.0), SwissRoll(4),
                                   SwissRoll(turns=0.5), SwissRoll(turns=0.0), GaussianMixture(2)])
def test_the_mean_and_the_distance_of_two_draws(prior):
    """Within 4 standard errors; a prior may lie anywhere, and its draws are as far apart as before."""
    for size in (2, 5):
        z = draw(prior, size=size)
        assert (np.abs(z.mean(0) - prior.mean(size)) < 4.5 * z.std(0) / np.sqrt(N) + 1e-6).all()
        apart = np.square(z[::2] - z[1::2]).sum(1)
        assert abs(apart.mean() - prior.mean_squared_distance(size)) < 4 * apart.std() / np.sqrt(N / 2)


@pytest.mark.parametrize("prior", [Gaussian(), GaussianMixture(), SwissRoll()])
def test_shapes_dtypes_and_determinism(prior, backend):
    for n in (0, 1, 7):
        for dtype in ("float32", "float64"):
            z = draw(prior, n, 3, dtype=dtype)
            assert z.shape == (n, 3) and z.dtype == dtype
    np.testing.assert_allclose(draw(prior, 50, 3), draw(prior, 50, 3, backend="numpy"), rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(draw(prior, 50, 3), draw(prior, 50, 3))
    assert (draw(prior, 50, 3) != draw(prior, 50, 3, seed=2)).all()
    source = Generator(1, "prior")
    first, second = (get().to_host(prior.draw(50, 3, source, None, "float64")) for _ in range(2))
    np.testing.assert_array_equal(first, draw(prior, 50, 3))
    assert (first != second).all()


@pytest.mark.parametrize("prior", [Gaussian(), GaussianMixture(), SwissRoll()])
def test_further_numbers_are_standard_normal(prior):
    z = draw(prior, size=6)
    rest = z[:, 0 if isinstance(prior, Gaussian) else 2:]
    covariance = np.cov(z.T)[-rest.shape[1]:]
    np.testing.assert_allclose(rest.mean(0), 0, atol=4 / np.sqrt(N))
    np.testing.assert_allclose(covariance[:, -rest.shape[1]:], np.eye(rest.shape[1]), atol=6 / np.sqrt(N))
    np.testing.assert_allclose(covariance[:, :-rest.shape[1]], 0, atol=10 / np.sqrt(N))


@pytest.mark.parametrize("components", [1, 3, 10])
def test_each_component_is_its_petal(components, backend):
    """Mean and covariance of every component, in axes along and across its direction."""
    prior, n = GaussianMixture(components), 4000
    for k in range(components):
        z = draw(prior, n, labels=np.full(n, k))
        a = 2 * np.pi * k / components
        turned = z @ np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
        stds = np.array([prior.radial, prior.tangential])
        np.testing.assert_array_less(np.abs(turned.mean(0) - [prior.distance, 0]), 4 * stds / np.sqrt(n))
        np.testing.assert_allclose(turned.std(0), stds, rtol=4 / np.sqrt(2 * n))
        assert abs(np.corrcoef(turned.T)[0, 1]) < 4 / np.sqrt(n)


def test_all_components_are_equally_probable(backend):
    z = draw(GaussianMixture(radial=0.01, tangential=0.01), dtype="float32")
    k = np.rint(np.arctan2(z[:, 1], z[:, 0]) / (2 * np.pi / 10)).astype(int) % 10
    np.testing.assert_allclose(np.bincount(k, minlength=10), N / 10, rtol=4 * np.sqrt(9 / N))


def test_the_roll(backend):
    """Without width, draws lie on the spiral; the part of a label is the stretch it says."""
    prior = SwissRoll(std=0.0)
    labels = np.arange(N) % 10
    z = draw(prior, labels=labels)
    s = np.hypot(*z.T) / prior.radius
    np.testing.assert_allclose(z, (prior.radius * s * [np.cos(4 * np.pi * s), np.sin(4 * np.pi * s)]).T, atol=1e-12)
    np.testing.assert_array_equal(np.floor(10 * s * s).astype(int), labels)
    whole = np.square(np.hypot(*draw(prior).T) / prior.radius)  # uniform
    assert abs(whole.mean() - 0.5) < 4 * np.sqrt(1 / 12 / N) and whole.max() < 1
    np.testing.assert_allclose(np.histogram(whole, 10, (0, 1))[0], N / 10, rtol=4 * np.sqrt(9 / N))


@pytest.mark.parametrize("prior", [GaussianMixture(), SwissRoll()])
def test_unlabelled_rows_use_the_whole_prior(prior, backend):
    labels = np.where(np.arange(N) % 2, -1, 3)
    z, without, of_three = draw(prior, labels=labels), draw(prior), draw(prior, labels=np.full(N, 3))
    np.testing.assert_array_equal(z[1::2], without[1::2])
    np.testing.assert_array_equal(z[::2], of_three[::2])
    on_device = get().asarray(labels, "int64")
    np.testing.assert_array_equal(draw(prior, labels=on_device), z)


def test_names_and_settings():
    assert set(PRIORS) >= {"gaussian", "mixture", "swiss_roll"}
    for name in ("gaussian", "mixture", "swiss_roll"):
        assert get_prior(name) == PRIORS[name]() and get_prior(name).config()["name"] == name
    prior = GaussianMixture(4, distance=3.0)
    assert get_prior(prior) is prior and get_prior(prior.config()) == prior != GaussianMixture(4)
    assert repr(prior) == "GaussianMixture(components=4, distance=3.0, radial=0.5, tangential=0.15)"
    assert isinstance(prior, Prior)


def test_bad_input():
    for wrong in ("normal", None, 3, {"components": 3}):
        with pytest.raises(ValueError, match="unknown prior .*: expected one of gaussian, mixture, swiss_roll"):
            get_prior(wrong)
    for prior in (GaussianMixture(), SwissRoll()):
        with pytest.raises(ValueError, match="codes of 2 numbers or more, got code=1"):
            prior.draw(3, 1)
        with pytest.raises(ValueError, match="labels range from 0 to 10, but this .* has 10 parts"):
            prior.draw(2, 2, labels=[0, 10])
        with pytest.raises(ValueError, match="from -2"):
            prior.draw(2, 2, labels=[-2, 0])
        with pytest.raises(ValueError, match="expected one integer for each of the 3 codes"):
            prior.draw(3, 2, labels=[0, 1])
        with pytest.raises(ValueError, match="expected one integer"):
            prior.draw(2, 2, labels=[0.5, 1.0])
    with pytest.raises(ValueError, match="0 parts"):
        Gaussian().draw(2, 2, labels=[0, 1])
    with pytest.raises(ValueError, match="components must be an integer"):
        GaussianMixture(0)
    with pytest.raises(ValueError, match="std must be a finite number"):
        SwissRoll(std=-1)
