"""An NVIDIA GPU, through CuPy.

Whatever `base.py` says in terms of the array namespace runs here as it is; the kernels of the folder `cuda` replace
what would be several passes over memory. They take contiguous arrays of float32 or float64; others fall back to the
base.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from miniae.backend.base import Array, Backend, BackendUnavailable, CaptureError
from miniae.backend.kernels import TYPES, Kernels


class CupyBackend(Backend):
    """Arrays are `cupy.ndarray`, on the current device."""

    name = "cupy"

    def __init__(self, cupy: Any):
        super().__init__(cupy)
        self.kernels = Kernels(cupy)

    def to_host(self, a: Array) -> np.ndarray:
        return self.xp.asnumpy(a)

    def synchronize(self) -> None:
        self.xp.cuda.get_current_stream().synchronize()

    def device_info(self) -> dict[str, Any]:
        runtime = self.xp.cuda.runtime
        properties = runtime.getDeviceProperties(self.xp.cuda.Device().id)
        free, total = runtime.memGetInfo()
        return {"device": properties["name"].decode(), "memory_total": total, "memory_free": free}

    def graph(self, run: Callable[[], None]) -> Callable[[], None]:
        """A CUDA graph, captured on a stream of its own and launched on the current one.

        Arrays that `run` makes, beside those it is given, come from a pool of the graph's own, as every launch writes
        to them again.
        """
        cuda = self.xp.cuda
        stream, pool = cuda.Stream(non_blocking=True), cuda.MemoryPool()
        with stream, cuda.using_allocator(pool.malloc), _no_garbage_collection():
            stream.begin_capture()
            try:
                run()
            except Exception as why:
                with contextlib.suppress(Exception):  # the capture has failed already
                    stream.end_capture()
                raise CaptureError(_first_line(why)) from why
            try:
                graph = stream.end_capture()
            except RuntimeError as why:
                raise CaptureError(_first_line(why)) from why

        def launch(memory: Any = pool) -> None:
            graph.launch(cuda.get_current_stream())

        return launch

    # ---------------------------------------------------------------- kernels

    def _fits(self, *arrays: Array) -> bool:
        """Whether the kernels can take these arrays: contiguous, of one shape and of a type there is a kernel for."""
        first = arrays[0]
        return str(first.dtype) in TYPES and all(
            a.flags.c_contiguous and a.dtype == first.dtype and a.shape == first.shape for a in arrays)

    def _map(self, kernel: str, reference: Callable[..., Array], inputs: tuple[Array, ...],
             numbers: tuple[float, ...], out: Array | None) -> Array:
        """out = kernel(inputs, numbers), by the reference when the arrays are not of the kind the kernels take."""
        out = self.empty_like(inputs[0]) if out is None else out
        if not self._fits(*inputs, out):
            return reference(*inputs, *numbers, out)
        self.kernels.for_each(kernel, out.size, out.dtype, *inputs, out, *[out.dtype.type(v) for v in numbers])
        return out

    def sigmoid(self, x: Array, out: Array | None = None) -> Array:
        return self._map("sigmoid", super().sigmoid, (x,), (), out)

    def sigmoid_grad(self, gy: Array, y: Array, out: Array | None = None) -> Array:
        return self._map("sigmoid_grad", super().sigmoid_grad, (gy, y), (), out)

    def tanh_grad(self, gy: Array, y: Array, out: Array | None = None) -> Array:
        return self._map("tanh_grad", super().tanh_grad, (gy, y), (), out)

    def leaky_relu(self, x: Array, slope: float, out: Array | None = None) -> Array:
        return self._map("leaky_relu", super().leaky_relu, (x,), (slope,), out)

    def leaky_relu_grad(self, gy: Array, x: Array, slope: float, out: Array | None = None) -> Array:
        return self._map("leaky_relu_grad", super().leaky_relu_grad, (gy, x), (slope,), out)

    def softplus(self, x: Array, out: Array | None = None) -> Array:
        return self._map("softplus", super().softplus, (x,), (), out)

    def _loss(self, kernel: str, y: Array, t: Array) -> tuple[Array, Array]:
        terms, grad = self.empty_like(y), self.empty_like(y)
        self.kernels.for_each(kernel, y.size, y.dtype, y, t, terms, grad, y.dtype.type(1.0 / max(len(y), 1)))
        return self.sum(terms), grad

    def squared_error(self, y: Array, t: Array) -> tuple[Array, Array]:
        return self._loss("squared_error", y, t) if self._fits(y, t) else super().squared_error(y, t)

    def bce_logits(self, z: Array, t: Array) -> tuple[Array, Array]:
        return self._loss("bce_logits", z, t) if self._fits(z, t) else super().bce_logits(z, t)

    def adam(self, p: Array, g: Array, m: Array, v: Array, rates: Array, scratch: Array, beta1: float, beta2: float
             ) -> None:
        if not self._fits(p, g, m, v) or rates.dtype != p.dtype:
            return super().adam(p, g, m, v, rates, scratch, beta1, beta2)
        self.kernels.for_each("adam", p.size, p.dtype, p, g, m, v, rates, p.dtype.type(beta1), p.dtype.type(beta2))

    def philox_uniform(self, out: Array, seed: int, stream: int, step: Array) -> None:
        if str(out.dtype) not in TYPES:
            raise TypeError(f"uniform numbers are float32 or float64, not {out.dtype}")
        whole = out if out.flags.c_contiguous else self.empty(out.shape, out.dtype)
        self.kernels.for_each("philox_uniform", out.size, out.dtype, whole, np.uint64(seed), np.uint64(stream), step)
        if whole is not out:
            self.copy(whole, out=out)

    def box_muller(self, uniform: Array, out: Array) -> None:
        if not self._fits(uniform) or not self._fits(out):
            return super().box_muller(uniform, out)
        self.kernels.for_each("box_muller", out.size, out.dtype, uniform, out)


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """A block in which no destructor runs that might wait for the device: that would end a capture."""
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def make() -> CupyBackend:
    """The backend `get("cupy")` returns. Raises `BackendUnavailable` with what is missing."""
    if importlib.util.find_spec("cupy") is None:
        raise BackendUnavailable('backend cupy needs CuPy, which is not installed: pip install "miniae[gpu-cuda13]" '
                                 '(or "miniae[gpu-cuda12]" for a driver of CUDA 12), or use the backend numpy')
    try:
        import cupy

        if not cupy.is_available():
            cupy.cuda.runtime.getDeviceCount()  # raises with the reason
            raise RuntimeError("no device")
        one = cupy.ones((1, 1))
    except (ImportError, RuntimeError) as why:
        raise BackendUnavailable(f"backend cupy finds no usable NVIDIA GPU ({_first_line(why)}): check the driver with "
                                 "nvidia-smi, or use the backend numpy") from None
    try:
        cupy.matmul(one, one) + one  # loads the compiler and the matrix products
    except (ImportError, RuntimeError) as why:
        raise BackendUnavailable(f"backend cupy finds a GPU but not all of CUDA's libraries ({_first_line(why)}): pip "
                                 'install "miniae[gpu-cuda13]" (or "miniae[gpu-cuda12]" for a driver of CUDA 12)'
                                 ) from None
    return CupyBackend(cupy)


def _first_line(why: Exception) -> str:
    return str(why).splitlines()[0] if str(why) else type(why).__name__
