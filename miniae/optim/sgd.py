"""Gradient descent, plain and with momentum."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from miniae.nn.parameter import Parameter
from miniae.optim.optimizer import Optimizer, check_fraction


class SGD(Optimizer):
    """p -= lr g.   Robbins and Monro, "A stochastic approximation method", 1951."""

    def __init__(self, parameters: Iterable[Parameter], lr: float = 0.01):
        super().__init__(parameters, lr)

    def update(self, p: Any, g: Any) -> None:
        xp = self.backend.xp
        xp.multiply(g, self.rate, out=self.scratch)
        xp.subtract(p, self.scratch, out=p)


class Momentum(Optimizer):
    """v = momentum v + g,   p -= lr v.   Polyak, "Some methods of speeding up the convergence", 1964."""

    state = ("velocity",)

    def __init__(self, parameters: Iterable[Parameter], lr: float = 0.01, momentum: float = 0.9):
        super().__init__(parameters, lr)
        self.momentum = check_fraction("momentum", momentum)

    def update(self, p: Any, g: Any) -> None:
        self.backend.momentum(p, g, self.buffers["velocity"], self.rate, self.scratch, self.momentum)


class Nesterov(Momentum):
    """v = momentum v + g,   p -= lr (g + momentum v): the gradient is taken as that of the point ahead.

    Nesterov, 1983, in the form of Sutskever et al., "On the importance of initialization and momentum", ICML 2013.
    """

    def update(self, p: Any, g: Any) -> None:
        xp, v = self.backend.xp, self.buffers["velocity"]
        xp.multiply(v, self.momentum, out=v)
        xp.add(v, g, out=v)
        xp.multiply(v, self.momentum, out=self.scratch)
        xp.add(self.scratch, g, out=self.scratch)
        xp.multiply(self.scratch, self.rate, out=self.scratch)
        xp.subtract(p, self.scratch, out=p)
