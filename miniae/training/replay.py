"""Training steps that repeat: worked out in Python at first, then replayed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from miniae.backend import Backend
from miniae.backend.recording import Recording
from miniae.data.rows import Order

__all__ = ["RepeatedStep"]


class RepeatedStep:
    """The steps of an epoch on batches of `size`: the first is computed, so that everything is there that is made only
    once; the second is recorded; the third has to make the same calls; all others are replays. Unless a recording of
    steps in the same circumstances is `proven`, the third step is also made both ways, bit for bit.

    `compute(order)` makes a step with the rows of these numbers, and returns arrays by name; it runs in an arena. Asked
    after the step that is recorded, `writing()` gives what is to be called after every replay of it. `trouble` says why
    steps are computed after all, or is empty; `failed` whether that is the recording's fault; `replays` counts the
    replays.
    """

    def __init__(self, backend: Backend, size: int, compute: Callable[[Order], dict[str, Any]],
                 writing: Callable[[], Callable[[], None]], proven: bool = False):
        self.backend, self._compute, self._writing = backend, compute, writing
        self.steps, self.replays, self.trouble, self.failed, self.proven = 0, 0, "", False, proven
        self._order = Order.of(np.zeros(size, "int64"), backend)  # what a recording refers to
        self._recording: Recording | None = None

    def __call__(self, order: Order) -> dict[str, Any]:
        """The next step, with the rows of these numbers."""
        self._order.become(order, self.backend)
        self.steps += 1
        if self.steps == 1 or self.trouble:
            return self._once()
        if self.steps == 2:
            self._recording = Recording(self.backend, self._once)
            self._written = self._writing()
        elif self.steps == 3 and self.proven:
            self._recording.repeats(self._once)
        elif self.steps == 3:
            self.proven = self._recording.stands_test(self._once)
        else:
            self._replay()
        result = self._recording.result
        if self._recording.trouble:
            self.failed = True
            self.stop(self._recording.trouble)
        return result

    def stop(self, why: str) -> None:
        """Compute all further steps; the recording and its buffers are let go."""
        self.trouble, self._recording = why, None

    def _once(self) -> dict[str, Any]:
        return self._compute(self._order)

    def _replay(self) -> None:
        try:
            self._recording.replay()
        finally:
            self._written()
        self.replays += 1
