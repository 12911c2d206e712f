"""Batch and layer normalisation, and vectors of length 1."""

from __future__ import annotations

import math

from miniae.autodiff import Function, Tensor
from miniae.backend.sharing import batch_mean, batch_rows, current_share

__all__ = ["batch_norm", "layer_norm", "unit_norm"]


class Normalize(Function):
    """y = (x - m) / s over some axes, m being the mean and s = sqrt(variance + epsilon) there.

    dL/dx = (dL/dy - mean(dL/dy) - y mean(dL/dy y)) / s, with the means over the same axes. Those over the axis of the
    samples are means over the whole minibatch, where ranks share one.
    """

    def __init__(self, axes: tuple[int, ...], epsilon: float):
        self.axes, self.epsilon = axes, epsilon

    def forward(self, x):
        be = self.be
        self.mean = self._mean(x)
        centred = be.subtract(x, self.mean)
        self.variance = self._mean(be.multiply(centred, centred))
        deviation = be.add(self.variance, self.epsilon)
        be.xp.sqrt(deviation, out=deviation)
        y = be.divide(centred, deviation, out=centred)
        self.save(y, deviation)
        return y

    def backward(self, gy):
        be, (y, deviation) = self.be, self.saved
        along = self._mean(be.multiply(gy, y))
        gx = be.subtract(gy, self._mean(gy))
        be.subtract(gx, be.multiply(y, along), out=gx)
        return be.divide(gx, deviation, out=gx)

    def _mean(self, a):
        total = self.be.sum(a, axis=self.axes, keepdims=True)
        mean = self.be.divide(total, float(max(math.prod(a.shape[axis] for axis in self.axes), 1)), out=total)
        return batch_mean(self.be, mean) if 0 in self.axes else mean

    def jvp(self, y, tx):
        if 0 in self.axes and current_share() is not None:
            raise ValueError("a tangent through batch normalisation goes from each sample to all, which ranks can't "
                             "share: train a contractive model without batch_norm, or on a single rank")
        # The formula is symmetric in tx and the gradient. It is differentiated with s as a function of the input.
        n = 1
        for axis in self.axes:
            n *= y.shape[axis]
        x = self.inputs[0]
        centred = x - x.sum(self.axes, True) * (1.0 / n)
        variance = (centred * centred).sum(self.axes, True) * (1.0 / n)
        along = (tx * y).sum(self.axes, True) * (1.0 / n)
        return (tx - tx.sum(self.axes, True) * (1.0 / n) - y * along) / (variance + self.epsilon) ** 0.5


def batch_norm(x: Tensor, gamma: Tensor, beta: Tensor, running_mean: Tensor, running_variance: Tensor,
               momentum: float = 0.1, epsilon: float = 1e-5, training: bool = True) -> Tensor:
    """y = gamma (x - m) / sqrt(v + epsilon) + beta, for x (N, D) or (N, C, H, W): one m, v, gamma, beta a channel.

    In training, m and v are the batch's own mean and (biased) variance, and the running ones move towards them by the
    share `momentum`, in place (the running variance towards the unbiased one). Otherwise m and v are the running ones.
    Ioffe and Szegedy, "Batch normalization", ICML 2015, algorithms 1 and 2. Raises `ValueError` for other shapes, and
    in training for a single value a channel, whose variance is 0.
    """
    if x.ndim not in (2, 4) or gamma.shape != (x.shape[1],):
        raise ValueError(f"batch_norm takes x (N, C) or (N, C, H, W) and gamma (C,), got {x.shape} and {gamma.shape}")
    axes = (0,) if x.ndim == 2 else (0, 2, 3)
    shape = (1, x.shape[1]) + (1,) * (x.ndim - 2)
    if training:
        count = batch_rows(len(x)) * math.prod(x.shape[2:])
        if count < 2:
            raise ValueError(f"batch_norm in training needs at least 2 values a channel, got x of shape {x.shape}: "
                             "use larger batches, or a batch size that leaves no last batch of one")
        normalize = Normalize(axes, epsilon)
        y = normalize(x)
        be = x.backend
        unbiased = be.multiply(normalize.variance, count / (count - 1))
        for running, value in ((running_mean, normalize.mean), (running_variance, unbiased)):
            change = be.subtract(value.reshape(running.shape), running._data)
            be.add(running._data, be.multiply(change, momentum, out=change), out=running._data)
            running._version.count += 1
    else:
        deviation = (running_variance._data + epsilon) ** 0.5
        scale = Tensor._wrap(1.0 / deviation.reshape(shape), x.backend)
        y = (x - Tensor._wrap(running_mean._data.reshape(shape), x.backend)) * scale
    return y * gamma.reshape(shape) + beta.reshape(shape)


def layer_norm(x: Tensor, gamma: Tensor, beta: Tensor, epsilon: float = 1e-5) -> Tensor:
    """y = gamma (x - m) / sqrt(v + epsilon) + beta, with each sample's own mean and (biased) variance.

    They are taken over the last axes, as many as gamma has. Ba, Kiros and Hinton, "Layer normalization", 2016.
    """
    if gamma.ndim == 0 or x.shape[x.ndim - gamma.ndim:] != gamma.shape or beta.shape != gamma.shape:
        raise ValueError(f"layer_norm takes gamma and beta in the shape of x's last axes, got x {x.shape}, "
                         f"gamma {gamma.shape}, beta {beta.shape}")
    return Normalize(tuple(range(x.ndim - gamma.ndim, x.ndim)), epsilon)(x) * gamma + beta


class UnitNorm(Function):
    """y = x / |x| over the last axis, and 0 for x = 0.   dL/dx = (dL/dy - y sum(dL/dy y)) / |x|, or 0."""

    @staticmethod
    def inverse_length(xp, x):
        squared = xp.sum(x * x, axis=-1, keepdims=True)
        return (squared > 0).astype(x.dtype) / xp.sqrt(squared + (squared == 0).astype(x.dtype))

    @staticmethod
    def gradient(xp, gy, y, inverse):
        return (gy - y * xp.sum(gy * y, axis=-1, keepdims=True)) * inverse

    def forward(self, x):
        inverse = self.be.formula(self.inverse_length, x)
        y = self.be.multiply(x, inverse)
        self.save(y, inverse)
        return y

    def backward(self, gy):
        return self.be.formula(self.gradient, gy, *self.saved)

    def jvp(self, y, tx):
        x = self.inputs[0]
        squared = (x * x).sum(-1, True)
        empty = Tensor._wrap(self.be.formula(lambda xp, s: (s == 0).astype(s.dtype), squared._data), self.be)
        return (tx - y * (tx * y).sum(-1, True)) * ((1.0 - empty) / (squared + empty) ** 0.5)


def unit_norm(x: Tensor) -> Tensor:
    """x (N, ..., D) with vectors of length 1 along the last axis; what is all 0 stays 0."""
    return UnitNorm()(x)
