"""Holding samples out."""

from __future__ import annotations

import numpy as np

from miniae.backend.philox import host_generator

__all__ = ["split"]


def split(n: int, fraction: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The indices of `n` samples in two parts, chosen at random: those kept, and a share `fraction` held out.

    Each part is in rising order and has at least one sample. Raises `ValueError` when that is impossible.
    """
    if not 0 < fraction < 1 or n < 2:
        raise ValueError(f"can't hold out a share of {fraction} of {n} samples: it takes 2 samples, and a share "
                         "between 0 and 1")
    held_out = min(max(round(n * fraction), 1), n - 1)
    order = host_generator(seed, "split").permutation(n)
    return np.sort(order[held_out:]), np.sort(order[:held_out])
