"""A GPU's memory: what fits, what is given back, and what is said when there is not enough of it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from miniae.backend.base import Backend, Shape
from miniae.backend.cupy_feeding import OverlappedFeeder
from miniae.backend.feeding import Feeder
from miniae.backend.shortage import readable, shortage

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

    def release(self) -> None:
        self.xp.get_default_memory_pool().free_all_blocks()
        self.xp.get_default_pinned_memory_pool().free_all_blocks()

    def explained(self, allocator: Callable[[int], Any]) -> Callable[[int], Any]:
        """An allocator of CuPy's whose `OutOfMemoryError`, a `MemoryError`, says in one line what there is and what to
        do. All memory comes by way of it: arrays, what functions need in between, and kernels."""
        def allocate(nbytes: int) -> Any:
            try:
                return allocator(nbytes)
            except MemoryError as why:
                why.args = (shortage(self.device_info()["device"], f"{readable(nbytes)} are wanted", *self.memory()),)
                raise

        return allocate

    @functools.cached_property
    def _copies(self) -> Any:
        """The stream of copies from the host, which waits for no other but by events."""
        return self.xp.cuda.Stream(non_blocking=True)
