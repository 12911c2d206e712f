"""Keeping the largest elements of each sample."""

from __future__ import annotations

import math
from typing import Any

from miniae.autodiff import Function, Tensor, as_tensor

__all__ = ["top_k"]


class TopK(Function):
    """y = x m, m being 1 at the k largest elements of each sample and 0 elsewhere.   dL/dx = dL/dy m.

    Among equals the first count. Makhzani and Frey, "k-sparse autoencoders", ICLR 2014, section 2.
    """

    def __init__(self, k: int):
        self.k = k

    def forward(self, x):
        be, xp = self.be, self.be.xp
        rows = be.reshape(x, (len(x), math.prod(x.shape[1:])))
        ordered = be.copy(rows)
        place = rows.shape[1] - self.k
        be.as_kernel(ordered.partition, place, 1)
        smallest = ordered[:, place:place + 1]  # the k-th largest
        larger = xp.greater(rows, smallest, out=be.empty_like(rows))
        equal = xp.equal(rows, smallest, out=be.empty_like(rows))
        room = be.subtract(float(self.k), be.sum(larger, axis=1, keepdims=True))
        number = xp.cumsum(equal, axis=1, out=be.empty_like(rows))  # of an element among its equals, from 1
        be.multiply(equal, xp.less_equal(number, room, out=number), out=equal)
        self.mask = be.add(larger, equal, out=larger).reshape(x.shape)
        self.save(self.mask)
        return self.be.multiply(x, self.mask)

    def backward(self, gy):
        (mask,) = self.saved
        return self.be.multiply(gy, mask)

    def jvp(self, y, tx):
        return tx * Tensor._wrap(self.mask, self.be)


def top_k(x: Any, k: int) -> Tensor:
    """The k largest elements of each sample of x (N, ...) where they stand, and 0 elsewhere."""
    x = as_tensor(x)
    size = math.prod(x.shape[1:])
    if not 1 <= k <= size:
        raise ValueError(f"k must be between 1 and the {size} elements of a sample, got {k}")
    return TopK(int(k))(x)
