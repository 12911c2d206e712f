"""The four operations and powers, with broadcasting. Importing this module gives `Tensor` its operators."""

from __future__ import annotations

from typing import Any

from miniae.autodiff import Function, Tensor
from miniae.autodiff.tensor import give_tensors

__all__ = ["add", "subtract", "multiply", "divide", "negative", "power"]


class Add(Function):
    """y = a + b.   dL/da = dL/db = dL/dy, summed over the axes that were broadcast."""

    def forward(self, a, b):
        self.shapes = getattr(a, "shape", ()), getattr(b, "shape", ())
        return self.be.add(a, b) if self.shapes[0] or not self.shapes[1] else self.be.add(b, a)

    def backward(self, gy):
        return tuple(self.be.sum_to(gy, s) if n else None for s, n in zip(self.shapes, self.needs, strict=True))

    def jvp(self, y, ta, tb):
        return _broadcast_tangent(ta if tb is None else tb if ta is None else add(ta, tb), y)


class Subtract(Function):
    """y = a - b.   dL/da = dL/dy, dL/db = -dL/dy."""

    def forward(self, a, b):
        self.shapes = getattr(a, "shape", ()), getattr(b, "shape", ())
        return self.be.subtract(a, b)

    def backward(self, gy):
        ga = self.be.sum_to(gy, self.shapes[0]) if self.needs[0] else None
        gb = self.be.elementwise(self.be.xp.negative, self.be.sum_to(gy, self.shapes[1])) if self.needs[1] else None
        return ga, gb

    def jvp(self, y, ta, tb):
        return _broadcast_tangent(ta if tb is None else negative(tb) if ta is None else subtract(ta, tb), y)


class Multiply(Function):
    """y = a b.   dL/da = dL/dy b, dL/db = dL/dy a."""

    def forward(self, a, b):
        self.save(a, b)
        return self.be.multiply(a, b)

    def backward(self, gy):
        a, b = self.saved
        ga = self.be.sum_to(self.be.multiply(gy, b), a.shape) if self.needs[0] else None
        gb = self.be.sum_to(self.be.multiply(gy, a), b.shape) if self.needs[1] else None
        return ga, gb

    def jvp(self, y, ta, tb):
        a, b = self.inputs
        return _sum_of(None if ta is None else multiply(ta, b), None if tb is None else multiply(a, tb))


class Divide(Function):
    """y = a / b.   dL/da = dL/dy / b, dL/db = -dL/dy y / b."""

    def forward(self, a, b):
        y = self.be.divide(a, b)
        self.save(b, y)
        self.shapes = getattr(a, "shape", ()), getattr(b, "shape", ())
        return y

    def backward(self, gy):
        b, y = self.saved
        ga = self.be.divide(gy, b)
        gb = self.be.multiply(ga, self.be.multiply(y, -1.0)) if self.needs[1] else None
        return (self.be.sum_to(ga, self.shapes[0]) if self.needs[0] else None,
                self.be.sum_to(gb, self.shapes[1]) if self.needs[1] else None)

    def jvp(self, y, ta, tb):
        b = self.inputs[1]
        return _sum_of(None if ta is None else divide(ta, b), None if tb is None else negative(divide(y * tb, b)))


class Negative(Function):
    """y = -x.   dL/dx = -dL/dy."""

    def forward(self, x):
        return self.be.elementwise(self.be.xp.negative, x)

    def backward(self, gy):
        return self.be.elementwise(self.be.xp.negative, gy)

    def jvp(self, y, tx):
        return negative(tx)


class Power(Function):
    """y = x^p for a constant number p.   dL/dx = dL/dy p x^(p - 1)."""

    def __init__(self, p: float):
        self.p = p

    @staticmethod
    def value(xp, x, p):
        return x**p

    @staticmethod
    def gradient(xp, gy, x, p):
        return gy * (p * x ** (p - 1))

    def forward(self, x):
        self.save(x)
        return self.be.formula(self.value, x, self.p)

    def backward(self, gy):
        return self.be.formula(self.gradient, gy, *self.saved, self.p)

    def jvp(self, y, tx):
        return tx * (self.p * power(self.inputs[0], self.p - 1))


def add(a: Any, b: Any) -> Tensor:
    """a + b, broadcast."""
    return Add()(a, b)


def subtract(a: Any, b: Any) -> Tensor:
    """a - b, broadcast."""
    return Subtract()(a, b)


def multiply(a: Any, b: Any) -> Tensor:
    """a * b element by element, broadcast."""
    return Multiply()(a, b)


def divide(a: Any, b: Any) -> Tensor:
    """a / b element by element, broadcast."""
    return Divide()(a, b)


def negative(x: Any) -> Tensor:
    """-x."""
    return Negative()(x)


def power(x: Any, p: float) -> Tensor:
    """x to the power of the number p, element by element."""
    if not isinstance(p, (int, float)):
        raise TypeError(f"the exponent must be a number, got {type(p).__name__}: write exp(p * log(x)) for a tensor p")
    return Power(p)(x)


def _sum_of(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return b if a is None else a if b is None else add(a, b)


def _broadcast_tangent(t: Tensor, y: Tensor) -> Tensor:
    """A tangent in the shape of the output, when the tensor that moves was the smaller operand."""
    return t if t.shape == y.shape else add(t, Tensor._wrap(y.backend.zeros(y.shape, y.dtype), y.backend))


give_tensors(
    __add__=add, __radd__=add, __sub__=subtract, __rsub__=lambda self, other: subtract(other, self),
    __mul__=multiply, __rmul__=multiply, __truediv__=divide, __rtruediv__=lambda self, other: divide(other, self),
    __neg__=negative, __pow__=power)
