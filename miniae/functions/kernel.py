"""Kernels, and what they say of two sets of samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from miniae.autodiff import Function, Tensor, as_tensor
from miniae.functions.activation import relu

__all__ = ["inverse_multiquadratics", "mmd", "squared_distances"]


class InverseMultiquadratics(Function):
    """y = sum_s c_s / (c_s + d).   dL/dd = -dL/dy sum_s c_s / (c_s + d)^2."""

    def __init__(self, scales: tuple[float, ...]):
        self.scales = scales

    def forward(self, d):
        be, y = self.be, self.be.empty_like(d)
        be.fill(y, 0.0)
        slope = be.empty_like(d)
        be.fill(slope, 0.0)
        term = be.empty_like(d)
        for c in self.scales:
            be.add(d, c, out=term)
            be.divide(c, term, out=term)
            be.add(y, term, out=y)
            be.multiply(term, term, out=term)
            be.multiply(term, -1.0 / c, out=term)
            be.add(slope, term, out=slope)
        self.save(slope)
        return y

    def backward(self, gy):
        (slope,) = self.saved
        return self.be.multiply(slope, gy)

    def jvp(self, y, td):
        total = 0.0
        for c in self.scales:
            shifted = self.inputs[0] + c
            total = (-c) / (shifted * shifted) + total
        return td * total


def squared_distances(x: Any, y: Any) -> Tensor:
    """|x_i - y_j|^2 = |x_i|^2 + |y_j|^2 - 2 x_i.y_j: (N, D) and (M, D) to (N, M), at least 0.

    The mean of x is subtracted from both first: far from 0 the three terms would be large, and their sum mere rounding.
    """
    x = as_tensor(x)
    y = as_tensor(y, x.dtype, x.backend)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise ValueError(f"the samples have shapes {x.shape} and {y.shape}, expected (N, D) and (M, D)")
    centre = (x.sum(0, True) * (1.0 / max(len(x), 1))).detach()  # a constant: distances don't change with it
    x, y = x - centre, y - centre
    return relu((x * x).sum(1, True) + (y * y).sum(1) - (x * 2.0) @ y.T)


def inverse_multiquadratics(d: Any, scales: Sequence[float]) -> Tensor:
    """The kernel sum_c c / (c + d) of squared distances d, summed over the scales c, which are above 0."""
    scales = tuple(float(c) for c in scales)
    if not scales or min(scales) <= 0:
        raise ValueError(f"the scales of a kernel are numbers above 0, at least one; got {scales}")
    return InverseMultiquadratics(scales)(d)


def mmd(x: Any, y: Any, scales: Sequence[float]) -> Tensor:
    """The squared maximum mean discrepancy of the distributions that x (N, D) and y (M, D) were drawn from, estimated:

        1/(N(N-1)) sum_{i != j} k(x_i, x_j) + 1/(M(M-1)) sum_{i != j} k(y_i, y_j) - 2/(NM) sum_{i, j} k(x_i, y_j),

    k being `inverse_multiquadratics` of `scales`. It is 0 on average for one distribution (so it may be below 0), and
    more for any two others. With fewer than 2 samples on either side there is no such estimate: it is a 0 without
    gradient. Gretton et al., "A kernel two-sample test", JMLR 13, 2012,
    lemma 6; the kernel is that of Tolstikhin et al., "Wasserstein auto-encoders", ICLR 2018, section 4.
    """
    x = as_tensor(x)
    y = as_tensor(y, x.dtype, x.backend)
    between = inverse_multiquadratics(squared_distances(x, y), scales)
    if min(len(x), len(y)) < 2:
        nothing = x.backend.empty((), x.dtype)
        x.backend.fill(nothing, 0.0)
        return Tensor._wrap(nothing, x.backend)

    def within(a: Tensor) -> Tensor:
        pairs = inverse_multiquadratics(squared_distances(a, a), scales) * _others(a)
        return pairs.sum() * (1.0 / (len(a) * (len(a) - 1)))

    return within(x) + within(y) - between.sum() * (2.0 / (len(x) * len(y)))


def _others(a: Tensor) -> Tensor:
    """1 for each pair of two samples, 0 on the diagonal: (N, N)."""
    be, n = a.backend, len(a)
    mask = be.empty((n, n), a.dtype)
    be.fill(mask, 1.0)
    be.fill(mask.reshape(-1)[::n + 1], 0.0)
    return Tensor._wrap(mask, be)
