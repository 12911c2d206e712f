"""Sums, means and extremes over axes."""

from __future__ import annotations

import builtins
import math
from typing import Any

from miniae.autodiff import Function, Tensor
from miniae.autodiff.tensor import give_tensors

__all__ = ["max", "mean", "min", "sum"]

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


class Max(Function):
    """y = the largest x along some axes.   dL/dx = dL/dy where x is the largest, shared equally among equals."""

    def __init__(self, axis: Axis = None, keepdims: bool = False):
        self.axis, self.keepdims = axis, keepdims

    @staticmethod
    def value(xp, x, axis):
        return xp.max(x, axis=axis, keepdims=True)

    @staticmethod
    def shares(xp, x, y, axis):
        winners = (x == y).astype(x.dtype)
        return winners / xp.sum(winners, axis=axis, keepdims=True)

    def forward(self, x):
        y = self.be.formula(self.value, x, self.axis)
        self.share = self.be.formula(self.shares, x, y, self.axis)
        self.save(self.share)
        if self.keepdims:
            return y
        return y.reshape(()) if self.axis is None else self.be.xp.squeeze(y, axis=self.axis)

    def backward(self, gy):
        (share,) = self.saved
        if self.axis is not None and not self.keepdims:
            gy = self.be.xp.expand_dims(gy, self.axis)
        return self.be.multiply(share, gy)

    def jvp(self, y, tx):
        return sum(tx * Tensor._wrap(self.share, self.be), self.axis, self.keepdims)


def sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The sum over `axis` (an axis, several, or all)."""
    return Sum(axis, keepdims)(x)


def mean(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The mean over `axis` (an axis, several, or all). Raises `ValueError` when there is nothing to average."""
    axes = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    count = math.prod(x.shape[i] for i in axes)
    if count == 0:
        raise ValueError(f"there is no mean over axis {axis} of a tensor of shape {x.shape}: nothing is in it")
    return sum(x, axis, keepdims) * (1.0 / count)


def max(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest element along `axis`; among equal ones the gradient is shared."""
    _check_any(x, axis)
    return Max(axis, keepdims)(x)


def min(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The smallest element along `axis`; among equal ones the gradient is shared."""
    return -max(-x, axis, keepdims)


def _check_any(x: Tensor, axis: Axis) -> None:
    axes = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    if builtins.any(x.shape[i] == 0 for i in axes):
        raise ValueError(f"there is no extreme along axis {axis} of a tensor of shape {x.shape}: nothing is in it")


give_tensors(sum=sum, mean=mean, max=max, min=min)
