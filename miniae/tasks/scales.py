"""The scales of features, and rows to find them by."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from miniae.data.pieces import pieces

__all__ = ["check_range", "middle_and_scale", "some_rows"]


def some_rows(rng: np.random.Generator, X: Any, most: int) -> np.ndarray:
    """At most so many rows of X, in order."""
    if len(X) <= most:
        return X[:]
    index = np.sort(rng.choice(len(X), most, replace=False, shuffle=False))
    if isinstance(X, np.ndarray):
        return X[index]
    cuts = (index[slice(*np.searchsorted(index, [p.start, p.stop]))] - p.start for p in pieces(X))
    return np.concatenate([X[p][cut] for p, cut in zip(pieces(X), cuts, strict=True)])


def middle_and_scale(X: np.ndarray, scaling: str) -> tuple[np.ndarray, np.ndarray]:
    """The median of each feature, and its deviation with the outer hundredths on either side pulled in to their edge.

    The plain deviation where nearly all values are equal, 1 where all are, up to rounding. For "shared", the root mean
    square of the deviations, for all features.
    """
    X = X.astype(np.float64)
    low, middle, high = np.quantile(X, (0.01, 0.5, 0.99), axis=0)
    deviation = X.std(axis=0)
    if scaling == "shared":
        return middle, np.full_like(middle, math.sqrt(np.square(deviation).mean()) or 1.0)
    least = 1e-7 * np.abs(X).max(axis=0)
    scale = np.clip(X, low, high).std(axis=0)
    scale = np.where(scale > least, scale, deviation)
    return middle, np.where(scale > least, scale, np.where(least > 0, 1e7 * least, 1.0))


def check_range(X: np.ndarray) -> None:
    """Raise `ValueError` for values whose squares have no room in float64."""
    lows, highs = zip(*((part.min(), part.max()) for part in (X[rows] for rows in pieces(X))), strict=True)
    low, high = float(min(lows)), float(max(highs))
    if not -1e151 < low <= high < 1e151:
        raise ValueError(f"X ranges from {low:g} to {high:g}, where squares overflow: divide it by a constant")
