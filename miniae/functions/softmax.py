"""Softmax and its logarithm."""

from __future__ import annotations

from typing import Any

from miniae.autodiff import Function, Tensor

__all__ = ["log_softmax", "logsumexp", "softmax"]


class Softmax(Function):
    """y_i = exp(x_i) / sum_j exp(x_j) along an axis.   dL/dx_i = y_i (dL/dy_i - sum_j dL/dy_j y_j)."""

    def __init__(self, axis: int):
        self.axis = axis

    @staticmethod
    def value(xp, x, axis):
        y = xp.exp(x - xp.max(x, axis=axis, keepdims=True))
        return y / xp.sum(y, axis=axis, keepdims=True)

    @staticmethod
    def gradient(xp, gy, y, axis):
        return y * (gy - xp.sum(gy * y, axis=axis, keepdims=True))

    def forward(self, x):
        y = self.be.formula(self.value, x, self.axis)
        self.save(y)
        return y

    def backward(self, gy):
        return self.be.formula(self.gradient, gy, *self.saved, self.axis)

    def jvp(self, y, tx):
        return y * (tx - (tx * y).sum(self.axis, True))


class LogSoftmax(Function):
    """y_i = x_i - log sum_j exp(x_j) along an axis.   dL/dx_i = dL/dy_i - exp(y_i) sum_j dL/dy_j."""

    def __init__(self, axis: int):
        self.axis = axis

    @staticmethod
    def value(xp, x, axis):
        shifted = x - xp.max(x, axis=axis, keepdims=True)
        return shifted - xp.log(xp.sum(xp.exp(shifted), axis=axis, keepdims=True))

    @staticmethod
    def gradient(xp, gy, y, axis):
        return gy - xp.exp(y) * xp.sum(gy, axis=axis, keepdims=True)

    def forward(self, x):
        y = self.be.formula(self.value, x, self.axis)
        self.save(y)
        return y

    def backward(self, gy):
        return self.be.formula(self.gradient, gy, *self.saved, self.axis)

    def jvp(self, y, tx):
        return tx - (tx * softmax(self.inputs[0], self.axis)).sum(self.axis, True)


class LogSumExp(Function):
    """y = log sum_j exp(x_j) along an axis.   dL/dx_i = dL/dy exp(x_i - y)."""

    def __init__(self, axis: int):
        self.axis = axis

    @staticmethod
    def value(xp, x, axis):
        high = xp.max(x, axis=axis, keepdims=True)
        return high + xp.log(xp.sum(xp.exp(x - high), axis=axis, keepdims=True))

    @staticmethod
    def gradient(xp, gy, x, y, axis):
        return xp.expand_dims(gy, axis) * xp.exp(x - y)

    def forward(self, x):
        y = self.be.formula(self.value, x, self.axis)
        self.save(x, y)
        return self.be.xp.squeeze(y, axis=self.axis)

    def backward(self, gy):
        return self.be.formula(self.gradient, gy, *self.saved, self.axis)

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
