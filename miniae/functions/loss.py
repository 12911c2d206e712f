"""Losses. One convention everywhere: the sum over features, the mean over the batch (the first axis), in nats."""

from __future__ import annotations

from typing import Any

from miniae.autodiff import Function, Tensor

__all__ = ["squared_error", "binary_cross_entropy_with_logits"]


class SquaredError(Function):
    """L = 1/N sum_n |y_n - t_n|^2.   dL/dy = 2/N (y - t). Targets get no gradient."""

    def forward(self, y, t):
        loss, grad = self.be.squared_error(y, t)
        self.save(grad)
        return loss

    def backward(self, gy):
        (grad,) = self.saved
        return self.be.multiply(grad, gy), None

    def jvp(self, loss, ty, tt):
        y, t = self.inputs
        return None if ty is None else (ty * (y - t)).sum() * (2.0 / max(len(y), 1))


class BinaryCrossEntropyWithLogits(Function):
    """L = 1/N sum softplus(z) - t z, which is -t log p - (1 - t) log(1 - p) for p = sigmoid(z), without overflow.

    dL/dz = 1/N (sigmoid(z) - t). Targets get no gradient.
    """

    def forward(self, z, t):
        loss, grad = self.be.bce_logits(z, t)
        self.save(grad)
        return loss

    def backward(self, gy):
        (grad,) = self.saved
        return self.be.multiply(grad, gy), None

    def jvp(self, loss, tz, tt):
        from miniae.functions.activation import sigmoid

        z, t = self.inputs
        return None if tz is None else (tz * (sigmoid(z) - t)).sum() * (1.0 / max(len(z), 1))


def squared_error(y: Any, target: Any) -> Tensor:
    """The squared error: summed over features, averaged over the batch. `y` and `target` of shape (N, ...)."""
    return SquaredError()(y, target)


def binary_cross_entropy_with_logits(z: Any, target: Any) -> Tensor:
    """Cross-entropy in nats of targets in [0, 1] and logits `z`, both (N, ...): summed, averaged over the batch."""
    return BinaryCrossEntropyWithLogits()(z, target)
