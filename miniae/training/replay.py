"""Training steps that repeat: worked out in Python at first, then replayed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from miniae.backend import Backend
from miniae.backend.recording import Recording
from miniae.data.rows import Order

__all__ = ["RepeatedStep"]


class RepeatedStep:
    """The steps of an epoch, on batches of one size: worked out in Python at first, then replayed from a recording.

    `compute(order)` makes a step with the rows of these numbers, and returns arrays by name; it runs in an arena.
    `written` is called after a replay. `proven` says whether a recording of such steps has passed its test, here or in
    an epoch before; `replays` counts the replays. Between two epochs anything may change, so the next one needs a
    `RepeatedStep` of its own.
    """

    def __init__(self, backend: Backend, size: int, compute: Callable[[Order], dict[str, Any]],
                 written: Callable[[], None], proven: bool = False):
        self.backend, self.proven, self.replays = backend, proven, 0
        self._order = Order.of(np.zeros(size, "int64"), backend)  # what a recording refers to
        self._steps = self._made(lambda: compute(self._order), written)

    def __call__(self, order: Order) -> dict[str, Any]:
        """The next step, with the rows of these numbers."""
        self._order.become(order, self.backend)
        return next(self._steps)

    def _made(self, compute: Callable[[], dict[str, Any]], written: Callable[[], None]) -> Iterator[dict[str, Any]]:
        """One step after another."""
        if not self.proven:
            yield compute()  # what is made only once is made here
        recording = Recording(self.backend, compute)
        yield recording.result
        if not self.proven:
            self.proven = recording.repeats(compute)
            yield recording.result
        while recording.trouble or not self.proven:
            yield compute()
        while True:
            recording.replay()
            written()
            self.replays += 1
            yield recording.result
