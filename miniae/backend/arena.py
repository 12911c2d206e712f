"""The same buffers for the same allocation slots, step after step."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


class Arena:
    """Memory of one repeated computation, a training step say.

    The n-th request of a step gets the buffer that the n-th request of the step before had. On NumPy that means no
    page faults; on a GPU it means stable addresses, so that a step can be recorded once and replayed.

    A step of several parts that need not be alike, phases of training, rewinds to each by its name: every part has
    buffers of its own.

    A buffer that somebody still holds (a tensor, or a view of it) is never handed out again: the slot gets a fresh
    one instead. So an array that a user kept is never overwritten (except by replays of a recorded step, which write
    where the step has written: see `Recording`).
    """

    def __init__(self, allocate: Callable[..., Any]):
        self._allocate = allocate
        self._parts: dict[str, list[tuple[Any, tuple[int, ...], Any]]] = {}
        self.allocations = 0
        self.rewind()

    # How many references `sys.getrefcount` counts in `empty` for a buffer that nobody but the arena holds. It depends
    # on the interpreter, so it is measured, below.
    _references_when_free = 0

    def rewind(self, part: str = "") -> None:
        """Begin the next step, or that part of it, at its slot 0."""
        self._slots = self._parts.setdefault(part, [])
        self._next = 0

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """The buffer of the next slot, with undefined contents."""
        index = self._next
        self._next = index + 1
        if index < len(self._slots):
            buffer, buffer_shape, buffer_dtype = self._slots[index]
            fits = buffer_shape == shape and buffer_dtype == dtype
            if fits and sys.getrefcount(buffer) <= self._references_when_free:
                return buffer
            del buffer
        self.allocations += 1
        buffer = self._allocate(shape, dtype)
        slot = (buffer, shape, dtype)
        if index < len(self._slots):
            self._slots[index] = slot
        else:
            self._slots.append(slot)
        return buffer


def _measure() -> int:
    """The least count at which a buffer that nobody else holds is handed out again."""
    for count in range(1, 10):
        Arena._references_when_free = count
        arena = Arena(lambda shape, dtype: [None])
        for _ in range(2):
            arena.rewind()
            arena.empty((), None)
        if arena.allocations == 1:
            return count
    raise RuntimeError("this Python does not count references: buffers can't be reused safely")  # pragma: no cover


Arena._references_when_free = _measure()
