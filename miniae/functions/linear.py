"""Matrix products."""

from __future__ import annotations

from typing import Any

from miniae.autodiff import Function, Tensor

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


class DenseFunction(Function):
    """Y = X W + b, rows of X being samples: (n, in) (in, out) + (out,).

    dL/dX = dL/dY W',  dL/dW = X' dL/dY,  dL/db = the column sums of dL/dY.
    """

    def forward(self, x, w, b):
        self.save(x, w)
        return self.be.affine(x, w, b)

    def backward(self, gy):
        x, w = self.saved
        gx = self.be.matmul(gy, w.T, out=self.buffer_for(0)) if self.needs[0] else None
        gw = self.be.matmul(x.T, gy, out=self.buffer_for(1)) if self.needs[1] else None
        gb = self.be.sum(gy, axis=0, out=self.buffer_for(2)) if self.needs[2] else None
        return gx, gw, gb

    def jvp(self, y, tx, tw, tb):
        x, w, _ = self.inputs
        terms = [matmul(tx, w)] if tx is not None else []
        terms += [matmul(x, tw)] if tw is not None else []
        terms += [tb] if tb is not None else []
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        return total if total.shape == y.shape else total + y * 0.0


def matmul(a: Any, b: Any) -> Tensor:
    """The matrix product of two matrices, (n, k) and (k, m) to (n, m). Raises `ValueError` for other shapes."""
    if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[1] != b.shape[0]:
        raise ValueError(f"matmul needs matrices (n, k) and (k, m), got shapes {tuple(a.shape)} and {tuple(b.shape)}")
    return MatMul()(a, b)


def dense(x: Any, weight: Any, bias: Any) -> Tensor:
    """x @ weight + bias for x (n, in), weight (in, out), bias (out,)."""
    return DenseFunction()(x, weight, bias)


Tensor.__matmul__ = matmul
Tensor.__rmatmul__ = lambda self, other: matmul(other, self)
