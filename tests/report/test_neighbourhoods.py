"""Trustworthiness and continuity against scikit-learn and their definitions; accuracy of a map's neighbours."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from miniae.report import continuity, knn_accuracy, leave_one_out_accuracy, neighbourhoods, trustworthiness

RNG = np.random.default_rng(0)
X = RNG.standard_normal((300, 12))


def by_definition(x, codes, k):
    """Rank by rank, as Venna and Kaski write it."""
    def order(points, i):
        distances = [(np.sum((p - points[i]) ** 2), j) for j, p in enumerate(points) if j != i]
        return [j for _, j in sorted(distances)]

    n, intruded = len(x), 0
    for i in range(n):
        of_data, of_map = order(x, i), order(codes, i)
        intruded += sum(of_data.index(j) + 1 - k for j in of_map[:k] if j not in of_data[:k])
    return 1 - 2 / (n * k * (2 * n - 3 * k - 1)) * intruded


@pytest.mark.parametrize("k", [1, 3, 9])
def test_the_definition(k):
    x, codes = X[:20], X[:20, :2] + RNG.standard_normal((20, 2))
    assert trustworthiness(x, codes, k) == pytest.approx(by_definition(x, codes, k), abs=1e-12)
    assert continuity(x, codes, k) == pytest.approx(by_definition(codes, x, k), abs=1e-12)
    assert trustworthiness(x, codes, k) != continuity(x, codes, k)


@pytest.mark.parametrize("k", [1, 5, 40])
def test_scikit_learn(k):
    manifold = pytest.importorskip("sklearn.manifold", reason="the reference is scikit-learn's")
    codes = X[:, :2]
    assert trustworthiness(X, codes, k) == pytest.approx(manifold.trustworthiness(X, codes, n_neighbors=k), abs=1e-12)
    assert continuity(X, codes, k) == pytest.approx(manifold.trustworthiness(codes, X, n_neighbors=k), abs=1e-12)


def test_a_map_that_keeps_distances_and_one_by_lot():
    turn = np.linalg.qr(RNG.standard_normal((12, 12)))[0]
    assert trustworthiness(X, 3 * X @ turn + 5) == continuity(X, 3 * X @ turn + 5) == 1.0
    assert trustworthiness(np.ones((20, 3)), np.ones((20, 2))) == 1.0  # all equally near: none comes from afar
    by_lot = RNG.standard_normal((300, 2))
    assert trustworthiness(X, by_lot) == pytest.approx(0.5, abs=0.05)
    assert trustworthiness(X + 1e6, X[:, :2] + 1e6) == pytest.approx(trustworthiness(X, X[:, :2]), abs=1e-4)


def test_blocks_change_nothing_and_bound_memory(monkeypatch):
    whole = trustworthiness(X, X[:, :3], 7), leave_one_out_accuracy(X, X[:, 0] > 0)
    monkeypatch.setattr(neighbourhoods, "_BLOCK", 11)
    assert (trustworthiness(X, X[:, :3], 7), leave_one_out_accuracy(X, X[:, 0] > 0)) == whole
    many = RNG.random((10_000, 2))
    tracemalloc.start()
    accuracy = leave_one_out_accuracy(many, many[:, 0] > 0.5)
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert accuracy > 0.95 and used < 50e6  # all distances at once would be 800 MB


def test_leaving_one_out():
    codes = np.array([[0.0], [1.0], [2.0], [10.0], [11.0], [12.0]])
    labels = np.array(["a", "a", "a", "b", "b", "b"])
    assert leave_one_out_accuracy(codes, labels, 2) == 1.0
    assert leave_one_out_accuracy(codes, labels, 5) == 0.0  # two of one's own, three of the others
    assert leave_one_out_accuracy(codes, ["a", "b", "a", "b", "a", "b"], 1) == 0.0
    labels = RNG.integers(0, 3, 300)
    each = [knn_accuracy(np.delete(X, i, 0), np.delete(labels, i), X[i:i + 1], labels[i:i + 1]) for i in range(300)]
    assert leave_one_out_accuracy(X, labels) == pytest.approx(np.mean(each))


def test_what_is_refused():
    with pytest.raises(ValueError, match="data have 300 samples, the map 299"):
        trustworthiness(X, X[1:])
    with pytest.raises(ValueError, match="k is 5, expected less than half of the 10 samples"):
        continuity(X[:10], X[:10])
    with pytest.raises(ValueError, match="k must be an integer of at least 1"):
        trustworthiness(X, X, k=0)
    with pytest.raises(ValueError, match="k is 10, expected less than the 10 samples"):
        leave_one_out_accuracy(X[:10], np.arange(10), 10)
    with pytest.raises(ValueError, match=r"labels have shape \(9,\)"):
        leave_one_out_accuracy(X[:10], np.arange(9))
    with pytest.raises(ValueError, match="codes holds nan"):
        trustworthiness(X, np.full((300, 2), np.nan))
