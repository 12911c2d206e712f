"""Element-wise nonlinearities, and the names that models know them by."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from miniae.autodiff import Function, Tensor, as_tensor

__all__ = [
    "ACTIVATIONS", "Activated", "ByValue", "activation", "by_value", "elu", "gelu", "get_activation", "leaky_relu",
    "linear", "relu", "selu", "sigmoid", "silu", "softplus", "tanh",
]


class ByValue(Function):
    """An activation whose derivative follows from its value, so that the value may be written over the input.

    A function that ends in such an activation (`dense`, `conv2d`) can have it as a part of its own: one array less.
    """

    kernel: str
    """The name that `Backend.activate` knows it by."""

    def forward(self, x):
        y = self.be.activate(self.kernel, x)
        self.save(y)
        return y

    def backward(self, gy):
        (y,) = self.saved
        return self.be.activate_grad(self.kernel, gy, y)


class Activated(Function):
    """A function of x, w, and perhaps b that ends in a bias and an activation: y = f(z + b), z being a product of x and
    w, where f acts by its value or is the identity."""

    def __init__(self, f: ByValue | None = None):
        self.f, self.kernel = f, f.kernel if f else None

    def end(self, y, x, w):
        """Keep what `begin` needs; return y."""
        if self.f is None:
            self.save(x, w)
        else:
            self.save(x, w, y)
        return y

    def begin(self, gy):
        """x, w, dL/dz and, where it is wanted, dL/db."""
        x, w, *y = self.saved
        y = y[0] if y else gy
        if len(self.needs) > 2 and self.needs[2]:
            return x, w, *self.be.add_bias_grad(gy, y, self.kernel, self.buffer_for(2))
        return x, w, self.be.activate_grad(self.kernel, gy, y) if self.f else gy, None


class Sigmoid(ByValue):
    """y = 1 / (1 + exp(-x)).   dL/dx = dL/dy y (1 - y)."""

    kernel = "sigmoid"

    def jvp(self, y, tx):
        return tx * (y * (1.0 - y))


class Tanh(ByValue):
    """y = tanh(x).   dL/dx = dL/dy (1 - y^2)."""

    kernel = "tanh"

    def jvp(self, y, tx):
        return tx * (1.0 - y * y)


class ReLU(ByValue):
    """y = x where x > 0, 0 elsewhere.   dL/dx = dL/dy (1 where y > 0, 0 elsewhere)."""

    kernel = "relu"

    def jvp(self, y, tx):
        return tx * _slopes(y, 0.0)


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
        return tx * _slopes(self.inputs[0], self.slope)


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


class ELU(Function):
    """y = s x where x > 0, s a (exp(x) - 1) elsewhere.   dL/dx = dL/dy (s where x > 0, y + s a elsewhere).

    Clevert, Unterthiner and Hochreiter, "Exponential linear units", ICLR 2016, eq. 15 (s = 1); with the constants of
    Klambauer et al., "Self-normalizing neural networks", NeurIPS 2017, eq. 2, it is the SELU.
    """

    def __init__(self, alpha: float, scale: float = 1.0):
        self.alpha, self.scale = alpha, scale

    @staticmethod
    def value(xp, x, alpha, scale):
        return scale * xp.where(x > 0, x, alpha * xp.expm1(xp.minimum(x, 0.0)))

    @staticmethod
    def gradient(xp, gy, x, y, alpha, scale):
        return gy * xp.where(x > 0, scale, y + scale * alpha).astype(gy.dtype)

    def forward(self, x):
        y = self.be.formula(self.value, x, self.alpha, self.scale)
        self.save(x, y)
        return y

    def backward(self, gy):
        return self.be.formula(self.gradient, gy, *self.saved, self.alpha, self.scale)

    def jvp(self, y, tx):
        positive = _slopes(self.inputs[0], 0.0)
        return tx * (positive * self.scale + (1.0 - positive) * (y + self.scale * self.alpha))


class GELU(Function):
    """y = x/2 (1 + tanh u), u = sqrt(2/pi) (x + 0.044715 x^3): the tanh form.

    dL/dx = dL/dy (1/2 (1 + tanh u) + x/2 (1 - tanh^2 u) u'), u' = sqrt(2/pi) (1 + 0.134145 x^2).

    Hendrycks and Gimpel, "Gaussian error linear units", 2016, section 2.
    """

    SLOPE, CUBIC = math.sqrt(2.0 / math.pi), 0.044715

    @staticmethod
    def inner(x):
        return GELU.SLOPE * (x + GELU.CUBIC * x * x * x)

    @staticmethod
    def derivative(x, t):
        return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * (GELU.SLOPE * (1.0 + 3.0 * GELU.CUBIC * x * x))

    @staticmethod
    def tanh_u(xp, x):
        return xp.tanh(GELU.inner(x))

    @staticmethod
    def value(xp, x, t):
        return 0.5 * x * (1.0 + t)

    @staticmethod
    def gradient(xp, gy, x, t):
        return gy * GELU.derivative(x, t)

    def forward(self, x):
        t = self.be.formula(self.tanh_u, x)
        self.save(x, t)
        return self.be.formula(self.value, x, t)

    def backward(self, gy):
        return self.be.formula(self.gradient, gy, *self.saved)

    def jvp(self, y, tx):
        x = self.inputs[0]
        return tx * self.derivative(x, tanh(self.inner(x)))


class SiLU(Function):
    """y = x s, s = 1 / (1 + exp(-x)).   dL/dx = dL/dy s (1 + x (1 - s)).

    Elfwing, Uchibe and Doya, "Sigmoid-weighted linear units", Neural Networks 107, 2018; also called swish.
    """

    def forward(self, x):
        s = self.be.sigmoid(x)
        self.save(x, s)
        return self.be.multiply(x, s)

    @staticmethod
    def gradient(xp, gy, x, s):
        return gy * (s * (1.0 + x * (1.0 - s)))

    def backward(self, gy):
        return self.be.formula(self.gradient, gy, *self.saved)

    def jvp(self, y, tx):
        x = self.inputs[0]
        s = sigmoid(x)
        return tx * (s * (1.0 + x * (1.0 - s)))


class Formula(Function):
    """y = f(x) for a formula of one's own.   dL/dx = dL/dy f'(x), f' being the next formula."""

    def __init__(self, formulas: tuple[Callable[[Any, Any], Any], ...]):
        self.formulas = formulas

    def forward(self, x):
        self.save(x)
        return self.be.formula(self.formulas[0], x)

    def backward(self, gy):
        (x,) = self.saved
        return self.be.multiply(gy, self.be.formula(self._derivative(), x))

    def jvp(self, y, tx):
        self._derivative()
        return tx * Formula(self.formulas[1:])(self.inputs[0])

    def _derivative(self) -> Callable[[Any, Any], Any]:
        if len(self.formulas) < 2:
            raise ValueError("the derivative of a derivative is needed here: give activation() the second one too")
        return self.formulas[1]


def _slopes(x: Tensor, slope: float) -> Tensor:
    """1 where x > 0, `slope` elsewhere, as a constant."""
    ones = x.backend.empty_like(x._data)
    x.backend.fill(ones, 1.0)
    return Tensor._wrap(x.backend.leaky_relu_grad(ones, x._data, slope), x.backend)


def sigmoid(x: Any) -> Tensor:
    """1 / (1 + exp(-x)), in (0, 1)."""
    return Sigmoid()(x)


def tanh(x: Any) -> Tensor:
    """The hyperbolic tangent, in (-1, 1)."""
    return Tanh()(x)


def relu(x: Any) -> Tensor:
    """max(x, 0). Its derivative at 0 is taken as 0."""
    return ReLU()(x)


def leaky_relu(x: Any, slope: float = 0.01) -> Tensor:
    """x where positive, `slope` times x elsewhere; 0 <= slope < 1."""
    return LeakyReLU(slope)(x)


def softplus(x: Any) -> Tensor:
    """log(1 + exp(x)), stable for large |x|."""
    return Softplus()(x)


def linear(x: Any) -> Tensor:
    """x itself."""
    return as_tensor(x)


def elu(x: Any, alpha: float = 1.0) -> Tensor:
    """x where positive, alpha (exp(x) - 1) elsewhere."""
    return ELU(alpha)(x)


def selu(x: Any) -> Tensor:
    """The ELU with the constants that keep activations at mean 0 and variance 1."""
    return ELU(1.6732632423543772, 1.0507009873554805)(x)


def gelu(x: Any) -> Tensor:
    """x times the normal distribution function of x, in its tanh approximation."""
    return GELU()(x)


def silu(x: Any) -> Tensor:
    """x / (1 + exp(-x))."""
    return SiLU()(x)


def activation(formula: Callable[[Any, Any], Any], derivative: Callable[[Any, Any], Any],
               second_derivative: Callable[[Any, Any], Any] | None = None) -> Callable[[Any], Tensor]:
    """An activation of your own, from the formulas of its value and of its derivative.

    Each is a function of the array namespace and a raw array, and acts element by element. The second derivative is
    needed only where a derivative is itself differentiated (a contractive penalty).

    >>> softsign = activation(lambda xp, x: x / (1 + xp.abs(x)), lambda xp, x: 1 / (1 + xp.abs(x)) ** 2)
    >>> float(softsign(Tensor([1.0])).numpy()[0])
    0.5
    """
    formulas = (formula, derivative) if second_derivative is None else (formula, derivative, second_derivative)
    return lambda x: Formula(formulas)(x)


ACTIVATIONS: dict[str, Callable[[Any], Tensor]] = {
    f.__name__: f for f in (linear, sigmoid, tanh, relu, leaky_relu, elu, selu, softplus, gelu, silu)
}
"""The activations by name. Add your own: a function from tensor to tensor."""


_BY_VALUE = ((sigmoid, Sigmoid), (tanh, Tanh), (relu, ReLU))


def by_value(activation: Callable[[Any], Tensor] | None) -> ByValue | None:
    """The rule of an activation that may be written over its input, or None if it isn't one of those."""
    return next((rule() for function, rule in _BY_VALUE if function is activation), None)


def get_activation(name: str | Callable[[Any], Tensor] | None) -> Callable[[Any], Tensor]:
    """The activation of that name; a function is returned as it is, and None means linear.

    Raises `ValueError` for an unknown name.
    """
    if name is None:
        return linear
    if callable(name):
        return name
    if name not in ACTIVATIONS:
        raise ValueError(f"unknown activation {name!r}: expected one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]
