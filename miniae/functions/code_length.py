"""How long an entropy coder's message is: what rates are trained by."""

from __future__ import annotations

from typing import Any

from miniae.autodiff import Function, Tensor, as_tensor
from miniae.functions.activation import sigmoid, tanh
from miniae.functions.elementwise import exp

__all__ = ["logistic_code_length"]


class LogisticCodeLength(Function):
    """L = -1/N sum log p(y),  p(y) = F(u) - F(l),  u, l = (y - m +- 1/2) / s,  F the sigmoid, s = exp(log_scale).

    As F(u) - F(l) = F(u) F(-l) (1 - exp(-1/s)), no digits cancel in

        -log p   = softplus(-u) + softplus(l) - log(1 - exp(-1/s))
        dL/dy    = 1/N (F(l) - F(-u)) / s = -dL/dm
        dL/dlogs = 1/N (u F(-u) - l F(l) + (1/s) / (exp(1/s) - 1))

    summed for m and log s over what they are broadcast to.
    """

    @staticmethod
    def bounds(xp, y, m, log_scale):
        precise = xp.exp(-log_scale)
        return (y - m + 0.5) * precise, (y - m - 0.5) * precise, precise

    @staticmethod
    def total(xp, y, m, log_scale, share):
        u, lower, precise = LogisticCodeLength.bounds(xp, y, m, log_scale)
        return (xp.logaddexp(0.0, -u) + xp.logaddexp(0.0, lower) - xp.log(-xp.expm1(-precise))).sum() * share

    @staticmethod
    def slope(xp, gy, y, m, log_scale, share):
        """dL/dy."""
        u, lower, precise = LogisticCodeLength.bounds(xp, y, m, log_scale)
        return (_sigmoid(xp, lower) - _sigmoid(xp, -u)) * (precise * (share * gy))

    @staticmethod
    def slope_of_scale(xp, gy, y, m, log_scale, share):
        """dL/dlogs, at each element of y."""
        u, lower, precise = LogisticCodeLength.bounds(xp, y, m, log_scale)
        wide = precise * xp.exp(-precise) / -xp.expm1(-precise)
        return (u * _sigmoid(xp, -u) - lower * _sigmoid(xp, lower) + wide) * (share * gy)

    def forward(self, y, m, log_scale):
        self.save(y, m, log_scale)
        return self.be.formula(self.total, y, m, log_scale, 1.0 / max(len(y), 1))

    def backward(self, gy):
        be, (y, m, log_scale), share = self.be, self.saved, 1.0 / max(len(self.saved[0]), 1)
        gm = g_scale = None
        g = be.formula(self.slope, gy, y, m, log_scale, share)
        if self.needs[1]:
            gm = be.multiply(be.sum_to(g, m.shape), -1.0)
        if self.needs[2]:
            g_scale = be.sum_to(be.formula(self.slope_of_scale, gy, y, m, log_scale, share), log_scale.shape)
        return g, gm, g_scale

    def jvp(self, length, ty, tm, ts):
        y, m, log_scale = self.inputs
        precise, terms = exp(-log_scale), 0.0
        u, lower = (y - m + 0.5) * precise, (y - m - 0.5) * precise
        if ty is not None or tm is not None:
            shift = -tm if ty is None else ty if tm is None else ty - tm
            terms = ((sigmoid(lower) - sigmoid(-u)) * precise * shift).sum()
        if ts is not None:
            half = 0.5 * precise
            wide = half / tanh(half) - half  # p / (e^p - 1), without a difference of what is near 1 where p is small
            terms = ((u * sigmoid(-u) - lower * sigmoid(lower) + wide) * ts).sum() + terms
        return terms * (1.0 / max(len(y), 1))


def _sigmoid(xp: Any, x: Any) -> Any:
    return 0.5 * xp.tanh(0.5 * x) + 0.5


def logistic_code_length(y: Any, mean: Any, log_scale: Any) -> Tensor:
    """The nats that integers y take, by an entropy coder to which they are logistic: summed over all but the first
    axis, averaged over that.

    -log of the probability of the interval [y - 1/2, y + 1/2], so y may be any numbers: with uniform noise in place of
    rounding, this is what rates are trained by (Balle, Laparra and Simoncelli, "End-to-end optimized image
    compression", ICLR 2017). `mean` and `log_scale` have shapes that are broadcast to that of y. Raises `ValueError`
    for others.
    """
    y = as_tensor(y)
    mean, log_scale = (as_tensor(t, y.dtype, y.backend) for t in (mean, log_scale))
    for name, t in (("mean", mean), ("log_scale", log_scale)):
        fits = t.ndim <= y.ndim and all(a in (1, b) for a, b in zip(t.shape[::-1], y.shape[::-1], strict=False))
        if not fits:
            raise ValueError(f"logistic_code_length got {name} of shape {t.shape} for y of shape {y.shape}: give one "
                             "that is broadcast to it")
    return LogisticCodeLength()(y, mean, log_scale)
