"""A GPU's memory: what fits, what is given back, and what is said when there is not enough of it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from miniae.backend.base import Backend, Shape
from miniae.backend.cupy_feeding import OverlappedFeeder
from miniae.backend.feeding import Feeder

__all__ = ["CupyMemory"]

# Of a device's memory, the part that data leave to the model, its activations and the buffers of kernels.
_RESERVED = 1 / 4


class CupyMemory(Backend):
    """The part of `CupyBackend` that is about memory."""

    def memory(self) -> tuple[int, int]:
        """How many bytes are free, for others or in CuPy's pool, and how many the device has (or CuPy may take)."""
        pool = self.xp.get_default_memory_pool()
        free, total = self.xp.cuda.runtime.memGetInfo()
        limit = pool.get_limit()
        if limit:
            free, total = min(free, limit - pool.total_bytes()), min(total, limit)
        return max(free, 0) + pool.free_bytes(), total

    def room_for(self, nbytes: int, in_file: bool = False) -> bool:
        free, total = self.memory()
        return nbytes <= free - _RESERVED * total

    def feeder(self, gather: Callable[[np.ndarray, np.ndarray], None], shape: Shape, dtype: Any) -> Feeder:
        return OverlappedFeeder(self, gather, shape, dtype, self._copies)

    @functools.cached_property
    def _copies(self) -> Any:
        """The stream of copies from the host, which waits for no other but by events."""
        return self.xp.cuda.Stream(non_blocking=True)
