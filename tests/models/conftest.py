"""Small data that have something to learn."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def blobs() -> np.ndarray:
    """150 samples of 12 features in [0, 1], near a plane of 3 dimensions."""
    rng = np.random.default_rng(0)
    codes = rng.standard_normal((150, 3))
    x = codes @ rng.standard_normal((3, 12)) + 0.05 * rng.standard_normal((150, 12))
    return (1 / (1 + np.exp(-x))).astype(np.float32)
