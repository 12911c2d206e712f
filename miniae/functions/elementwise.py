"""Elementary functions, element by element."""

from __future__ import annotations

from typing import Any

from miniae.autodiff import Function, Tensor
from miniae.autodiff.tensor import give_tensors

__all__ = ["absolute", "clip", "exp", "log", "sqrt"]


class Exp(Function):
    """y = exp(x).   dL/dx = dL/dy y."""

    def forward(self, x):
        y = self.be.elementwise(self.be.xp.exp, x)
        self.save(y)
        return y

    def backward(self, gy):
        (y,) = self.saved
        return self.be.multiply(gy, y)

    def jvp(self, y, tx):
        return tx * y


class Log(Function):
    """y = log(x).   dL/dx = dL/dy / x."""

    def forward(self, x):
        self.save(x)
        return self.be.elementwise(self.be.xp.log, x)

    def backward(self, gy):
        (x,) = self.saved
        return self.be.divide(gy, x)

    def jvp(self, y, tx):
        return tx / self.inputs[0]


class Sqrt(Function):
    """y = sqrt(x).   dL/dx = dL/dy / (2 y)."""

    def forward(self, x):
        y = self.be.elementwise(self.be.xp.sqrt, x)
        self.save(y)
        return y

    def backward(self, gy):
        (y,) = self.saved
        return self.be.divide(gy, self.be.multiply(y, 2.0))

    def jvp(self, y, tx):
        return tx / (2.0 * y)


class Absolute(Function):
    """y = |x|.   dL/dx = dL/dy sign(x); 0 at 0."""

    def forward(self, x):
        self.save(x)
        return self.be.elementwise(self.be.xp.abs, x)

    def backward(self, gy):
        (x,) = self.saved
        return self.be.multiply(gy, self.be.elementwise(self.be.xp.sign, x))

    def jvp(self, y, tx):
        return tx * Tensor._wrap(self.be.elementwise(self.be.xp.sign, self.inputs[0]._data), self.be)


class Clip(Function):
    """y = min(max(x, low), high).   dL/dx = dL/dy where low <= x <= high, 0 elsewhere."""

    def __init__(self, low: float, high: float):
        self.low, self.high = low, high

    def forward(self, x):
        self.save(x)
        return self.be.elementwise(self.be.xp.clip, x, self.low, self.high)

    def backward(self, gy):
        (x,) = self.saved
        return self.be.multiply(gy, self._inside(x))

    def jvp(self, y, tx):
        return tx * Tensor._wrap(self._inside(self.inputs[0]._data), self.be)

    @staticmethod
    def inside(xp, x, low, high):
        return ((x >= low) & (x <= high)).astype(x.dtype)

    def _inside(self, x):
        return self.be.formula(self.inside, x, self.low, self.high)


def exp(x: Any) -> Tensor:
    """e to the power x."""
    return Exp()(x)


def log(x: Any) -> Tensor:
    """The natural logarithm of x > 0."""
    return Log()(x)


def sqrt(x: Any) -> Tensor:
    """The square root of x >= 0; its derivative at 0 is infinite."""
    return Sqrt()(x)


def absolute(x: Any) -> Tensor:
    """|x|."""
    return Absolute()(x)


def clip(x: Any, low: float, high: float) -> Tensor:
    """x held between two numbers. Raises `ValueError` when low > high."""
    if low > high:
        raise ValueError(f"clip needs low <= high, got {low} and {high}")
    return Clip(low, high)(x)


give_tensors(__abs__=absolute)
