"""Nonlinear conjugate gradients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from miniae.nn.parameter import Parameter
from miniae.optim.descent import LineSearchOptimizer


class ConjugateGradient(LineSearchOptimizer):
    """d = -g + b d',   b = max(g.(g - g') / g'.g', 0),   p += a d with a from a line search,
    where d' and g' are the direction and the gradient at the start of the search before.

    Hinton and Salakhutdinov, "Reducing the dimensionality of data with neural networks", Science 313, 2006, fine-tune
    an autoencoder so, with 3 searches on each minibatch of 1000 samples. The rule is Polak and Ribiere's, 1969, with
    the bound at 0 (Nocedal and Wright, "Numerical optimization", 2nd edition, equations 5.44 and 5.45).

    c1 = 0.1 and c2 = 0.5 make loose searches, cheap where the next minibatch has another loss anyway; the smaller c2,
    the closer each goes to the minimum along its line.

        Autoencoder(optimizer="cg", lr=0.1, batch_size=1000)

    See `LineSearchOptimizer` for the meaning of `lr`, and why the loss should be free of noise and of clipping.
    """

    def __init__(self, parameters: Iterable[Parameter], lr: float = 1.0, searches: int = 3, evaluations: int = 20,
                 c1: float = 0.1, c2: float = 0.5):
        super().__init__(parameters, lr, searches, evaluations, c1, c2)

    def aim(self, g: Any) -> None:
        xp, d, before = self.backend.xp, self.direction, self.gradient_before
        square = self.dot(before, before)
        turn = self.dot(g, g) - self.dot(g, before)
        xp.multiply(d, max(turn / square, 0.0) if square > 0 else 0.0, out=d)
        xp.subtract(d, g, out=d)
