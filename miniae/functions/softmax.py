"""Softmax and its logarithm."""

from __future__ import annotations

from typing import Any

from miniae.autodiff import Function, Tensor

__all__ = ["log_softmax", "logsumexp", "softmax"]


class Softmax(Function):
    """y_i = exp(x_i) / sum_j exp(x_j) along an axis.   dL/dx_i = y_i (dL/dy_i - sum_j dL/dy_j y_j)."""

    def __init__(self, axis: int):
        self.axis = axis

    def forward(self, x):
        xp = self.be.xp
        y = xp.exp(x - xp.max(x, axis=self.axis, keepdims=True))
        y /= xp.sum(y, axis=self.axis, keepdims=True)
        self.save(y)
        return y

    def backward(self, gy):
        (y,) = self.saved
        return y * (gy - self.be.xp.sum(gy * y, axis=self.axis, keepdims=True))

    def jvp(self, y, tx):
        return y * (tx - (tx * y).sum(self.axis, True))


class LogSoftmax(Function):
    """y_i = x_i - log sum_j exp(x_j) along an axis.   dL/dx_i = dL/dy_i - exp(y_i) sum_j dL/dy_j."""

    def __init__(self, axis: int):
        self.axis = axis

    def forward(self, x):
        xp = self.be.xp
        shifted = x - xp.max(x, axis=self.axis, keepdims=True)
        y = shifted - xp.log(xp.sum(xp.exp(shifted), axis=self.axis, keepdims=True))
        self.save(y)
        return y

    def backward(self, gy):
        (y,) = self.saved
        return gy - self.be.xp.exp(y) * self.be.xp.sum(gy, axis=self.axis, keepdims=True)

    def jvp(self, y, tx):
        return tx - (tx * softmax(self.inputs[0], self.axis)).sum(self.axis, True)


class LogSumExp(Function):
    """y = log sum_j exp(x_j) along an axis.   dL/dx_i = dL/dy exp(x_i - y)."""

    def __init__(self, axis: int):
        self.axis = axis

    def forward(self, x):
        xp = self.be.xp
        high = xp.max(x, axis=self.axis, keepdims=True)
        y = high + xp.log(xp.sum(xp.exp(x - high), axis=self.axis, keepdims=True))
        self.save(x, y)
        return xp.squeeze(y, axis=self.axis)

    def backward(self, gy):
        x, y = self.saved
        return self.be.xp.expand_dims(gy, self.axis) * self.be.xp.exp(x - y)

    def jvp(self, y, tx):
        return (tx * softmax(self.inputs[0], self.axis)).sum(self.axis)


def softmax(x: Any, axis: int = -1) -> Tensor:
    """Positive numbers that sum to 1 along `axis`."""
    return Softmax(axis)(x)


def log_softmax(x: Any, axis: int = -1) -> Tensor:
    """The logarithm of the softmax, without overflow or loss of small probabilities."""
    return LogSoftmax(axis)(x)


def logsumexp(x: Any, axis: int = -1) -> Tensor:
    """log of the sum of exponentials along `axis`, without overflow."""
    return LogSumExp(axis)(x)
