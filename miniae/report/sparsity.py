"""How sparse codes are. Host NumPy, in float64.

Codes are (N, units), or (N, ...) where each of the other places counts as a unit; activities are taken without their
sign. A unit is active for a sample where its activity is above `threshold`: 0 suits codes that are exactly 0 elsewhere
(rectified, k-sparse); for sigmoid units, which never are, choose what counts as active.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from miniae.training.estimator import check_number, check_samples

__all__ = ["active_fraction", "dead_units", "lifetime_sparsity", "mean_activity", "population_sparsity"]


def mean_activity(codes: Any) -> np.ndarray:
    """The mean activity of each unit over the samples: (units,)."""
    return _activities(codes).mean(axis=0)


def active_fraction(codes: Any, threshold: float = 0.0) -> float:
    """The share of units that are active, the mean over samples: 0 to 1."""
    return float((_activities(codes) > check_number("threshold", threshold)).mean())


def dead_units(codes: Any, threshold: float = 0.0) -> int:
    """How many units are active for none of the samples."""
    return int((_activities(codes) <= check_number("threshold", threshold)).all(axis=0).sum())


def lifetime_sparsity(codes: Any) -> np.ndarray:
    """How selective each unit is: the Treves-Rolls sparseness of its activity over the samples, (units,).

        S = (1 - (1/n sum_i h_i)^2 / (1/n sum_i h_i^2)) / (1 - 1/n),

    0 for a unit that is always as active, 1 for one that responds to a single sample, NaN for one that is never active.
    Treves and Rolls, "What determines the capacity of autoassociative memories in the brain?", Network 2, 1991, in the
    scale of Vinje and Gallant, Science 287, 2000. Raises `ValueError` for fewer than 2 samples.
    """
    return _sparseness(_activities(codes), axis=0, what="samples")


def population_sparsity(codes: Any) -> np.ndarray:
    """How few units speak for each sample: the sparseness of `lifetime_sparsity` over the units, (N,).

    0 where all units are as active, 1 where one unit alone is, NaN where none is. Raises `ValueError` for fewer than 2
    units. Willmore and Tolhurst, "Characterizing the sparseness of neural codes", Network 12, 2001, on how the two
    differ.
    """
    return _sparseness(_activities(codes), axis=1, what="units")


def _activities(codes: Any) -> np.ndarray:
    codes = check_samples(codes, name="codes")
    return np.abs(codes.reshape(len(codes), -1).astype(np.float64))


def _sparseness(h: np.ndarray, axis: int, what: str) -> np.ndarray:
    n = h.shape[axis]
    if n < 2:
        raise ValueError(f"the codes have {n} {what}: sparseness over {what} needs at least 2")
    power = np.square(h).mean(axis=axis)
    power[power == 0] = np.nan
    return (1.0 - np.square(h.mean(axis=axis)) / power) / (1.0 - 1.0 / n)
