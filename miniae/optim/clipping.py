"""Bounds on the gradient, applied between backward and the update. They never wait for the device."""

from __future__ import annotations

from miniae.optim.optimizer import Optimizer


class ClipByValue:
    """g = min(max(g, -limit), limit), each element on its own.

        clip = ClipByValue(0.5)
        loss.backward()
        clip(optimizer)
        optimizer.step()
    """

    def __init__(self, limit: float):
        if not limit > 0:
            raise ValueError(f"the limit must be above 0, got {limit}")
        self.limit = float(limit)

    def __call__(self, optimizer: Optimizer) -> None:
        g, xp = optimizer.gradient(), optimizer.backend.xp
        xp.minimum(g, self.limit, out=g)
        xp.maximum(g, -self.limit, out=g)


class ClipByNorm:
    """g = g min(1, limit / |g|), with |g| the Euclidean norm over all parameters together.

    Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks", ICML 2013, algorithm 1.
    """

    # Where the gradient is zero the quotient must not be: small against any norm that would be clipped.
    _EPSILON = 1e-6

    def __init__(self, limit: float):
        if not limit > 0:
            raise ValueError(f"the limit must be above 0, got {limit}")
        self.limit = float(limit)

    def __call__(self, optimizer: Optimizer) -> None:
        g, be, xp = optimizer.gradient(), optimizer.backend, optimizer.backend.xp
        xp.multiply(g, g, out=optimizer.scratch)
        factor = be.sum(optimizer.scratch, axis=0, keepdims=True)
        xp.sqrt(factor, out=factor)
        xp.add(factor, self._EPSILON, out=factor)
        xp.divide(self.limit, factor, out=factor)
        xp.minimum(factor, 1.0, out=factor)
        xp.multiply(g, factor, out=g)
