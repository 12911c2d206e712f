"""How faithful a map is: whether samples that are near one another are near in it, and the other way round.

Host NumPy in float64, by blocks of samples: of 10,000 images of 784 pixels some 200 MB beside the data.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from miniae.training.estimator import check_count, check_samples

__all__ = ["continuity", "leave_one_out_accuracy", "majority", "nearness", "trustworthiness"]

# How many samples' distances to all others are held at once.
_BLOCK = 256


def trustworthiness(x: Any, codes: Any, k: int = 5) -> float:
    """Whether neighbours in a map are neighbours in the data: 1 where all are, some 0.5 in a map drawn by lot.

        T = 1 - 2 / (N k (2 N - 3 k - 1)) sum_i sum_{j in U_i} (r(i, j) - k)

    U_i are those of the k samples nearest to sample i in the map that are not among its k nearest in the data, r(i, j)
    is the rank of j by its distance from i in the data, 1 for the nearest. Distances are Euclidean; a rank is one more
    than the number of samples that are strictly nearer, so that a map which keeps all distances has T = 1.

    `x` (N, ...) are the data, `codes` (N, ...) their places in the map. Raises `ValueError` unless k is below N / 2,
    where the formula's scale ends. Venna and Kaski, "Neighborhood preservation in nonlinear projection methods: an
    experimental study", ICANN 2001.
    """
    x, codes = _two(x, codes)
    n = len(x)
    if 2 * check_count("k", k) >= n:
        raise ValueError(f"k is {k}, expected less than half of the {n} samples: ask for fewer neighbours, or give "
                         "more samples")
    intruded = 0
    for (_, far), (_, near) in zip(_from_others(x), _from_others(codes), strict=True):
        chosen = np.argpartition(near, k - 1, axis=1)[:, :k]
        for j in chosen.T:
            distance = far[np.arange(len(j)), j]
            rank = 1 + (far < distance[:, None]).sum(axis=1)
            intruded += int(np.maximum(rank - k, 0).sum())
    return 1.0 - 2.0 * intruded / (n * k * (2 * n - 3 * k - 1))


def continuity(x: Any, codes: Any, k: int = 5) -> float:
    """Whether neighbours in the data are neighbours in a map: `trustworthiness` with the two in each other's place.

        C = 1 - 2 / (N k (2 N - 3 k - 1)) sum_i sum_{j in V_i} (s(i, j) - k)

    V_i are those of the k samples nearest to sample i in the data that are not among its k nearest in the map, s(i, j)
    is the rank of j by its distance from i in the map. Venna and Kaski 2001, as there.
    """
    return trustworthiness(codes, x, k)


def leave_one_out_accuracy(codes: Any, labels: Any, k: int = 5) -> float:
    """The share of samples whose label is that of most of the `k` others nearest to it, by Euclidean distance.

    `codes` is (N, ...), `labels` (N,). For maps of samples to which no others can be added: `knn_accuracy` of one set
    by another is the measure for those that can. Where labels are equally frequent, the one that sorts first wins.
    """
    codes = _rows(codes, "codes")
    labels = np.asarray(labels)
    if labels.shape != (len(codes),):
        raise ValueError(f"labels have shape {labels.shape}, expected ({len(codes)},): one for each code")
    if not check_count("k", k) < len(codes):
        raise ValueError(f"k is {k}, expected less than the {len(codes)} samples")
    classes, which = np.unique(labels, return_inverse=True)
    right = sum(int((majority(which, distances, k, len(classes)) == which[rows]).sum())
                for rows, distances in _from_others(codes))
    return right / len(codes)


def nearness(codes: np.ndarray, queries: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """|c|^2 - 2 q.c of codes c (N, D) and queries q (M, D) in float64, a block of queries at a time, with its place.

    These are squared distances but for |q|^2, which is the same for all codes.
    """
    centre = codes.mean(axis=0)  # without it, codes far from 0 would lose their differences in the squares
    codes = codes - centre
    squares = np.square(codes).sum(axis=1)
    for start in range(0, len(queries), _BLOCK):
        rows = slice(start, min(start + _BLOCK, len(queries)))
        yield rows, squares - 2.0 * (queries[rows] - centre) @ codes.T


def majority(which: np.ndarray, distances: np.ndarray, k: int, classes: int) -> np.ndarray:
    """The most frequent of `classes` classes among the k nearest, the first of those equally frequent: (M, N) to (M,).

    `which` (N,) are the numbers of the classes of those that `distances` (M, N) are to.
    """
    nearest = which[np.argpartition(distances, k - 1, axis=1)[:, :k]]
    return (nearest[:, :, None] == np.arange(classes)).sum(axis=1).argmax(axis=1)


def _from_others(codes: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """`nearness` of samples to one another, without each to itself."""
    for rows, distances in nearness(codes, codes):
        distances[np.arange(len(distances)), np.arange(rows.start, rows.stop)] = np.inf
        yield rows, distances


def _two(x: Any, codes: Any) -> tuple[np.ndarray, np.ndarray]:
    x, codes = _rows(x, "the data"), _rows(codes, "codes")
    if len(x) != len(codes):
        raise ValueError(f"the data have {len(x)} samples, the map {len(codes)}: they must be as many")
    return x, codes


def _rows(x: Any, name: str) -> np.ndarray:
    x = check_samples(x, name=name)
    return x.reshape(len(x), -1).astype(np.float64)
