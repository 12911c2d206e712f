"""Functions without a useful derivative, and the gradient that passes through them as though they were not there."""

from __future__ import annotations

from typing import Any

from miniae.autodiff import Function, Tensor, as_tensor

__all__ = ["straight_through"]


class StraightThrough(Function):
    """y = value, as though it were x plus a constant.   dL/dx = dL/dy, and the tangent of y is that of x."""

    def __init__(self, value: Any):
        self.value = value

    def forward(self, x):
        return self.value

    def backward(self, gy):
        return gy

    def jvp(self, y, tx):
        return tx


def straight_through(x: Any, value: Any) -> Tensor:
    """`value`, of the shape of x, with the gradient going to x: for a value that was rounded, say, or quantised from x.

    Bengio, Léonard and Courville, "Estimating or propagating gradients through stochastic neurons", 2013. Raises
    `ValueError` when the shapes differ.
    """
    x = as_tensor(x)
    value = as_tensor(value, x.dtype, x.backend)
    if value.shape != x.shape:
        raise ValueError(f"straight_through takes a value of the shape of x, {x.shape}, got {value.shape}")
    return StraightThrough(value._data)(x)
