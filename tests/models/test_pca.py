"""PCA against scikit-learn and against its definition."""

from __future__ import annotations

import numpy as np
import pytest

from miniae.models.pca import PCA
from miniae.training.estimator import NotFittedError


@pytest.fixture(scope="module")
def digits():
    datasets = pytest.importorskip("sklearn.datasets", reason="the reference is scikit-learn")
    return datasets.load_digits().data / 16


@pytest.mark.parametrize("components", [1, 8, 32, 64])
def test_digits_as_scikit_learn(digits, components):
    from sklearn.decomposition import PCA as Reference

    train, test = digits[:1400], digits[1400:]
    reference = Reference(components, svd_solver="full").fit(train)
    pca = PCA(components).fit(train)
    np.testing.assert_allclose(pca.mean_, reference.mean_, atol=1e-12)
    np.testing.assert_allclose(pca.explained_variance_, reference.explained_variance_, atol=1e-12)
    np.testing.assert_allclose(pca.explained_variance_ratio_, reference.explained_variance_ratio_, atol=1e-12)
    projected = reference.inverse_transform(reference.transform(test))
    np.testing.assert_allclose(pca.reconstruct(test), projected, atol=1e-10)
    if components < 60:  # a few pixels are always 0: the last directions are not determined
        np.testing.assert_allclose(pca.components_, reference.components_, atol=1e-10)
        np.testing.assert_allclose(pca.transform(test), reference.transform(test), atol=1e-10)


def test_fewer_samples_than_features(digits):
    from sklearn.decomposition import PCA as Reference

    few = digits[:20]
    reference, pca = Reference(5, svd_solver="full").fit(few), PCA(5).fit(few)
    np.testing.assert_allclose(pca.components_, reference.components_, atol=1e-10)
    np.testing.assert_allclose(pca.explained_variance_, reference.explained_variance_, atol=1e-12)
    np.testing.assert_allclose(pca.explained_variance_ratio_, reference.explained_variance_ratio_, atol=1e-12)


def test_both_ways_to_the_components_agree():
    x = np.random.default_rng(0).normal(size=(30, 30)) * np.linspace(1, 3, 30)
    square, wide = PCA(4).fit(x), PCA(4).fit(np.hstack([x, np.zeros((30, 1))]))
    np.testing.assert_allclose(wide.components_[:, :30], square.components_, atol=1e-9)
    np.testing.assert_allclose(wide.explained_variance_, square.explained_variance_, rtol=1e-9)


def test_components_are_orthonormal_and_signs_fixed():
    x = np.random.default_rng(1).normal(size=(200, 12)) @ np.random.default_rng(2).normal(size=(12, 12))
    pca = PCA(6).fit(x)
    np.testing.assert_allclose(pca.components_ @ pca.components_.T, np.eye(6), atol=1e-12)
    largest = pca.components_[np.arange(6), np.abs(pca.components_).argmax(axis=1)]
    assert (largest > 0).all()
    np.testing.assert_allclose(PCA(6).fit(x[::-1]).components_, pca.components_, atol=1e-10)


def test_code_variances_are_the_explained_ones_and_codes_uncorrelated():
    x = np.random.default_rng(3).normal(size=(500, 7)) * np.arange(1, 8)
    pca = PCA(3).fit(x)
    np.testing.assert_allclose(np.cov(pca.transform(x).T), np.diag(pca.explained_variance_), atol=1e-9)


def test_all_components_lose_nothing_and_score_is_the_squared_error():
    x = np.random.default_rng(4).normal(size=(60, 9))
    np.testing.assert_allclose(PCA(9).fit(x).reconstruct(x), x, atol=1e-12)
    pca = PCA(2).fit(x)
    errors = np.square(x - pca.reconstruct(x)).sum(axis=1)
    np.testing.assert_allclose(pca.score_samples(x), -errors, atol=1e-12)
    assert pca.score(x) == pytest.approx(-errors.mean())
    # What is lost in the fitted data is the variance that was left out.
    lost = np.trace(np.cov(x.T)) - pca.explained_variance_.sum()
    assert errors.sum() / 59 == pytest.approx(lost)


@pytest.mark.parametrize(("given", "expected"), [("float32", "float32"), ("float64", "float64"), ("uint8", "float32")])
def test_dtypes_and_shapes_of_images(given, expected):
    x = np.random.default_rng(5).integers(0, 255, size=(40, 1, 4, 5)).astype(given)
    pca = PCA(3).fit(x)
    assert pca.transform(x).shape == (40, 3)
    assert pca.transform(x).dtype == expected
    assert pca.reconstruct(x).shape == x.shape
    assert pca.reconstruct(x).dtype == expected
    assert pca.mean_.dtype == pca.components_.dtype == np.float64
    assert pca.n_features_in_ == 20


def test_samples_are_taken_in_parts(monkeypatch):
    x = np.random.default_rng(6).normal(size=(50, 6))
    whole = PCA(2).fit(x)
    monkeypatch.setattr("miniae.models.pca._CHUNK", 7)
    parts = PCA(2).fit(x)
    np.testing.assert_allclose(parts.components_, whole.components_, atol=1e-12)
    np.testing.assert_allclose(parts.reconstruct(x), whole.reconstruct(x), atol=1e-12)
    np.testing.assert_allclose(parts.score_samples(x), whole.score_samples(x), atol=1e-12)


def test_data_that_do_not_vary():
    pca = PCA(2).fit(np.full((5, 3), 7.0))
    np.testing.assert_array_equal(pca.explained_variance_, 0.0)
    np.testing.assert_array_equal(pca.explained_variance_ratio_, 0.0)
    np.testing.assert_allclose(pca.reconstruct(np.full((1, 3), 7.0)), 7.0)
    np.testing.assert_allclose(PCA(1).fit([[1.0, 2.0]]).reconstruct([[1.0, 2.0]]), [[1.0, 2.0]])


@pytest.mark.parametrize("components", [0, -1, 4, 2.0, True, None])
def test_a_number_of_components_that_can_not_be(components):
    with pytest.raises(ValueError, match=r"expected a whole number from 1 to 3, the smaller one of 8 samples"):
        PCA(components).fit(np.zeros((8, 3)))


def test_damaged_data():
    x = np.random.default_rng(7).normal(size=(10, 4))
    with pytest.raises(NotFittedError, match="call fit"):
        PCA(2).transform(x)
    with pytest.raises(NotFittedError, match="call fit"):
        PCA(2).inverse_transform(x)
    pca = PCA(2).fit(x)
    with pytest.raises(ValueError, match=r"samples of shape \(3,\)"):
        pca.transform(x[:, :3])
    with pytest.raises(ValueError, match="codes has samples of shape"):
        pca.inverse_transform(x)
    x[3, 1] = np.nan
    with pytest.raises(ValueError, match=r"nan at index \(3, 1\)"):
        PCA(2).fit(x)
    with pytest.raises(ValueError, match="expected \\(samples, features\\)"):
        PCA(1).fit(np.zeros(5))


def test_is_an_estimator():
    assert PCA(3).get_params() == {"components": 3}
    assert PCA(3).set_params(components=5).components == 5
    assert repr(PCA(3)) == "PCA(components=3)"
