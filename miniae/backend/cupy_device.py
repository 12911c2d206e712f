"""Which GPU, and its memory: what fits, what is given back, and what is said when there is not enough of it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from miniae.backend.base import Array, Backend, Shape, _Thread
from miniae.backend.cupy_feeding import OverlappedFeeder
from miniae.backend.feeding import Feeder
from miniae.backend.shortage import readable, shortage

__all__ = ["CupyDevice"]

# Of a device's memory, the part that data leave to the model, its activations and the buffers of kernels.
_RESERVED = 1 / 4


class _ThreadOnDevice(_Thread):
    """In CuPy each thread has a current device. Here, what a thread asks for first makes it the backend's."""

    def __init__(self, device: Any):
        device.use()  # called for each thread anew

    def enter(self) -> None:
        """This thread is at work on the device: to ask for anything here is enough."""


class CupyDevice(Backend):
    """The part of `CupyBackend` that is about the device, that of this number or the current one, and its memory."""

    def __init__(self, cupy: Any, number: int | None = None):
        super().__init__(cupy)
        device = cupy.cuda.Device() if number is None else cupy.cuda.Device(number)
        self.number: int = device.id
        self._thread = _ThreadOnDevice(device)
        self.allocate = self._allocate
        cupy.cuda.set_allocator(self.explained(cupy.cuda.get_allocator()))

    def __repr__(self) -> str:
        return f"<miniae backend {self.name}:{self.number}>"

    def _allocate(self, shape: Shape, dtype: Any) -> Array:
        self._thread.enter()
        return self.xp.empty(shape, dtype)

    def asarray(self, host: Any, dtype: Any = None) -> Array:
        self._thread.enter()
        return super().asarray(host, dtype)

    def zeros(self, shape: Shape, dtype: Any) -> Array:
        self._thread.enter()
        return super().zeros(shape, dtype)

    def device_info(self) -> dict[str, Any]:
        self._thread.enter()
        free, total = self.xp.cuda.runtime.memGetInfo()
        return {**self._properties(self.number), "memory_total": total, "memory_free": free}

    def devices(self) -> dict[str, dict[str, Any]]:
        """Of those that are not in use it is not known how much memory is free: to ask would take some of it."""
        return {f"{self.name}:{number}": self.device_info() if number == self.number else self._properties(number)
                for number in range(self.xp.cuda.runtime.getDeviceCount())}

    def _properties(self, number: int) -> dict[str, Any]:
        properties = self.xp.cuda.runtime.getDeviceProperties(number)
        return {"device": properties["name"].decode(), "memory_total": properties["totalGlobalMem"]}

    # ---------------------------------------------------------------- memory

    def memory(self) -> tuple[int, int]:
        """How many bytes are free, for others or in CuPy's pool, and how many the device has (or CuPy may take)."""
        self._thread.enter()
        pool = self.xp.get_default_memory_pool()
        free, total = self.xp.cuda.runtime.memGetInfo()
        limit = pool.get_limit()
        if limit:
            free, total = min(free, limit - pool.total_bytes()), min(total, limit)
        return max(free, 0) + pool.free_bytes(), total

    def room_for(self, nbytes: int, in_file: bool = False) -> bool:
        free, total = self.memory()
        return nbytes <= free - _RESERVED * total

    def may_copy(self, nbytes: int) -> bool:
        return nbytes <= 2**31 and self.room_for(2 * nbytes)  # a graph saves more than Python's time

    def feeder(self, gather: Callable[[np.ndarray, np.ndarray], None], shape: Shape, dtype: Any) -> Feeder:
        return OverlappedFeeder(self, gather, shape, dtype, self._copies)

    def release(self) -> None:
        self.xp.get_default_memory_pool().free_all_blocks()
        self.xp.get_default_pinned_memory_pool().free_all_blocks()

    def explained(self, allocator: Callable[[int], Any]) -> Callable[[int], Any]:
        """An allocator of CuPy's whose `OutOfMemoryError`, a `MemoryError`, says in one line what there is and what to
        do. Arrays come by way of it, and what functions need in between; not what CUDA takes for itself."""
        def allocate(nbytes: int) -> Any:
            try:
                return allocator(nbytes)
            except MemoryError as why:
                why.args = (shortage(self._title(), f"{readable(nbytes)} are wanted", *self.memory()),)
                raise

        return allocate

    def _title(self) -> str:
        return f"{self.name}:{self.number}, {self._properties(self.number)['device']}"

    @functools.cached_property
    def _copies(self) -> Any:
        """The stream of copies from the host, which waits for no other but by events."""
        return self.xp.cuda.Stream(non_blocking=True)
