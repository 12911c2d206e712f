"""Rows to detect anomalies among, that need both of what a detector looks at."""

from __future__ import annotations

import numpy as np


def tied_features(n: int, seed: int) -> np.ndarray:
    """Rows of six features that two numbers decide, but for a little noise."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 2)) @ [[1, 1, 1, 0, 0, 1], [0, 0, 1, 1, 1, -1]] + 0.1 * rng.normal(size=(n, 6))


def far_and_shuffled(normal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows that are far out, and rows whose features are each as usual, but not tied."""
    far = 3 * normal[:100]
    shuffled = [np.random.default_rng(i).permutation(column) for i, column in enumerate(normal.T)]
    return far[np.square(far).sum(axis=1) > 60], np.stack(shuffled, axis=1)
