"""Sums over axes."""

from __future__ import annotations

from typing import Any

from miniae.autodiff import Function, Tensor

__all__ = ["sum"]

Axis = int | tuple[int, ...] | None


class Sum(Function):
    """y = sum of x over some axes.   dL/dx = dL/dy, repeated along them."""

    def __init__(self, axis: Axis = None, keepdims: bool = False):
        self.axis, self.keepdims = axis, keepdims

    def forward(self, x):
        self.shape = x.shape
        return self.be.sum(x, axis=self.axis, keepdims=self.keepdims)

    def backward(self, gy):
        if self.axis is not None and not self.keepdims:
            gy = self.be.xp.expand_dims(gy, self.axis)
        gx = self.be.empty(self.shape, gy.dtype)
        self.be.xp.copyto(gx, gy)
        return gx

    def jvp(self, y, tx):
        return sum(tx, self.axis, self.keepdims)


def sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The sum over `axis` (an axis, several, or all)."""
    return Sum(axis, keepdims)(x)


Tensor.sum = sum
