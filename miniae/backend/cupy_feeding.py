"""Rows from the host on their way to a GPU while it computes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from miniae.backend.feeding import Feeder

if TYPE_CHECKING:
    from miniae.backend.base import Backend, Shape

__all__ = ["OverlappedFeeder"]


class OverlappedFeeder(Feeder):
    """Copies the rows of the next step while this one runs.

        host              gathers k+1 into one of two page-locked buffers: when the last copy from it is done
        stream of copies  buffer -> `_arriving`: when k has been taken from there
        the step's        `_arriving` -> `array`: when the copy is done; then step k+1

    The stream of a step is the one that is current when its rows are taken. Its copy, from device to device, is short
    beside that over the bus, and lets the step find its rows in the same place always.
    """

    def __init__(self, backend: Backend, gather: Callable[[np.ndarray, np.ndarray], None], shape: Shape, dtype: Any,
                 copies: Any):
        cuda = backend.xp.cuda
        self.backend, self.gather, self._copies = backend, gather, copies
        self.array, self._arriving = backend.allocate(shape, dtype), backend.allocate(shape, dtype)
        self._buffers = [(self._page_locked(shape, np.dtype(dtype)), cuda.Event(disable_timing=True)) for _ in range(2)]
        self._taken = cuda.Event(disable_timing=True)
        self._fetched: np.ndarray | None = None
        # What had this memory before may still be in use on the stream that it was allocated on.
        self._taken.record(cuda.get_current_stream())

    def fetch(self, index: np.ndarray) -> None:
        self._fetched = None
        self._buffers.reverse()
        host, copied = self._buffers[0]
        copied.synchronize()
        self.gather(index, host)
        self._copies.wait_event(self._taken)
        self._arriving.set(host, stream=self._copies)
        copied.record(self._copies)
        self._fetched = index.copy()

    def take(self, index: np.ndarray) -> None:
        if self._fetched is None or not np.array_equal(self._fetched, index):
            self.fetch(index)
        step, (_, copied) = self.backend.xp.cuda.get_current_stream(), self._buffers[0]
        step.wait_event(copied)
        self.backend.copy(self._arriving, out=self.array)
        self._taken.record(step)
        self._fetched = None

    def _page_locked(self, shape: Shape, dtype: np.dtype) -> np.ndarray:
        """Memory of the host that the device copies from by itself; ordinary memory if the system gives none."""
        nbytes = int(np.prod(shape)) * dtype.itemsize
        try:
            return np.ndarray(shape, dtype, buffer=self.backend.xp.cuda.alloc_pinned_memory(nbytes))
        except RuntimeError:
            return np.empty(shape, dtype)

    def close(self) -> None:
        self._copies.synchronize()  # else a copy might go on in memory that others have been given
        self._fetched = None

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # at the end of the program CUDA may be gone already
            self.close()
