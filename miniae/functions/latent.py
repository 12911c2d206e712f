"""Gaussian codes: draws that can be differentiated, their divergence from the prior, and a Gaussian likelihood.

A code's distribution is given by rows h = (m, v) of shape (N, 2 units): the means, and then the log-variances, which
count as l = v held between -10 and 10. Beyond, the gradient of v is 0.
"""

from __future__ import annotations

import math
from typing import Any

from miniae.autodiff import Function, Tensor
from miniae.backend.sharing import batch_mean
from miniae.functions.elementwise import clip, exp
from miniae.functions.loss import _same_shape

__all__ = ["BOUND", "gaussian_code", "gaussian_code_kl", "gaussian_negative_log_likelihood"]

BOUND = 10.0
"""Log-variances count as held between minus this and this."""

_HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)


class GaussianCode(Function):
    """z = m + exp(l/2) e, e being the noise.   dL/dm = dL/dz,  dL/dv = dL/dz exp(l/2) e / 2, or 0 where v is not l,
    dL/de = dL/dz exp(l/2).

    The reparameterisation of Kingma and Welling, "Auto-encoding variational Bayes", 2014, section 2.4.
    """

    def forward(self, h, e):
        be = self.be
        mean, log_variance = _halves(h)
        deviation = _held(be, log_variance)
        be.multiply(deviation, 0.5, out=deviation)
        be.elementwise(be.xp.exp, deviation, out=deviation)
        disturbance = be.multiply(deviation, e)
        self.save(h, deviation, disturbance)
        return be.add(mean, disturbance)

    def backward(self, gz):
        h, deviation, disturbance = self.saved
        gh = self.be.empty_like(h)
        g_mean, g_log_variance = _halves(gh)
        self.be.copy(gz, out=g_mean)
        half = self.be.multiply(gz, disturbance)
        self.be.multiply(half, 0.5, out=half)
        self.be.multiply(half, _inside(self.be, _halves(h)[1]), out=g_log_variance)
        return gh, self.be.multiply(gz, deviation) if self.needs[1] else None

    def jvp(self, z, th, te):
        h, e = self.inputs
        units = h.shape[1] // 2
        deviation = exp(clip(h[:, units:], -BOUND, BOUND) * 0.5)
        tangent = 0.0 if te is None else deviation * te
        if th is not None:
            inside = Tensor._wrap(_inside(self.be, h._data[:, units:]), self.be)
            tangent = th[:, :units] + th[:, units:] * (deviation * e * 0.5 * inside) + tangent
        return tangent


class GaussianCodeKL(Function):
    """L = sum_j max(k_j, free),  k_j = 1/N sum_n 1/2 (m_nj^2 + exp(l_nj) - l_nj - 1).

    dL/dm = m / N,  dL/dv = (exp(l) - 1) / 2N where v is l; 0 for the units whose k_j is below `free`. Kingma and
    Welling 2014, appendix B; free nats: Kingma et al., "Improving variational inference with inverse autoregressive
    flow", 2016, appendix C.8, each unit being a group of its own.
    """

    def __init__(self, free: float):
        self.least = free

    def forward(self, h):
        be = self.be
        mean, log_variance = _halves(h)
        held = _held(be, log_variance)
        variance = be.elementwise(be.xp.exp, held)
        terms = be.multiply(mean, mean)
        be.add(terms, variance, out=terms)
        be.subtract(terms, held, out=terms)
        divergence = be.sum(be.subtract(terms, 1.0, out=terms), axis=0)
        be.multiply(divergence, 0.5 / max(len(h), 1), out=divergence)
        if self.least:  # which is for the mean over all samples, where ranks share them
            batch_mean(be, divergence)
        self.save(h, be.subtract(variance, 1.0, out=variance))
        self.above = None
        if self.least:
            self.above = be.elementwise(be.xp.greater_equal, divergence, self.least, out=be.empty_like(divergence))
            be.elementwise(be.xp.maximum, divergence, self.least, out=divergence)
        return be.sum(divergence)

    def backward(self, gy):
        be = self.be
        h, excess = self.saved
        gh = be.empty_like(h)
        g_mean, g_log_variance = _halves(gh)
        share = be.multiply(gy, 1.0 / max(len(h), 1))
        be.multiply(_halves(h)[0], share, out=g_mean)
        half = be.multiply(excess, _inside(be, _halves(h)[1]))
        be.multiply(half, 0.5, out=half)
        be.multiply(half, share, out=g_log_variance)
        if self.above is not None:
            be.multiply(g_mean, self.above, out=g_mean)
            be.multiply(g_log_variance, self.above, out=g_log_variance)
        return gh

    def jvp(self, y, th):
        (h,) = self.inputs
        units = h.shape[1] // 2
        inside = Tensor._wrap(_inside(self.be, h._data[:, units:]), self.be)
        variance = exp(clip(h[:, units:], -BOUND, BOUND))
        terms = th[:, :units] * h[:, :units] + th[:, units:] * (variance - 1.0) * (inside * 0.5)
        if self.above is not None:
            terms = terms * Tensor._wrap(self.above, self.be)
        return terms.sum() * (1.0 / max(len(h), 1))


class GaussianNegativeLogLikelihood(Function):
    """L = 1/N sum_n |y_n - t_n|^2 / 2 exp(2s) + D (s + log(2 pi) / 2), D the number of features, s = log sigma.

    dL/dy = (y - t) / N exp(2s),  dL/ds = D - 1/N sum_n |y_n - t_n|^2 / exp(2s).
    """

    def forward(self, y, t, s):
        be = self.be
        self.features = math.prod(y.shape[1:])
        error, grad = be.squared_error(y, t)
        precision = be.multiply(s, -2.0)
        be.elementwise(be.xp.exp, precision, out=precision)
        be.multiply(error, precision, out=error)
        self.save(grad, error, precision)
        constant = be.multiply(be.add(s, _HALF_LOG_TWO_PI), float(self.features) if len(y) else 0.0)
        return be.add(be.multiply(error, 0.5), constant)

    def backward(self, gy):
        be = self.be
        grad, error, precision = self.saved
        scale = be.multiply(be.multiply(gy, precision), 0.5)
        slope = be.multiply(be.subtract(float(self.features), error), gy)
        return be.multiply(grad, scale), None, slope

    def jvp(self, loss, ty, tt, ts):
        y, t, s = self.inputs
        precision, share = exp(s * -2.0), 1.0 / max(len(y), 1)
        tangent = 0.0
        if ty is not None:
            tangent = (ty * (y - t)).sum() * precision * share
        if ts is not None:
            error = ((y - t) * (y - t)).sum() * precision * share
            tangent = ts * (float(self.features) - error) + tangent
        return tangent


def gaussian_code(statistics: Any, noise: Any) -> Tensor:
    """Codes (N, units) of the distributions N(m, exp(l)) that rows (N, 2 units) give, from standard normal noise."""
    units = _units(statistics)
    if tuple(noise.shape) != (len(statistics), units):
        raise ValueError(f"the noise has shape {tuple(noise.shape)}, expected one number for each code, "
                         f"{(len(statistics), units)}")
    return GaussianCode()(statistics, noise)


def gaussian_code_kl(statistics: Any, free: float = 0.0) -> Tensor:
    """KL(N(m, exp(l)) || N(0, 1)) of rows (N, 2 units): the batch's mean, summed over units, in nats.

    A unit whose mean divergence is below `free` counts as having `free` nats, and has no gradient.
    """
    _units(statistics)
    if not 0 <= free < math.inf:
        raise ValueError(f"free nats must be a finite number of at least 0, got {free}")
    return GaussianCodeKL(float(free))(statistics)


def gaussian_negative_log_likelihood(y: Any, target: Any, log_sigma: Any) -> Tensor:
    """-log N(target; y, sigma^2) in nats: summed over features, averaged over the batch; log_sigma is one number."""
    y, target = _same_shape(y, target)
    return GaussianNegativeLogLikelihood()(y, target, log_sigma)


def _units(statistics: Any) -> int:
    if len(statistics.shape) != 2 or statistics.shape[1] % 2:
        raise ValueError(f"codes are given by rows of means and log-variances, (N, 2 units), got {statistics.shape}")
    return statistics.shape[1] // 2


def _halves(h: Any) -> tuple[Any, Any]:
    units = h.shape[1] // 2
    return h[:, :units], h[:, units:]


def _held(be: Any, log_variance: Any) -> Any:
    held = be.elementwise(be.xp.maximum, log_variance, -BOUND, out=be.empty(log_variance.shape, log_variance.dtype))
    return be.elementwise(be.xp.minimum, held, BOUND, out=held)


def _inside(be: Any, log_variance: Any) -> Any:
    """1 where the log-variance counts as it is, else 0."""
    size = be.elementwise(be.xp.abs, log_variance)
    return be.elementwise(be.xp.less_equal, size, BOUND, out=size)
