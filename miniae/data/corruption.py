"""Disturbed copies of data, to see what a model makes of them. In training, use the layers of the same names."""

from __future__ import annotations

import numpy as np

from miniae.backend.philox import host_generator
from miniae.data.scaling import floating

__all__ = ["gaussian_noise", "masking", "salt_and_pepper"]


def gaussian_noise(X: np.ndarray, std: float = 0.3, seed: int = 0) -> np.ndarray:
    """X plus normal noise of this standard deviation. It is not clipped. Integers become float32."""
    if not 0 <= std < float("inf"):
        raise ValueError(f"the standard deviation must be a finite number of at least 0, got {std}")
    X = floating(X)
    noise = host_generator(seed, "gaussian noise").standard_normal(X.shape, np.float32)
    return X + (std * noise).astype(X.dtype)


def masking(X: np.ndarray, rate: float = 0.25, seed: int = 0) -> np.ndarray:
    """X with each element set to 0 with probability `rate`."""
    X = floating(X)
    return np.where(_drawn(X, rate, seed) < rate, X.dtype.type(0), X)


def salt_and_pepper(X: np.ndarray, rate: float = 0.25, low: float = 0.0, high: float = 1.0,
                    seed: int = 0) -> np.ndarray:
    """X with each element set to `low` or `high`, half of the time each, with probability `rate`."""
    X = floating(X)
    drawn = _drawn(X, rate, seed)
    grain = np.where(drawn < rate / 2, X.dtype.type(high), X.dtype.type(low))
    return np.where(drawn < rate, grain, X)


def _drawn(X: np.ndarray, rate: float, seed: int) -> np.ndarray:
    if not 0 <= rate <= 1:
        raise ValueError(f"the rate of disturbed elements must lie in [0, 1], got {rate}")
    return host_generator(seed, "disturbed elements").random(X.shape, np.float32)
