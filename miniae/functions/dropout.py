"""Dropout."""

from __future__ import annotations

from typing import Any

from miniae.autodiff import Function, Tensor
from miniae.backend.philox import Generator

__all__ = ["dropout"]


class Dropout(Function):
    """y = x m, m being 0 with probability `rate` and 1 / (1 - rate) otherwise.   dL/dx = dL/dy m.

    Srivastava et al., "Dropout", JMLR 15, 2014, with the scaling moved from testing to training.
    """

    def __init__(self, rate: float, rng: Generator):
        self.rate, self.rng = rate, rng

    def forward(self, x):
        self.mask = self.rng.mask(x.shape, x.dtype, self.rate, 1.0 / (1.0 - self.rate))
        self.save(self.mask)
        return self.be.multiply(x, self.mask)

    def backward(self, gy):
        (mask,) = self.saved
        return self.be.multiply(gy, mask)

    def jvp(self, y, tx):
        return tx * Tensor._wrap(self.mask, self.be)


def dropout(x: Any, rate: float, rng: Generator) -> Tensor:
    """Set each element to 0 with probability `rate`, 0 <= rate < 1, and scale the others so that the mean stays."""
    if not 0 <= rate < 1:
        raise ValueError(f"the dropout rate must lie in [0, 1), got {rate}")
    return Dropout(rate, rng)(x)
