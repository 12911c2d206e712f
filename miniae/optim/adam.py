"""Adam and its relatives: running means of the gradient and of its square, corrected for their start at zero."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from miniae.nn.parameter import Parameter
from miniae.optim.optimizer import Optimizer, check_fraction


class Adam(Optimizer):
    """The gradients and their squares are added up, older ones with less weight,

        m = b1 m + g,   v = b2 v + g^2,

    and divided by the sum of the weights at step t, W1 = 1 + b1 + ... + b1^(t-1) and W2 likewise, give their means:

        p -= lr (m / W1) / (sqrt(v / W2) + epsilon)  =  p - (lr sqrt(W2) / W1) m / (sqrt(v) + epsilon sqrt(W2)).

    With W1 = (1 - b1^t) / (1 - b1) these are the means, corrected for their start at zero, of Kingma and Ba, "Adam: a
    method for stochastic optimization", ICLR 2015, algorithm 1; the right-hand form (there in section 2) takes three
    passes over the parameters less. In float32 v overflows, and a parameter stands still, for gradients beyond 1e18 or
    so: clip them.
    """

    state = ("sum", "square_sum")

    def __init__(self, parameters: Iterable[Parameter], lr: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999,
                 epsilon: float = 1e-8):
        super().__init__(parameters, lr)
        self.beta1, self.beta2 = check_fraction("beta1", beta1), check_fraction("beta2", beta2)
        self.epsilon = float(epsilon)
        self._betas = self.backend.asarray([self.beta1, self.beta2], "float64")
        self._last = self.backend.asarray([1.0 - self.beta1, 1.0 - self.beta2], "float64")
        self._weights = self.backend.zeros((2,), "float64")
        self._rates = self.backend.zeros((2,), self.pack.dtype)

    def update(self, p: Any, g: Any) -> None:
        self.backend.adam_rates(self._betas, self._last, self.count, self.rate, self.epsilon, self._weights,
                                self._rates)
        self.backend.adam(p, g, self.buffers["sum"], self.buffers["square_sum"], self._rates, self.scratch, self.beta1,
                          self.beta2)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """As any optimizer's. Of a state with the means themselves, as older versions saved, it makes the sums."""
        if {"mean", "square"} <= state.keys():
            state = dict(state)
            state["sum"] = np.asarray(state.pop("mean")) / (1.0 - self.beta1)
            state["square_sum"] = np.asarray(state.pop("square")) / (1.0 - self.beta2)
        super().load_state_dict(state)


class AdamW(Adam):
    """p -= lr weight_decay p, then Adam: the decay is not scaled by the gradient's size, as an L2 penalty's would be.

    Every parameter given decays, biases too: give those that should not to another optimizer. Loshchilov and Hutter,
    "Decoupled weight decay regularization", ICLR 2019, algorithm 2.
    """

    def __init__(self, parameters: Iterable[Parameter], lr: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999,
                 epsilon: float = 1e-8, weight_decay: float = 0.01):
        super().__init__(parameters, lr, beta1, beta2, epsilon)
        if weight_decay < 0:
            raise ValueError(f"weight_decay must be at least 0, got {weight_decay}")
        self.weight_decay = float(weight_decay)

    def update(self, p: Any, g: Any) -> None:
        xp = self.backend.xp
        xp.multiply(p, self.rate, out=self.scratch)
        xp.multiply(self.scratch, self.weight_decay, out=self.scratch)
        xp.subtract(p, self.scratch, out=p)
        super().update(p, g)


class NAdam(Optimizer):
    """Adam with Nesterov's momentum: m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, and with the momentum schedule
    u_t = b1 (1 - 0.96^(t momentum_decay) / 2) and its running product U_t = u_1 ... u_t,
    p -= lr ((1 - u_t) / (1 - U_t) g + u_(t+1) / (1 - U_(t+1)) m) / (sqrt(v / (1 - b2^t)) + epsilon).

    Dozat, "Incorporating Nesterov momentum into Adam", ICLR 2016 workshop, algorithm 2.
    """

    state = ("mean", "square")

    def __init__(self, parameters: Iterable[Parameter], lr: float = 2e-3, beta1: float = 0.9, beta2: float = 0.999,
                 epsilon: float = 1e-8, momentum_decay: float = 4e-3):
        super().__init__(parameters, lr)
        self.beta1, self.beta2 = check_fraction("beta1", beta1), check_fraction("beta2", beta2)
        self.epsilon, self.momentum_decay = float(epsilon), float(momentum_decay)
        self.buffers["momentum_product"] = self.backend.asarray([1.0], "float64")
        self.denominator = self.new_buffer()
        self._ahead = self.backend.asarray([0.0, 1.0], "float64")
        self._momentum = self.backend.zeros((2,), "float64")
        self._correction = self.backend.zeros((1,), "float64")
        self._factors = self.backend.zeros((3,), self.pack.dtype)

    def update(self, p: Any, g: Any) -> None:
        xp, m, v = self.backend.xp, self.buffers["mean"], self.buffers["square"]
        scratch, denominator = self.scratch, self.denominator
        self.work_out_factors()
        of_gradient, of_mean, of_root = (self._factors[i:i + 1] for i in range(3))

        self.average(m, g, self.beta1)
        self.average(v, xp.multiply(g, g, out=scratch), self.beta2)
        xp.sqrt(v, out=denominator)
        xp.multiply(denominator, of_root, out=denominator)
        xp.add(denominator, self.epsilon, out=denominator)
        for term, factor in ((g, of_gradient), (m, of_mean)):
            xp.multiply(term, factor, out=scratch)
            xp.divide(scratch, denominator, out=scratch)
            xp.subtract(p, scratch, out=p)

    def work_out_factors(self) -> None:
        """factors = [lr (1 - u_t) / (1 - U_t), lr u_(t+1) / (1 - U_(t+1)), 1 / sqrt(1 - b2^t)], in float64 until the
        last."""
        xp, u, c, product = self.backend.xp, self._momentum, self._correction, self.buffers["momentum_product"]
        now, following, factors = u[0:1], u[1:2], self._factors
        xp.add(self._ahead, self.count, out=u)
        xp.multiply(u, self.momentum_decay, out=u)
        xp.power(0.96, u, out=u)
        xp.multiply(u, -0.5 * self.beta1, out=u)
        xp.add(u, self.beta1, out=u)  # u_t and u_(t+1)

        xp.multiply(product, now, out=product)
        xp.subtract(1.0, product, out=c)
        xp.subtract(1.0, now, out=now)
        xp.divide(now, c, out=c)
        self.backend.copy(c, out=factors[0:1])

        xp.multiply(product, following, out=c)
        xp.subtract(1.0, c, out=c)
        xp.divide(following, c, out=c)
        self.backend.copy(c, out=factors[1:2])
        xp.multiply(factors[0:2], self.rate, out=factors[0:2])

        xp.power(self.beta2, self.count, out=c)
        xp.subtract(1.0, c, out=c)
        xp.sqrt(c, out=c)
        xp.divide(1.0, c, out=c)
        self.backend.copy(c, out=factors[2:3])
