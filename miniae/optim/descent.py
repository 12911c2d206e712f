"""`LineSearchOptimizer`: what the methods that search along a line for their step share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from miniae.autodiff import Tensor
from miniae.nn.parameter import Parameter
from miniae.optim.line_search import check_wolfe, line_search
from miniae.optim.optimizer import Optimizer


class LineSearchOptimizer(Optimizer):
    """p = p + a d, `searches` times a minibatch, with a step a that satisfies the strong Wolfe conditions

        f(p + a d) <= f(p) + c1 a g.d   and   |g(p + a d).d| <= c2 |g.d|,   g the gradient of f.

    A subclass chooses the direction d. The first on a minibatch is -g, and so is any that would not descend, or that
    follows a search which found nothing lower. A search that has evaluated the loss `evaluations` times ends at the
    lowest point found, or where it began if none is lower: the loss of the minibatch never rises.

    `lr` is the length |a d| of the very first trial step; after that, searches along -g begin with the step a that the
    one before took, from minibatch to minibatch, and changing the learning rate has no effect.

    It is for losses that are the same whenever they are evaluated, with their own gradients: noise layers (dropout,
    corruption) draw anew at each evaluation, so that the search compares different functions, and a clipped gradient
    gives wrong slopes. The loss and the slope are read back from the device at each evaluation, so training waits for
    it and can't be recorded.
    """

    repeats = False  # how often it evaluates the loss is found out on the host

    def __init__(self, parameters: Iterable[Parameter], lr: float, searches: int, evaluations: int, c1: float,
                 c2: float):
        if not lr > 0:
            raise ValueError(f"lr is the length of the very first trial step: expected a number above 0, got {lr}")
        super().__init__(parameters, lr)
        for name, value in (("searches", searches), ("evaluations", evaluations)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
        check_wolfe(c1, c2)
        self.searches, self.evaluations, self.c1, self.c2 = searches, evaluations, c1, c2
        self.direction, self.start, self.gradient_before = (self.new_buffer() for _ in range(3))
        self.buffers["step"] = self.backend.zeros((1,), "float64")  # the last one taken along -g; 0 before the first

    def aim(self, g: Any) -> None:
        """Write the next direction into `self.direction`, given the flat gradient `g` where the last search ended.

        `self.direction` still holds that search's direction, `self.start` the parameters and `self.gradient_before` the
        gradient where it began; `self.scratch` may be overwritten.
        """
        raise NotImplementedError(f"{type(self).__name__} has no aim")

    def forget(self) -> None:
        """The next direction is -g: drop whatever else earlier searches have left."""

    def trial(self, step: float) -> float:
        """The first step to try along a direction from `aim`, after a search that took `step`."""
        return step

    def step(self) -> None:
        raise TypeError(f"{type(self).__name__} must evaluate the loss again: call minimize(evaluate), not step()")

    def minimize(self, evaluate: Callable[[], Tensor]) -> Tensor:
        """Lower the loss of one minibatch by `searches` line searches; return the loss before.

        A loss that is not finite at the start, or a gradient of zero, leaves the parameters as they are.
        """
        before = evaluate()
        value, at = self._read(before._data), 0.0

        def phi(step: float) -> tuple[float, float]:
            nonlocal at
            at = step
            self._move(step)
            loss = evaluate()
            return self._read(loss._data), self.dot(self.gradient(), self.direction)

        self.backend.increment(self.count)
        step, steepest = 0.0, True
        for _ in range(self.searches):
            slope, steepest = self._aim(steepest)
            if not (math.isfinite(value) and -math.inf < slope < 0):
                break
            trial = self._steepest_trial(slope) if steepest else self.trial(step)
            if not trial > 0:  # a learning rate of 0 moves nothing
                break
            self.backend.copy(self.pack.data, out=self.start)
            try:
                found = line_search(phi, value, slope, trial, self.evaluations, self.c1, self.c2)
            except BaseException:  # an interrupt, say: a trial may lie anywhere
                self._move(0.0)
                raise
            if found.step != at:  # the last trial was not the best: go back to that, and have its gradient
                phi(found.step)
            if found.step == 0 and steepest:
                break
            if steepest:
                self.backend.fill(self.buffers["step"], found.step)
            value, step, steepest = found.value, found.step, found.step == 0
        return before

    def _steepest_trial(self, slope: float) -> float:
        """The first step to try along -g, whose slope is -|g|^2."""
        return self._read(self.buffers["step"]) or self.lr / math.sqrt(-slope)

    def _aim(self, steepest: bool) -> tuple[float, bool]:
        """Choose the direction; return the slope along it, and whether it is -g."""
        g = self.gradient()
        if not steepest:
            self.aim(g)
            slope = self.dot(g, self.direction)
            steepest = not slope < 0
        if steepest:
            self.forget()
            self.backend.xp.negative(g, out=self.direction)
            slope = self.dot(g, self.direction)
        self.backend.copy(g, out=self.gradient_before)
        return slope, steepest

    def _move(self, step: float) -> None:
        """p = start + step d; exactly the start for a step of 0."""
        xp = self.backend.xp
        xp.multiply(self.direction, step, out=self.scratch)
        xp.add(self.start, self.scratch, out=self.pack.data)
        self.pack.written()

    def dot(self, a: Any, b: Any) -> float:
        """The scalar product, read back from the device. Overwrites `self.scratch`."""
        self.backend.xp.multiply(a, b, out=self.scratch)
        return self._read(self.backend.sum(self.scratch))

    def _read(self, a: Any) -> float:
        return self.backend.to_host(a).item()
