"""Rows of data that come in parts, set aside to measure by."""

from __future__ import annotations

import numpy as np

from miniae.backend.philox import host_generator

__all__ = ["HeldOut"]


class HeldOut:
    """Sets the share `share` of all rows aside as they come, at random, and keeps `size` of them at most.

    What is kept is a uniform sample of all rows that were set aside: number t of them, from 0, is kept while there is
    room, and later takes the place of number j of those kept, j being random from 0 to t, if there is such a one. Of
    the very first rows one at least is set aside and, where there are two, one is not. Random numbers are a function of
    the seed and of how many rows came before. `rows` is never written to: a shallow copy of this object stays as it is.

    >>> held_out = HeldOut(0.2, size=50, seed=0)
    >>> others = [held_out.take(np.full((100, 3), i)) for i in range(9)]
    >>> held_out.rows.shape, sum(map(len, others)) + held_out.aside == held_out.seen
    ((50, 3), True)

    Vitter, "Random sampling with a reservoir", ACM Transactions on Mathematical Software 11, 1985, algorithm R.
    """

    def __init__(self, share: float, size: int, seed: int):
        self.share, self.size, self.seed = share, size, seed
        self.rows = np.empty(0)
        self.seen = 0  # how many rows came
        self.aside = 0  # how many of them were set aside

    def take(self, X: np.ndarray) -> np.ndarray:
        """Set some rows of X (N, ...) aside; return the others."""
        rng = host_generator(self.seed, "held out", self.seen)
        aside = rng.random(len(X)) < self.share
        if not self.seen:
            aside[:2] = [True, False][:len(X)]
            self.rows = X[:0]
        numbers = self.aside + np.arange(aside.sum())
        places = np.where(numbers < self.size, numbers, rng.integers(numbers + 1))
        kept = places < self.size
        room = min(self.size, self.aside + len(numbers)) - len(self.rows)
        self.rows = np.concatenate([self.rows, np.empty((room, *X.shape[1:]), X.dtype)])
        self.rows[places[kept]] = X[aside][kept]  # where a place comes twice, the later row takes it
        self.seen, self.aside = self.seen + len(X), self.aside + len(numbers)
        return X[~aside]
