"""Metrics against hand-worked values, scikit-learn, and figures known for MNIST and the digits."""

from __future__ import annotations

import gzip
import math

import numpy as np
import pytest

from miniae.models.pca import PCA
from miniae.report import bce, bce_floor, knn_accuracy, metrics, mse, psnr, squared_error, squared_errors, ssim


@pytest.fixture(scope="module")
def mnist(data_dir):
    """Training and test images in [0, 1]: (60000, 784), (10000, 784)."""
    def read(name):
        with gzip.open(data_dir / "mnist" / f"{name}-images-idx3-ubyte.gz") as file:
            return np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 784).astype(np.float32) / 255

    return read("train"), read("t10k")


@pytest.fixture(scope="module")
def digits():
    """The digits in [0, 1], the last 397 for testing: (1400, 64), (397, 64)."""
    datasets = pytest.importorskip("sklearn.datasets", reason="the digits come with scikit-learn")
    x = datasets.load_digits().data / 16
    return x[:1400], x[1400:]


def test_mnist_anchors(mnist):
    train, test = mnist
    pca = PCA(30).fit(train)
    # Hinton and Salakhutdinov, Science 313, 2006, print 13.87 for 30 components.
    assert squared_error(test, pca.reconstruct(test)) == pytest.approx(13.87, abs=0.02)
    assert squared_error(test, np.broadcast_to(pca.mean_, test.shape)) == pytest.approx(52.9, abs=0.05)
    assert bce_floor(test) == pytest.approx(45.53, abs=0.01)
    assert bce(test, np.broadcast_to(pca.mean_, test.shape)) == pytest.approx(205.9, abs=0.2)


# Measured with sklearn.decomposition.PCA(k, svd_solver="full") fitted on the first 1400.
@pytest.mark.parametrize(("components", "expected"), [(2, 3.344636), (8, 1.597295), (16, 0.788120), (32, 0.174692)])
def test_digits_anchors(digits, components, expected):
    from sklearn.decomposition import PCA as Reference

    train, test = digits
    assert squared_error(test, PCA(components).fit(train).reconstruct(test)) == pytest.approx(expected, abs=1e-5)
    reference = Reference(components, svd_solver="full").fit(train)
    projected = reference.inverse_transform(reference.transform(test))
    assert squared_error(test, projected) == pytest.approx(expected, abs=1e-5)


def test_digits_mean_and_entropy(digits):
    train, test = digits
    assert squared_error(test, np.broadcast_to(train.mean(0), test.shape)) == pytest.approx(4.704520, abs=1e-5)
    stats = pytest.importorskip("scipy.stats", reason="the reference is SciPy's entropy")
    floor = stats.entropy(np.stack([test, 1 - test]), axis=0).sum(axis=1).mean()
    assert bce_floor(test) == pytest.approx(floor, rel=1e-12)
    assert bce_floor(test) == pytest.approx(13.391165, abs=1e-5)


def test_by_hand():
    x, y = np.array([[0.0, 1.0], [0.5, 0.5]]), np.array([[0.0, 0.0], [0.5, 0.0]])
    np.testing.assert_allclose(squared_errors(x, y), [1.0, 0.25])
    assert squared_error(x, y) == 0.625
    assert mse(x, y) == 0.3125
    assert psnr(x, y) == pytest.approx(-10 * math.log10(0.3125))
    assert psnr(255 * x, 255 * y, peak=255) == pytest.approx(psnr(x, y))
    assert psnr(x, x) == math.inf
    p = np.array([[0.25, 0.5], [0.5, 0.8]])
    by_hand = -(math.log(0.75) + math.log(0.5) + math.log(0.5) + 0.5 * math.log(0.8) + 0.5 * math.log(0.2)) / 2
    assert bce(x, p) == pytest.approx(by_hand)
    assert bce_floor(x) == pytest.approx(math.log(2))


def test_zeros_and_ones_cost_nothing_and_a_wrong_one_much():
    x = np.array([[0.0, 1.0, 1.0]])
    assert bce_floor(x) == 0.0
    assert bce(x, x) == 0.0
    assert bce(x, 1 - x) == pytest.approx(-3 * math.log(1e-7))


def test_bce_agrees_with_the_loss_that_is_trained():
    from miniae import functions as F

    rng = np.random.default_rng(0)
    x, p = rng.random((9, 5)), rng.uniform(0.01, 0.99, (9, 5))
    assert bce(x, p) == pytest.approx(float(F.binary_cross_entropy(p, x).numpy()), rel=1e-12)
    assert squared_error(x, p) == pytest.approx(float(F.squared_error(p, x).numpy()), rel=1e-12)


def test_nothing_beats_the_floor():
    rng = np.random.default_rng(1)
    x = rng.random((20, 6))
    for _ in range(5):
        assert bce(x, np.clip(x + rng.normal(0, 0.05, x.shape), 0, 1)) > bce_floor(x)


def test_images_bytes_and_parts(monkeypatch):
    rng = np.random.default_rng(2)
    x, y = rng.integers(0, 256, (2, 11, 1, 4, 3), dtype=np.uint8)
    by_hand = np.square(x.astype(float) - y).sum(axis=(1, 2, 3))
    np.testing.assert_array_equal(squared_errors(x, y), by_hand)
    whole = bce(x / 255, y / 255)
    monkeypatch.setattr(metrics, "_CHUNK", 30)  # two samples at a time, then one
    np.testing.assert_array_equal(squared_errors(x, y), by_hand)
    assert bce(x / 255, y / 255) == pytest.approx(whole, rel=1e-12)


def test_float32_is_summed_in_float64():
    x = np.zeros((1, 1_000_000), np.float32)
    y = np.full_like(x, 1e-4)
    y[0, 0] = 1e4
    assert squared_error(x, y) - 1e8 == pytest.approx(999_999 * float(np.float32(1e-4)) ** 2, rel=1e-3)


@pytest.mark.parametrize("metric", [squared_error, squared_errors, mse, psnr, bce])
def test_shapes_must_be_the_same(metric):
    with pytest.raises(ValueError, match=r"\(3, 2\), the reconstruction \(3, 1\): they must be the same"):
        metric(np.zeros((3, 2)), np.zeros((3, 1)))
    with pytest.raises(ValueError, match="there is nothing in it"):
        metric(np.zeros((0, 2)), np.zeros((0, 2)))


def test_damaged_values():
    good = np.full((2, 2), 0.5)
    with pytest.raises(ValueError, match=r"x ranges from 0 to 2, expected values in \[0, 1\]"):
        bce(np.array([[0.0, 2.0]]), np.array([[0.5, 0.5]]))
    with pytest.raises(ValueError, match="p ranges from -0.1"):
        bce(good, good - 0.6)
    with pytest.raises(ValueError, match="nan at index"):
        squared_error(good, np.full((2, 2), np.nan))
    with pytest.raises(TypeError, match="expected numbers"):
        mse(good, np.array([["a", "b"], ["c", "d"]]))
    for peak in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="peak is"):
            psnr(good, good, peak=peak)


def similarity_by_brute_force(x, y, peak):
    """Wang et al. 2004, equation 13, place by place."""
    weights = np.exp(-0.5 * np.square(np.arange(-5, 6) / 1.5))
    weights = np.outer(weights, weights) / weights.sum() ** 2
    c1, c2, values = (0.01 * peak) ** 2, (0.03 * peak) ** 2, []
    for i in range(x.shape[0] - 10):
        for j in range(x.shape[1] - 10):
            a, b = x[i:i + 11, j:j + 11], y[i:i + 11, j:j + 11]
            ma, mb = (weights * a).sum(), (weights * b).sum()
            va, vb = (weights * (a - ma) ** 2).sum(), (weights * (b - mb) ** 2).sum()
            cov = (weights * (a - ma) * (b - mb)).sum()
            values.append((2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2)))
    return np.mean(values)


def test_structural_similarity(monkeypatch):
    rng = np.random.default_rng(3)
    x = rng.random((3, 2, 13, 12))
    y = np.clip(x + rng.normal(0, 0.2, x.shape), 0, 1)
    each = [similarity_by_brute_force(a, b, 1.0) for a, b in zip(x.reshape(6, 13, 12), y.reshape(6, 13, 12),
                                                                 strict=True)]
    assert ssim(x, y) == pytest.approx(np.mean(each), rel=1e-10)
    assert ssim(x.reshape(3, -1), y.reshape(3, -1), (2, 13, 12)) == ssim(x, y)
    assert ssim(255 * x, 255 * y, peak=255) == pytest.approx(ssim(x, y))
    assert ssim(x[:, 0], x[:, 0]) == pytest.approx(1.0)
    assert ssim(x, 1 - x) < 0 < ssim(x, y) < 1
    whole = ssim(x, y)
    monkeypatch.setattr(metrics, "_CHUNK", 700)  # two samples at a time, then one
    assert ssim(x, y) == pytest.approx(whole, rel=1e-12)
    with pytest.raises(ValueError, match="at least 11 x 11 pixels"):
        ssim(x[:, :, :10], y[:, :, :10])
    with pytest.raises(ValueError, match="expected .height, width."):
        ssim(x.reshape(3, -1), y.reshape(3, -1))
    with pytest.raises(ValueError, match="they must be as many"):
        ssim(x, y[:2])


def test_nearest_neighbours_by_hand():
    codes, labels = np.array([[0.0], [1.0], [2.0], [10.0], [11.0]]), np.array(["a", "a", "b", "b", "b"])
    assert knn_accuracy(codes, labels, [[0.4], [2.2], [10.4]], ["a", "b", "b"], k=1) == 1.0
    assert knn_accuracy(codes, labels, [[0.4], [2.2], [10.4]], ["a", "a", "b"], k=3) == 1.0
    assert knn_accuracy(codes, labels, [[0.4], [2.2]], ["b", "b"], k=5) == 1.0  # the whole of it: three b, two a
    assert knn_accuracy(codes, labels, [[1.5]], ["a"], k=4) == 1.0  # a, a, b, b: the first by name
    for wrong, message in ((([[0.0, 1.0]], ["a"]), "test codes 2"), (([[0.0]], ["a", "b"]), "one for each")):
        with pytest.raises(ValueError, match=message):
            knn_accuracy(codes, labels, *wrong)
    far = np.random.default_rng(0).random((20, 2)) + 1e8
    assert knn_accuracy(far, np.arange(20), far, np.arange(20), k=1) == 1.0
    with pytest.raises(ValueError, match="k must be an integer"):
        knn_accuracy(codes, labels, codes, labels, k=1.5)
    for k in (0, 6):
        with pytest.raises(ValueError, match="number of neighbours from 1 to 5"):
            knn_accuracy(codes, labels, codes, labels, k=k)


@pytest.mark.parametrize("k", [1, 4, 7])
def test_nearest_neighbours_against_scikit_learn(k):
    neighbors = pytest.importorskip("sklearn.neighbors", reason="compared with scikit-learn")
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((700, 3)), rng.integers(0, 4, 700)
    theirs = neighbors.KNeighborsClassifier(k).fit(x[:400], y[:400]).score(x[400:], y[400:])
    assert knn_accuracy(x[:400], y[:400], x[400:], y[400:], k) == pytest.approx(theirs)
