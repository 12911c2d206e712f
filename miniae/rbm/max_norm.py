"""A bound on the weights of every hidden unit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from miniae.nn.parameter import Parameter
from miniae.optim import Momentum, bound_norms


class MaxNormMomentum(Momentum):
    """Momentum, after which every column of one `weight` (inputs, units) is no longer than `max_norm`:

        v = momentum v + g,   p -= lr v,   and then `bound_norms`, as part of the update, so recorded with it.
    """

    def __init__(self, parameters: Iterable[Parameter], weight: Parameter, max_norm: float, lr: float = 0.01,
                 momentum: float = 0.9):
        super().__init__(parameters, lr, momentum)
        self.weight, self.max_norm = weight, float(max_norm)

    def update(self, p: Any, g: Any) -> None:
        super().update(p, g)
        bound_norms(self.backend, self.weight._data, self.max_norm, unit_axis=1)  # a view of p
