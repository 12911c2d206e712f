"""Element-wise nonlinearities."""

from __future__ import annotations

from typing import Any

from miniae.autodiff import Function, Tensor

__all__ = ["sigmoid", "tanh", "relu", "leaky_relu", "softplus"]


class Sigmoid(Function):
    """y = 1 / (1 + exp(-x)).   dL/dx = dL/dy y (1 - y)."""

    def forward(self, x):
        y = self.be.sigmoid(x)
        self.save(y)
        return y

    def backward(self, gy):
        (y,) = self.saved
        return self.be.sigmoid_grad(gy, y)

    def jvp(self, y, tx):
        return tx * (y * (1.0 - y))


class Tanh(Function):
    """y = tanh(x).   dL/dx = dL/dy (1 - y^2)."""

    def forward(self, x):
        y = self.be.tanh(x)
        self.save(y)
        return y

    def backward(self, gy):
        (y,) = self.saved
        return self.be.tanh_grad(gy, y)

    def jvp(self, y, tx):
        return tx * (1.0 - y * y)


class LeakyReLU(Function):
    """y = x where x > 0, slope x elsewhere.   dL/dx = dL/dy (1 where x > 0, slope elsewhere)."""

    def __init__(self, slope: float):
        self.slope = slope

    def forward(self, x):
        self.save(x)
        return self.be.leaky_relu(x, self.slope)

    def backward(self, gy):
        (x,) = self.saved
        return self.be.leaky_relu_grad(gy, x, self.slope)

    def jvp(self, y, tx):
        ones = self.be.xp.ones_like(y._data)
        return tx * Tensor._wrap(self.be.leaky_relu_grad(ones, self.inputs[0]._data, self.slope), self.be)


class Softplus(Function):
    """y = log(1 + exp(x)).   dL/dx = dL/dy / (1 + exp(-x))."""

    def forward(self, x):
        self.save(x)
        return self.be.softplus(x)

    def backward(self, gy):
        (x,) = self.saved
        return self.be.multiply(gy, self.be.sigmoid(x))

    def jvp(self, y, tx):
        return tx * sigmoid(self.inputs[0])


def sigmoid(x: Any) -> Tensor:
    """1 / (1 + exp(-x)), in (0, 1)."""
    return Sigmoid()(x)


def tanh(x: Any) -> Tensor:
    """The hyperbolic tangent, in (-1, 1)."""
    return Tanh()(x)


def relu(x: Any) -> Tensor:
    """max(x, 0). Its derivative at 0 is taken as 0."""
    return LeakyReLU(0.0)(x)


def leaky_relu(x: Any, slope: float = 0.01) -> Tensor:
    """x where positive, `slope` times x elsewhere; 0 <= slope < 1."""
    return LeakyReLU(slope)(x)


def softplus(x: Any) -> Tensor:
    """log(1 + exp(x)), stable for large |x|."""
    return Softplus()(x)
