"""How far codes are apart: what an index keeps of them, a fast bound of their distances, and the exact ones."""

from __future__ import annotations

from typing import Protocol

import numpy as np

__all__ = ["METRICS", "Metric"]

# What rounding one operation in float32 costs at most, as a share of the result.
_ROUNDING = 2.0**-24


class Metric(Protocol):
    """Rows that are kept of codes, and how those of queries q and of codes x compare.

    `near` is quick, and at most `slack` off the exact distance; `exact` depends on the two rows alone, not on what else
    is compared with them, so that answers are the same whatever the blocks. Both may be another measure that has the
    same order, of which `shown` makes the distance.
    """

    def keep(self, codes: np.ndarray) -> np.ndarray:
        """What an index keeps of codes (N, D): (N, ...)."""

    def near(self, q: np.ndarray, x: np.ndarray) -> np.ndarray:
        """(Q, ...) and (N, ...) to (Q, N)."""

    def slack(self, q: np.ndarray, x: np.ndarray) -> np.ndarray | None:
        """How far `near` may be off for each of q, (Q, 1); None where it is exact."""

    def exact(self, q: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Of pairs: (n, ...) and (n, ...) to (n,), float64."""

    def shown(self, distances: np.ndarray) -> np.ndarray:
        """The distances from what `exact` gives."""


class Euclidean:
    """d(q, x) = |q - x|.   near: |q|^2 + |x|^2 - 2 q.x, one matrix product; exact: sum (q - x)^2 in float64.

    In float32 a dot product of D terms is off by at most D u |q| |x|, whatever the order of its terms, with u = 2^-24
    (to first order; Higham, "Accuracy and stability of numerical algorithms", 2002, section 3.1), and so `near` by
    (2 D + a few) u (|q| + |x|)^2.
    """

    def keep(self, codes: np.ndarray) -> np.ndarray:
        if np.abs(codes).max(initial=0) > 1e15:
            raise ValueError("codes reach above 1e15, where squares overflow: divide them by a constant")
        return np.ascontiguousarray(codes, np.float32)

    def near(self, q: np.ndarray, x: np.ndarray) -> np.ndarray:
        distances = q @ x.T
        distances *= -2.0
        distances += _squares(q)[:, None]
        distances += _squares(x)
        return distances

    def slack(self, q: np.ndarray, x: np.ndarray) -> np.ndarray:
        lengths = np.sqrt(_squares(q).astype(np.float64)) + np.sqrt(float(_squares(x).max()))
        return (2 * q.shape[1] + 16) * _ROUNDING * np.square(lengths)[:, None]

    def exact(self, q: np.ndarray, x: np.ndarray) -> np.ndarray:
        return np.square(np.subtract(q, x, dtype=np.float64)).sum(axis=1)

    def shown(self, distances: np.ndarray) -> np.ndarray:
        return np.sqrt(distances)


class Cosine:
    """d(q, x) = 1 - q.x / (|q| |x|); 1 from and to a code of zeros, which has no direction.

    Codes are kept at length 1, so that near is 1 - q.x, and exact is 1/2 |q - x|^2 in float64, which is 0 for equals.
    """

    def keep(self, codes: np.ndarray) -> np.ndarray:
        codes = codes.astype(np.float64)
        codes /= np.maximum(np.abs(codes).max(axis=1, keepdims=True), 1e-300)  # so that squares stay in range
        return (codes / np.maximum(np.linalg.norm(codes, axis=1, keepdims=True), 1e-300)).astype(np.float32)

    def near(self, q: np.ndarray, x: np.ndarray) -> np.ndarray:
        return np.subtract(np.float32(1), products := q @ x.T, out=products)

    def slack(self, q: np.ndarray, x: np.ndarray) -> np.ndarray:
        return np.full((len(q), 1), (2 * q.shape[1] + 16) * _ROUNDING)

    def exact(self, q: np.ndarray, x: np.ndarray) -> np.ndarray:
        without = 1.0 * ~q.any(axis=1) + ~x.any(axis=1)
        return 0.5 * (np.square(np.subtract(q, x, dtype=np.float64)).sum(axis=1) + without)

    def shown(self, distances: np.ndarray) -> np.ndarray:
        return distances


class Hamming:
    """d(q, x) = how many bits differ: the number of ones in q xor x. Codes are bits, kept eight to a byte."""

    def keep(self, codes: np.ndarray) -> np.ndarray:
        return np.packbits(codes, axis=1)

    def near(self, q: np.ndarray, x: np.ndarray) -> np.ndarray:
        q, x = _words(q), _words(x)
        counts = np.zeros((len(q), len(x)), np.int16 if q.shape[1] * q.itemsize < 4096 else np.int32)
        for i in range(q.shape[1]):
            counts += np.bitwise_count(q[:, i, None] ^ x[:, i])
        return counts

    def slack(self, q: np.ndarray, x: np.ndarray) -> None:
        return None

    def exact(self, q: np.ndarray, x: np.ndarray) -> np.ndarray:
        return np.bitwise_count(q ^ x).sum(axis=1, dtype=np.float64)

    def shown(self, distances: np.ndarray) -> np.ndarray:
        return distances.astype(np.int64)


METRICS: dict[str, Metric] = {"cosine": Cosine(), "euclidean": Euclidean(), "hamming": Hamming()}
"""The metrics by name."""


def _squares(x: np.ndarray) -> np.ndarray:
    """The squared length of each row."""
    return np.einsum("ij,ij->i", x, x)


def _words(x: np.ndarray) -> np.ndarray:
    """Rows of bytes as rows of the longest integers that they are whole numbers of."""
    size = next(size for size in (8, 4, 2, 1) if x.shape[1] % size == 0)
    return x.view(f"u{size}")
