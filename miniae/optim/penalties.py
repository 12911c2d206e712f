"""Weight penalties: terms of the loss that keep weights small, or make them sparse.

They are ordinary terms, added to the loss once a batch (not divided by its size), so that reports show them apart.
Weights count, biases and scales do not: a weight is a parameter of more than one axis.
"""

from __future__ import annotations

from collections.abc import Iterable

from miniae.autodiff import Function, Tensor
from miniae.nn.parameter import Parameter


class SumOfSquares(Function):
    """y = sum x^2.   dL/dx = 2 x dL/dy."""

    def forward(self, x):
        self.save(x)
        return self.be.sum(self.be.multiply(x, x))

    def backward(self, gy):
        (x,) = self.saved
        gx = self.be.multiply(x, gy)
        return self.be.multiply(gx, 2.0, out=gx)

    def jvp(self, y, tx):
        return (self.inputs[0] * tx).sum() * 2.0


class SumOfMagnitudes(Function):
    """y = sum |x|.   dL/dx = sign(x) dL/dy."""

    def forward(self, x):
        self.save(x)
        return self.be.sum(self.be.elementwise(self.be.xp.abs, x))

    def backward(self, gy):
        (x,) = self.saved
        gx = self.be.elementwise(self.be.xp.sign, x)
        return self.be.multiply(gx, gy, out=gx)

    def jvp(self, y, tx):
        return (Tensor._wrap(self.be.xp.sign(self.inputs[0]._data), self.be) * tx).sum()


class WeightPenalty:
    """strength times the sum of a function's value over all weights. A subclass names the function."""

    term: type[Function]

    def __init__(self, strength: float):
        if not strength >= 0:
            raise ValueError(f"the strength of a penalty must be at least 0, got {strength}")
        self.strength = float(strength)

    def __call__(self, parameters: Iterable[Parameter]) -> Tensor:
        """The penalty as a tensor without axes. Raises `ValueError` when there is no weight among the parameters."""
        terms = [self.term()(w) for w in weights(parameters)]
        if not terms:
            raise ValueError(f"{type(self).__name__} found no weights (parameters of more than one axis) to penalise")
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        return total * self.strength

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.strength:g})"


class L2(WeightPenalty):
    """strength * (sum of w^2 over all weights): pulls every weight towards 0 in proportion to its size.

        loss = reconstruction + L2(1e-4)(model.parameters())
    """

    term = SumOfSquares


class L1(WeightPenalty):
    """strength * (sum of |w| over all weights): pulls every weight towards 0 at the same pace, so that many arrive."""

    term = SumOfMagnitudes


def weights(parameters: Iterable[Parameter]) -> list[Parameter]:
    """Those with more than one axis: the weights of dense layers and convolutions."""
    return [p for p in parameters if p.ndim > 1]
