"""Update rules, learning-rate schedules, gradient clipping and weight penalties.

- by the gradient: `SGD`, `Momentum`, `Nesterov`, `Adam`, `AdamW`, `NAdam`, `RMSProp`, `AdaGrad`, `AdaDelta`
- along a line: `ConjugateGradient`, `LBFGS`
- several losses by turns: `Alternating`
- `L1` and `L2` penalties, `ClipByNorm`, `ClipByValue`, `bound_norms`
- what all share: `Optimizer`, `get_optimizer`
"""

from __future__ import annotations

from miniae.optim.adam import Adam, AdamW, NAdam
from miniae.optim.adaptive import AdaDelta, AdaGrad, RMSProp
from miniae.optim.alternating import Alternating
from miniae.optim.clipping import ClipByNorm, ClipByValue
from miniae.optim.conjugate import ConjugateGradient
from miniae.optim.descent import LineSearchOptimizer
from miniae.optim.lbfgs import LBFGS
from miniae.optim.line_search import line_search
from miniae.optim.max_norm import bound_norms
from miniae.optim.optimizer import Optimizer
from miniae.optim.penalties import L1, L2
from miniae.optim.sgd import SGD, Momentum, Nesterov

__all__ = ["L1", "L2", "LBFGS", "OPTIMIZERS", "SGD", "AdaDelta", "AdaGrad", "Adam", "AdamW", "Alternating",
           "ClipByNorm", "ClipByValue", "ConjugateGradient", "LineSearchOptimizer", "Momentum", "NAdam", "Nesterov",
           "Optimizer", "RMSProp", "bound_norms", "get_optimizer", "line_search"]

OPTIMIZERS: dict[str, type[Optimizer]] = {
    c.__name__.lower(): c for c in (SGD, Momentum, Nesterov, AdaGrad, AdaDelta, RMSProp, Adam, AdamW, NAdam)
} | {"cg": ConjugateGradient, "lbfgs": LBFGS}
"""The optimizers by name. Add your own: a subclass of `Optimizer`."""


def get_optimizer(name: str | type[Optimizer]) -> type[Optimizer]:
    """The optimizer class of that name (in any case); a class is returned as it is. Raises `ValueError` otherwise."""
    if isinstance(name, type) and issubclass(name, Optimizer):
        return name
    if not isinstance(name, str) or name.lower() not in OPTIMIZERS:
        raise ValueError(f"unknown optimizer {name!r}: expected one of {', '.join(OPTIMIZERS)}")
    return OPTIMIZERS[name.lower()]
