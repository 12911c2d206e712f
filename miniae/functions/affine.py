"""Matrix products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from miniae.autodiff import Function, Tensor
from miniae.autodiff.tensor import give_tensors
from miniae.functions.activation import Activated, by_value

__all__ = ["matmul", "dense"]


class MatMul(Function):
    """Y = A B for matrices (n, k) and (k, m).   dL/dA = dL/dY B', dL/dB = A' dL/dY."""

    def forward(self, a, b):
        self.save(a, b)
        return self.be.matmul(a, b)

    def backward(self, gy):
        a, b = self.saved
        ga = self.be.matmul(gy, b.T, out=self.buffer_for(0)) if self.needs[0] else None
        gb = self.be.matmul(a.T, gy, out=self.buffer_for(1)) if self.needs[1] else None
        return ga, gb

    def jvp(self, y, ta, tb):
        a, b = self.inputs
        terms = [matmul(ta, b)] if ta is not None else []
        terms += [matmul(a, tb)] if tb is not None else []
        return terms[0] if len(terms) == 1 else terms[0] + terms[1]


class DenseFunction(Activated):
    """Y = f(X W + b), rows of X being samples: (n, in) (in, out) + (out,); f is the identity, or acts by its value.

    With G = dL/dY f',   dL/dX = G W',  dL/dW = X' G,  dL/db = the column sums of G.
    """

    def forward(self, x, w, b):
        return self.end(self.be.affine(x, w, b, f=self.kernel), x, w)

    def backward(self, gy):
        x, w, g, gb = self.begin(gy)
        gx = self.be.matmul(g, w.T, out=self.buffer_for(0)) if self.needs[0] else None
        gw = self.be.matmul(x.T, g, out=self.buffer_for(1)) if self.needs[1] else None
        return gx, gw, gb

    def jvp(self, y, tx, tw, tb):
        x, w, _ = self.inputs
        terms = [matmul(tx, w)] if tx is not None else []
        terms += [matmul(x, tw)] if tw is not None else []
        terms += [tb] if tb is not None else []
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        total = total if total.shape == y.shape else total + y * 0.0
        return self.f.jvp(y, total) if self.f else total


def matmul(a: Any, b: Any) -> Tensor:
    """The matrix product of two matrices, (n, k) and (k, m) to (n, m). Raises `ValueError` for other shapes."""
    if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[1] != b.shape[0]:
        raise ValueError(f"matmul needs matrices (n, k) and (k, m), got shapes {tuple(a.shape)} and {tuple(b.shape)}")
    return MatMul()(a, b)


def dense(x: Any, weight: Any, bias: Any, activation: Callable[[Any], Tensor] | None = None) -> Tensor:
    """activation(x @ weight + bias) for x (n, in), weight (in, out), bias (out,); None stands for no activation."""
    f = by_value(activation)
    y = DenseFunction(f)(x, weight, bias)
    return y if f or activation is None else activation(y)


give_tensors(__matmul__=matmul, __rmatmul__=lambda self, other: matmul(other, self))
