"""The limited-memory quasi-Newton method of Broyden, Fletcher, Goldfarb and Shanno."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from miniae.nn.parameter import Parameter
from miniae.optim.descent import LineSearchOptimizer


class LBFGS(LineSearchOptimizer):
    """d = -H g,   p += a d with a from a line search,
    where H approximates the inverse of the matrix of second derivatives: from s.y / y.y times the identity, the pairs
    s = p - p', y = g - g' of the last `memory` searches change it in turn, oldest first, by

        H = (1 - r s y') H (1 - r y s') + r s s',   r = 1 / s.y.

    H g takes two loops over the pairs and no matrix: Nocedal and Wright, "Numerical optimization", 2nd edition, 2006,
    algorithms 7.4 and 7.5. The pairs of one minibatch say little about the next, so each begins without any: many
    searches on large minibatches, as in Le et al., "On optimization methods for deep learning", ICML 2011.

    The first trial is a = 1, the step of Newton's method, and mostly the last. See `LineSearchOptimizer` for the
    meaning of `lr`, and why the loss should be free of noise and of clipping.
    """

    def __init__(self, parameters: Iterable[Parameter], lr: float = 1.0, searches: int = 20, evaluations: int = 20,
                 c1: float = 1e-4, c2: float = 0.9, memory: int = 10):
        super().__init__(parameters, lr, searches, evaluations, c1, c2)
        if isinstance(memory, bool) or not isinstance(memory, int) or memory < 1:
            raise ValueError(f"memory must be an integer of at least 1, got {memory!r}")
        self.memory = memory
        self._pairs: list[tuple[Any, Any, float]] = []  # s, y and s.y, the oldest first
        self._free: list[tuple[Any, Any]] = []  # buffers for s and y that are in no pair

    def aim(self, g: Any) -> None:
        self._remember(g)
        xp, d = self.backend.xp, self.direction
        xp.negative(g, out=d)
        weights = []
        for s, y, sy in reversed(self._pairs):
            weights.append(self.dot(s, d) / sy)
            self._add(-weights[-1], y)
        if self._pairs:
            _, y, sy = self._pairs[-1]
            xp.multiply(d, sy / self.dot(y, y), out=d)
        for (s, y, sy), weight in zip(self._pairs, reversed(weights), strict=True):
            self._add(weight - self.dot(y, d) / sy, s)

    def _remember(self, g: Any) -> None:
        """Add the pair of the last search; drop the oldest beyond `memory`."""
        xp = self.backend.xp
        s, y = self._free.pop() if self._free else (self.new_buffer(), self.new_buffer())
        xp.subtract(self.pack.data, self.start, out=s)
        xp.subtract(g, self.gradient_before, out=y)
        sy = self.dot(s, y)
        if not sy > 0:  # only where a search ended for want of evaluations: H would no longer be positive
            self._free.append((s, y))
            return
        self._pairs.append((s, y, sy))
        if len(self._pairs) > self.memory:
            self._free.append(self._pairs.pop(0)[:2])

    def _add(self, weight: float, a: Any) -> None:
        """d += weight a."""
        self.backend.xp.multiply(a, weight, out=self.scratch)
        self.backend.xp.add(self.direction, self.scratch, out=self.direction)

    def forget(self) -> None:
        self._free += [pair[:2] for pair in self._pairs]
        self._pairs.clear()

    def trial(self, step: float) -> float:
        return 1.0
