"""Losses. One convention everywhere: the sum over features, the mean over the batch (the first axis), in nats.

Predictions come first, targets second; gradients flow to predictions only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from miniae.autodiff import Function, Tensor, as_tensor
from miniae.backend.sharing import batch_mean
from miniae.functions.activation import sigmoid
from miniae.functions.softmax import LogSoftmax, softmax

__all__ = [
    "LOSSES", "absolute_error", "binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy",
    "gaussian_kl", "get_loss", "huber", "kl_sparsity", "masked_squared_error", "squared_error",
    "weighted_binary_cross_entropy_with_logits", "weighted_squared_error",
]

# Probabilities are held this far from 0 and 1 before their logarithm is taken.
_SMALLEST = 1e-7


class SquaredError(Function):
    """L = 1/N sum_n |y_n - t_n|^2.   dL/dy = 2/N (y - t)."""

    def forward(self, y, t):
        loss, grad = self.be.squared_error(y, t)
        self.save(grad)
        return loss

    def backward(self, gy):
        (grad,) = self.saved
        return self.be.scaled(grad, gy), None

    def jvp(self, loss, ty, tt):
        y, t = self.inputs
        return (ty * (y - t)).sum() * (2.0 / max(len(y), 1))


class AbsoluteError(Function):
    """L = 1/N sum |y - t|.   dL/dy = 1/N sign(y - t)."""

    @staticmethod
    def terms(xp, y, t):
        return xp.abs(y - t)

    @staticmethod
    def sign(xp, y, t):
        return xp.sign(y - t)

    @staticmethod
    def gradient(xp, gy, y, t, scale):
        return gy * (xp.sign(y - t) * scale)

    def forward(self, y, t):
        self.save(y, t)
        return self.be.multiply(self.be.sum(self.be.formula(self.terms, y, t)), 1.0 / max(len(y), 1))

    def backward(self, gy):
        y, t = self.saved
        return self.be.formula(self.gradient, gy, y, t, 1.0 / max(len(y), 1)), None

    def jvp(self, loss, ty, tt):
        y, t = self.inputs
        sign = Tensor._wrap(self.be.formula(self.sign, y._data, t._data), self.be)
        return (ty * sign).sum() * (1.0 / max(len(y), 1))


class Huber(Function):
    """L = 1/N sum h(y - t), h(d) = d^2 / 2 where |d| <= delta, delta (|d| - delta / 2) beyond.

    dL/dy = 1/N (y - t), held between -delta and delta. Huber, "Robust estimation of a location parameter", 1964.
    """

    def __init__(self, delta: float):
        self.delta = delta

    @staticmethod
    def slope(xp, y, t, delta):
        return xp.clip(y - t, -delta, delta)

    @staticmethod
    def terms(xp, y, t, slope):
        return slope * (y - t - 0.5 * slope)

    @staticmethod
    def inside(xp, y, t, slope):
        return (slope == y - t).astype(y.dtype)

    @staticmethod
    def gradient(xp, gy, slope, scale):
        return gy * (slope * scale)

    def forward(self, y, t):
        slope = self.be.formula(self.slope, y, t, self.delta)
        self.save(slope)
        return self.be.multiply(self.be.sum(self.be.formula(self.terms, y, t, slope)), 1.0 / max(len(y), 1))

    def backward(self, gy):
        (slope,) = self.saved
        return self.be.formula(self.gradient, gy, slope, 1.0 / max(len(slope), 1)), None

    def jvp(self, loss, ty, tt):
        y, t = self.inputs
        held = self.be.formula(self.slope, y._data, t._data, self.delta)
        inside = Tensor._wrap(self.be.formula(self.inside, y._data, t._data, held), self.be)
        slope = inside * (y - t) + (1.0 - inside) * Tensor._wrap(held, self.be)
        return (ty * slope).sum() * (1.0 / max(len(y), 1))


class BinaryCrossEntropy(Function):
    """L = -1/N sum t log p + (1 - t) log(1 - p).   dL/dp = 1/N (p - t) / (p (1 - p)).

    p is held between 1e-7 and 1 - 1e-7 first, where the gradient is that of the bound.
    """

    @staticmethod
    def terms(xp, p, t):
        return t * xp.log(p) + (1.0 - t) * xp.log1p(-p)

    @staticmethod
    def gradient(xp, gy, p, t, scale):
        return gy * ((p - t) / (p * (1.0 - p)) * scale)

    def forward(self, p, t):
        p = self.be.elementwise(self.be.xp.clip, p, _SMALLEST, 1.0 - _SMALLEST)
        self.save(p, t)
        return self.be.multiply(self.be.sum(self.be.formula(self.terms, p, t)), -1.0 / max(len(p), 1))

    def backward(self, gy):
        p, t = self.saved
        return self.be.formula(self.gradient, gy, p, t, 1.0 / max(len(p), 1)), None

    def jvp(self, loss, tp, tt):
        p, t = self.inputs
        return (tp * (p - t) / (p * (1.0 - p))).sum() * (1.0 / max(len(p), 1))


class BinaryCrossEntropyWithLogits(Function):
    """L = 1/N sum softplus(z) - t z, which is -t log p - (1 - t) log(1 - p) for p = sigmoid(z), without overflow.

    dL/dz = 1/N (sigmoid(z) - t).
    """

    def forward(self, z, t):
        loss, grad = self.be.bce_logits(z, t)
        self.save(grad)
        return loss

    def backward(self, gy):
        (grad,) = self.saved
        return self.be.scaled(grad, gy), None

    def jvp(self, loss, tz, tt):
        z, t = self.inputs
        return (tz * (sigmoid(z) - t)).sum() * (1.0 / max(len(z), 1))


class WeightedSquaredError(Function):
    """L = 1/N sum w (y - t)^2.   dL/dy = 2/N w (y - t).

    Vincent et al., "Stacked denoising autoencoders", JMLR 11, 2010, section 3.4, with w = alpha at corrupted elements
    and beta at the others.
    """

    def forward(self, y, t, w):
        be, n = self.be, max(len(y), 1)
        difference = be.subtract(y, t)
        grad = be.multiply(w, difference)
        loss = be.sum(be.multiply(grad, difference, out=difference))
        self.save(be.multiply(grad, 2.0 / n, out=grad))
        return be.multiply(loss, 1.0 / n)

    def backward(self, gy):
        (grad,) = self.saved
        return self.be.scaled(grad, gy), None, None

    def jvp(self, loss, ty, tt, tw):
        y, t, w = self.inputs
        return (ty * w * (y - t)).sum() * (2.0 / max(len(y), 1))


class MaskedSquaredError(Function):
    """L = 1/N sum_n sum_i (y_ni - t_ni)^2 over the targets that are known: those that are not are NaN.

    dL/dy = 2/N (y - t) where t is known, and 0 elsewhere. Sedhain et al., "AutoRec", WWW 2015, equation 1.
    """

    @staticmethod
    def difference(xp, y, t):
        return xp.where(xp.isnan(t), 0.0, y - t).astype(y.dtype)

    @staticmethod
    def known(xp, t):
        return (~xp.isnan(t)).astype(t.dtype)

    @staticmethod
    def known_or_zero(xp, t):
        return xp.where(xp.isnan(t), 0.0, t).astype(t.dtype)

    def forward(self, y, t):
        be, n = self.be, max(len(y), 1)
        difference = be.formula(self.difference, y, t)
        loss = be.sum(be.multiply(difference, difference))
        self.save(be.multiply(difference, 2.0 / n, out=difference))
        return be.multiply(loss, 1.0 / n)

    def backward(self, gy):
        (grad,) = self.saved
        return self.be.scaled(grad, gy), None

    def jvp(self, loss, ty, tt):
        y, t = self.inputs
        known, target = (Tensor._wrap(self.be.formula(f, t._data), self.be) for f in (self.known, self.known_or_zero))
        return (ty * known * (y - target)).sum() * (2.0 / max(len(y), 1))


class WeightedBinaryCrossEntropyWithLogits(Function):
    """L = 1/N sum w (softplus(z) - t z).   dL/dz = 1/N w (sigmoid(z) - t).

    Vincent et al., "Stacked denoising autoencoders", JMLR 11, 2010, section 3.4, with w = alpha at corrupted elements
    and beta at the others.
    """

    def forward(self, z, t, w):
        be, n = self.be, max(len(z), 1)
        terms = be.softplus(z)
        be.subtract(terms, be.multiply(z, t), out=terms)
        loss = be.sum(be.multiply(terms, w, out=terms))
        grad = be.subtract(be.sigmoid(z), t)
        be.multiply(grad, w, out=grad)
        self.save(be.multiply(grad, 1.0 / n, out=grad))
        return be.multiply(loss, 1.0 / n)

    def backward(self, gy):
        (grad,) = self.saved
        return self.be.scaled(grad, gy), None, None

    def jvp(self, loss, tz, tt, tw):
        z, t, w = self.inputs
        return (tz * w * (sigmoid(z) - t)).sum() * (1.0 / max(len(z), 1))


class CrossEntropy(Function):
    """L = -1/N sum t_k log y_k, y = softmax(z) over the last axis.   dL/dz = 1/N (y sum_k t_k - t)."""

    @staticmethod
    def terms(xp, log_y, t):
        return t * log_y

    @staticmethod
    def gradient(xp, gy, log_y, t, scale):
        return gy * ((xp.exp(log_y) * xp.sum(t, axis=-1, keepdims=True) - t) * scale)

    def forward(self, z, t):
        log_y = self.be.formula(LogSoftmax.value, z, -1)
        self.save(log_y, t)
        return self.be.multiply(self.be.sum(self.be.formula(self.terms, log_y, t)), -1.0 / max(len(z), 1))

    def backward(self, gy):
        log_y, t = self.saved
        return self.be.formula(self.gradient, gy, log_y, t, 1.0 / max(len(t), 1)), None

    def jvp(self, loss, tz, tt):
        z, t = self.inputs
        return (tz * (softmax(z) * t.sum(-1, True) - t)).sum() * (1.0 / max(len(z), 1))


class GaussianKL(Function):
    """L = 1/N sum 1/2 (m^2 + exp(l) - l - 1), from N(m, exp(l)) to the standard normal.

    dL/dm = m / N,  dL/dl = (exp(l) - 1) / 2N. Kingma and Welling, "Auto-encoding variational Bayes", 2014, appendix B.
    """

    @staticmethod
    def terms(xp, mean, log_variance, variance):
        return mean * mean + variance - log_variance - 1.0

    @staticmethod
    def gradient_of_mean(xp, gy, mean, n):
        return gy * (mean * (1.0 / n))

    @staticmethod
    def gradient_of_log_variance(xp, gy, variance, n):
        return gy * ((variance - 1.0) * (0.5 / n))

    def forward(self, mean, log_variance):
        variance = self.be.elementwise(self.be.xp.exp, log_variance)
        self.save(mean, variance)
        terms = self.be.formula(self.terms, mean, log_variance, variance)
        return self.be.multiply(self.be.sum(terms), 0.5 / max(len(mean), 1))

    def backward(self, gy):
        mean, variance = self.saved
        n = max(len(mean), 1)
        return (self.be.formula(self.gradient_of_mean, gy, mean, n),
                self.be.formula(self.gradient_of_log_variance, gy, variance, n))

    def jvp(self, loss, tm, tl):
        from miniae.functions.elementwise import exp

        mean, log_variance = self.inputs
        n = max(len(mean), 1)
        terms = [(tm * mean).sum() * (1.0 / n)] if tm is not None else []
        terms += [(tl * (exp(log_variance) - 1.0)).sum() * (0.5 / n)] if tl is not None else []
        return terms[0] if len(terms) == 1 else terms[0] + terms[1]


class KLSparsity(Function):
    """L = sum_j rho log(rho / r_j) + (1 - rho) log((1 - rho) / (1 - r_j)), r_j the mean activity of unit j in a batch.

    dL/dh_nj = 1/N ((1 - rho) / (1 - r_j) - rho / r_j), with r held between 1e-6 and 1 - 1e-6. Ng, "Sparse
    autoencoder", CS294A notes, section 3. A sum over units; the batch enters through its mean activity alone, that of
    all samples where ranks share it.
    """

    def __init__(self, rho: float):
        self.rho = rho

    def forward(self, h):
        be, xp, rho = self.be, self.be.xp, self.rho
        r = be.sum(h, axis=0)
        be.divide(r, float(max(len(h), 1)), out=r)
        batch_mean(be, r)
        xp.maximum(r, 1e-6, out=r)
        xp.minimum(r, 1.0 - 1e-6, out=r)
        self.save(r)
        self.shape = h.shape
        entropy = rho * math.log(rho) + (1.0 - rho) * math.log(1.0 - rho)
        active = be.multiply(be.elementwise(xp.log, r), rho)
        idle = be.multiply(be.elementwise(xp.log1p, be.multiply(r, -1.0)), 1.0 - rho)
        return be.sum(be.subtract(be.subtract(entropy, active), idle))

    def backward(self, gy):
        (r,) = self.saved
        be = self.be
        slope = be.subtract(be.divide(1.0 - self.rho, be.subtract(1.0, r)), be.divide(self.rho, r))
        be.multiply(slope, 1.0 / max(self.shape[0], 1), out=slope)
        return be.xp.broadcast_to(be.multiply(slope, gy, out=slope), self.shape)

    def jvp(self, loss, th):
        n = max(self.shape[0], 1)
        r = self.inputs[0].sum(0) * (1.0 / n)
        return (th.sum(0) * ((1.0 - self.rho) / (1.0 - r) - self.rho / r)).sum() * (1.0 / n)


def squared_error(y: Any, target: Any) -> Tensor:
    """The squared error: summed over features, averaged over the batch. Both (N, ...)."""
    return SquaredError()(*_same_shape(y, target))


def absolute_error(y: Any, target: Any) -> Tensor:
    """The absolute error: summed over features, averaged over the batch. Both (N, ...)."""
    return AbsoluteError()(*_same_shape(y, target))


def huber(y: Any, target: Any, delta: float = 1.0) -> Tensor:
    """Half the squared error up to `delta`, growing linearly beyond: an outlier pulls no harder than `delta`."""
    if not delta > 0:
        raise ValueError(f"delta must be above 0, got {delta}")
    return Huber(float(delta))(*_same_shape(y, target))


def binary_cross_entropy(p: Any, target: Any) -> Tensor:
    """The cross-entropy of targets in [0, 1] and probabilities `p`, in nats. Both (N, ...).

    From logits, `binary_cross_entropy_with_logits` is more accurate.
    """
    return BinaryCrossEntropy()(*_same_shape(p, target))


def binary_cross_entropy_with_logits(z: Any, target: Any) -> Tensor:
    """The cross-entropy of targets in [0, 1] and the probabilities sigmoid(z), in nats. Both (N, ...)."""
    return BinaryCrossEntropyWithLogits()(*_same_shape(z, target))


def weighted_squared_error(y: Any, target: Any, weights: Any) -> Tensor:
    """The squared error with a weight for each element, which is not differentiated. All (N, ...)."""
    y, target = _same_shape(y, target)
    return WeightedSquaredError()(y, target, _same_shape(y, weights)[1])


def masked_squared_error(y: Any, target: Any) -> Tensor:
    """The squared error over known targets, those that are not NaN: summed over them, averaged over the batch.

    Both (N, ...); where nothing is known of a sample, it counts as 0.
    """
    return MaskedSquaredError()(*_same_shape(y, target))


def weighted_binary_cross_entropy_with_logits(z: Any, target: Any, weights: Any) -> Tensor:
    """`binary_cross_entropy_with_logits` with a weight for each element, which is not differentiated. All (N, ...)."""
    z, target = _same_shape(z, target)
    return WeightedBinaryCrossEntropyWithLogits()(z, target, _same_shape(z, weights)[1])


def cross_entropy(z: Any, target: Any) -> Tensor:
    """The cross-entropy of target probabilities and softmax(z) over the last axis, in nats. Both (N, ..., classes).

    For class numbers, make one-hot rows first.
    """
    return CrossEntropy()(*_same_shape(z, target))


def gaussian_kl(mean: Any, log_variance: Any) -> Tensor:
    """KL(N(mean, exp(log_variance)) || N(0, 1)), summed over units, averaged over the batch, in nats. Both (N, ...)."""
    return GaussianKL()(*_same_shape(mean, log_variance))


def kl_sparsity(activity: Any, rho: float = 0.05) -> Tensor:
    """How far the mean activities of units (N, units), in (0, 1), are from the target `rho`, in nats."""
    if not 0 < rho < 1:
        raise ValueError(f"the target activity rho must lie between 0 and 1, got {rho}")
    return KLSparsity(float(rho))(activity)


LOSSES: dict[str, Callable[[Any, Any], Tensor]] = {
    "mse": squared_error,
    "mae": absolute_error,
    "huber": huber,
    "bce": binary_cross_entropy,
    "bce_logits": binary_cross_entropy_with_logits,
    "cross_entropy": cross_entropy,
}
"""The losses of (prediction, target) by name."""


def get_loss(name: str | Callable[[Any, Any], Tensor]) -> Callable[[Any, Any], Tensor]:
    """The loss of that name; a function is returned as it is. Raises `ValueError` for an unknown name."""
    if callable(name):
        return name
    if name not in LOSSES:
        raise ValueError(f"unknown loss {name!r}: expected one of {', '.join(LOSSES)}")
    return LOSSES[name]


def _same_shape(a: Any, b: Any) -> tuple[Tensor, Tensor]:
    a = a if isinstance(a, Tensor) else as_tensor(a, backend=b.backend if isinstance(b, Tensor) else None)
    b = as_tensor(b, a.dtype, a.backend)
    if a.shape != b.shape:
        raise ValueError(f"the prediction has shape {a.shape}, the target {b.shape}: they must be the same")
    return a, b
