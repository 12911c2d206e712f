"""A learning rate for every parameter, from the size of its past gradients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from miniae.nn.parameter import Parameter
from miniae.optim.optimizer import Optimizer, check_fraction


class AdaGrad(Optimizer):
    """s += g^2,   p -= lr g / (sqrt(s) + epsilon).

    Duchi, Hazan and Singer, "Adaptive subgradient methods", JMLR 12, 2011.
    """

    state = ("square",)

    def __init__(self, parameters: Iterable[Parameter], lr: float = 0.01, epsilon: float = 1e-10):
        super().__init__(parameters, lr)
        self.epsilon = float(epsilon)

    def update(self, p: Any, g: Any) -> None:
        xp, s, scratch = self.backend.xp, self.buffers["square"], self.scratch
        xp.multiply(g, g, out=scratch)
        xp.add(s, scratch, out=s)
        xp.sqrt(s, out=scratch)
        xp.add(scratch, self.epsilon, out=scratch)
        xp.divide(g, scratch, out=scratch)
        xp.multiply(scratch, self.rate, out=scratch)
        xp.subtract(p, scratch, out=p)


class RMSProp(Optimizer):
    """s = decay s + (1 - decay) g^2,   p -= lr g / (sqrt(s) + epsilon).

    Tieleman and Hinton, "Neural networks for machine learning", lecture 6.5, 2012.
    """

    state = ("square",)

    def __init__(self, parameters: Iterable[Parameter], lr: float = 0.01, decay: float = 0.99, epsilon: float = 1e-8):
        super().__init__(parameters, lr)
        self.decay, self.epsilon = check_fraction("decay", decay), float(epsilon)

    def update(self, p: Any, g: Any) -> None:
        xp, s, scratch = self.backend.xp, self.buffers["square"], self.scratch
        self.average(s, xp.multiply(g, g, out=scratch), self.decay)
        xp.sqrt(s, out=scratch)
        xp.add(scratch, self.epsilon, out=scratch)
        xp.divide(g, scratch, out=scratch)
        xp.multiply(scratch, self.rate, out=scratch)
        xp.subtract(p, scratch, out=p)


class AdaDelta(Optimizer):
    """s = decay s + (1 - decay) g^2,   d = g sqrt(u + epsilon) / sqrt(s + epsilon),   u = decay u + (1 - decay) d^2,
    p -= lr d: steps d in the parameters' own units. The paper's lr is 1.

    Zeiler, "ADADELTA: an adaptive learning rate method", 2012, algorithm 1.
    """

    state = ("square", "step_square")

    def __init__(self, parameters: Iterable[Parameter], lr: float = 1.0, decay: float = 0.9, epsilon: float = 1e-6):
        super().__init__(parameters, lr)
        self.decay, self.epsilon = check_fraction("decay", decay), float(epsilon)
        self.d = self.new_buffer()

    def update(self, p: Any, g: Any) -> None:
        xp, s, u = self.backend.xp, self.buffers["square"], self.buffers["step_square"]
        d, scratch = self.d, self.scratch
        self.average(s, xp.multiply(g, g, out=scratch), self.decay)
        xp.add(u, self.epsilon, out=d)
        xp.add(s, self.epsilon, out=scratch)
        xp.divide(d, scratch, out=d)
        xp.sqrt(d, out=d)
        xp.multiply(d, g, out=d)
        self.average(u, xp.multiply(d, d, out=scratch), self.decay)
        xp.multiply(d, self.rate, out=d)
        xp.subtract(p, d, out=p)
