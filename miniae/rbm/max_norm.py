"""A bound on the weights of every hidden unit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from miniae.nn.parameter import Parameter
from miniae.optim import Momentum


class MaxNormMomentum(Momentum):
    """Momentum, after which every column w of one `weight` (inputs, units) is no longer than `max_norm`:

        v = momentum v + g,   p -= lr v,   w = w min(1, max_norm / |w|).

    A large learning rate can't make the weights explode, so it may start high. As part of the update this is recorded
    with it. Hinton et al., "Improving neural networks by preventing co-adaptation of feature detectors", 2012;
    Srivastava et al., "Dropout", JMLR 15, 2014, appendix A.
    """

    def __init__(self, parameters: Iterable[Parameter], weight: Parameter, max_norm: float, lr: float = 0.01,
                 momentum: float = 0.9):
        super().__init__(parameters, lr, momentum)
        self.weight, self.max_norm = weight, float(max_norm)

    def update(self, p: Any, g: Any) -> None:
        super().update(p, g)
        be, w = self.backend, self.weight._data  # a view of p
        factor = be.sum(be.multiply(w, w), axis=0)
        be.xp.sqrt(factor, out=factor)
        be.xp.maximum(factor, self.max_norm, out=factor)
        be.divide(self.max_norm, factor, out=factor)  # exactly 1 where the column is short enough
        be.multiply(w, factor, out=w)
