"""Learning-rate schedules: functions of the epoch, from 0, whose value multiplies the learning rate at the start.

    schedule = warm_up(5, then=cosine(95))
    optimizer.lr = 1e-3 * schedule(epoch)
"""

from __future__ import annotations

import math
from collections.abc import Callable

Schedule = Callable[[float], float]


def constant() -> Schedule:
    """Always 1."""
    return lambda epoch: 1.0


def step_decay(every: int, factor: float = 0.1) -> Schedule:
    """factor^k in the k-th block of `every` epochs."""
    if every < 1:
        raise ValueError(f"step_decay needs a block of at least 1 epoch, got {every}")
    return lambda epoch: factor ** (epoch // every)


def cosine(epochs: int, floor: float = 0.0) -> Schedule:
    """From 1 down to `floor` along half a cosine, reached after `epochs` epochs and kept.

    Loshchilov and Hutter, "SGDR", ICLR 2017, equation 5, without restarts.
    """
    if epochs < 1:
        raise ValueError(f"cosine needs at least 1 epoch, got {epochs}")
    return lambda epoch: floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * min(epoch / epochs, 1.0)))


def warm_up(epochs: int, then: Schedule | None = None) -> Schedule:
    """(epoch + 1) / (epochs + 1), a straight line up to 1, then `then` with its epochs counted from there.

    Goyal et al., "Accurate, large minibatch SGD", 2017, section 2.2.
    """
    if epochs < 0:
        raise ValueError(f"warm_up needs a number of epochs of at least 0, got {epochs}")
    after = constant() if then is None else then
    return lambda epoch: after(epoch - epochs) if epoch >= epochs else (epoch + 1.0) / (epochs + 1.0) * after(0)


class Plateau:
    """Multiplies the factor whenever a metric has not fallen for longer than `patience` epochs.

    Tell it the metric once an epoch with `observe`, which returns the factor for the next. A value counts as a fall
    when it is below the best so far by the fraction `threshold`.
    """

    def __init__(self, factor: float = 0.5, patience: int = 5, threshold: float = 1e-4, floor: float = 0.0):
        if not 0 < factor < 1:
            raise ValueError(f"factor must lie between 0 and 1, got {factor}")
        if patience < 0:
            raise ValueError(f"patience must be at least 0 epochs, got {patience}")
        self.factor, self.patience, self.threshold, self.floor = factor, patience, threshold, floor
        self.best, self.waited, self.value = math.inf, 0, 1.0

    def observe(self, metric: float) -> float:
        """The factor, after an epoch that ended with this metric."""
        if self.best == math.inf or metric < self.best - self.threshold * abs(self.best):
            self.best, self.waited = metric, 0
        else:
            self.waited += 1
        if self.waited > self.patience:
            self.value, self.waited = max(self.value * self.factor, self.floor), 0
        return self.value

    def __call__(self, epoch: float) -> float:
        """The factor as it stands, whatever the epoch: a `Plateau` can be used where a schedule is expected."""
        return self.value
