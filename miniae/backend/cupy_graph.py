"""CUDA graphs: the kernels of a whole step, launched at once."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator
from typing import Any

from miniae.backend.base import CaptureError
from miniae.backend.recording import StepChanged


def captured(cupy: Any, run: Callable[[], None], allocator: Callable[[Callable[..., Any]], Callable[..., Any]],
             let_go: Callable[[Any], Any]) -> Callable[[], None]:
    """What `run` launches, captured as a graph on a stream of its own, to be launched on the current one.

    Arrays that `run` makes, beside those it is given, come from a pool of the graph's own, as every launch writes to
    them again; `allocator` makes an allocator of the pool's. `let_go(stream)` gives what somebody keeps for the stream.
    Raises `CaptureError` for what a graph can't hold.
    """
    cuda = cupy.cuda
    stream, pool = cuda.Stream(non_blocking=True), cuda.MemoryPool()
    with stream, cuda.using_allocator(allocator(pool.malloc)), _no_garbage_collection():
        stream.begin_capture()
        try:
            run()
        except BaseException as why:
            with contextlib.suppress(Exception):  # the capture has failed already
                stream.end_capture()
            let_go(stream)
            if isinstance(why, (MemoryError, StepChanged)) or not isinstance(why, Exception):
                raise
            raise CaptureError(first_line(why)) from why
        try:
            graph = stream.end_capture()
        except RuntimeError as why:
            let_go(stream)
            raise CaptureError(first_line(why)) from why

    memory = pool, let_go(stream)

    def launch(_memory: Any = memory) -> None:  # held as long as the graph lives
        graph.launch(cuda.get_current_stream())

    return launch


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """A block in which no cycle's destructor runs that might wait for the device: that would end a capture."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def first_line(why: Exception) -> str:
    """What went wrong, in a line."""
    return str(why).splitlines()[0] if str(why) else type(why).__name__
