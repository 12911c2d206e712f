"""An NVIDIA GPU, through CuPy.

Whatever `base.py` says in terms of the array namespace runs here as it is; the kernels of `kernels.cu` replace what
would be several passes over memory. They take contiguous arrays of float32 or float64; others fall back to the base.
"""

from __future__ import annotations

import importlib.util
from importlib.resources import files
from typing import Any

import numpy as np

from miniae.backend.base import Array, Backend, BackendUnavailable

_TYPES = {"float32": "float", "float64": "double"}
_KERNELS = ("sigmoid", "sigmoid_grad", "tanh_grad", "leaky_relu", "leaky_relu_grad", "softplus", "adam",
            "philox_uniform")
_THREADS = 256
_MOST_BLOCKS = 4096  # enough to fill any GPU; each thread then takes several elements


def cuda_source() -> str:
    """The text of kernels.cu."""
    return files("miniae.backend").joinpath("kernels.cu").read_text(encoding="utf-8")


def kernel_names() -> list[str]:
    """Every kernel in every type, as C++ names it: `sigmoid<float>`."""
    return [f"{kernel}<{t}>" for kernel in _KERNELS for t in _TYPES.values()]


class CupyBackend(Backend):
    """Arrays are `cupy.ndarray`, on the current device."""

    name = "cupy"

    def __init__(self, cupy: Any):
        super().__init__(cupy)
        self._module = cupy.RawModule(code=cuda_source(), options=("--std=c++17",), name_expressions=kernel_names())

    def asarray(self, host: Any, dtype: Any = None) -> Array:
        return self.xp.asarray(np.asarray(host, dtype=dtype)).copy()

    def to_host(self, a: Array) -> np.ndarray:
        return self.xp.asnumpy(a)

    def synchronize(self) -> None:
        self.xp.cuda.get_current_stream().synchronize()

    def device_info(self) -> dict[str, Any]:
        runtime = self.xp.cuda.runtime
        properties = runtime.getDeviceProperties(self.xp.cuda.Device().id)
        free, total = runtime.memGetInfo()
        return {"device": properties["name"].decode(), "memory_total": total, "memory_free": free}

    # ---------------------------------------------------------------- kernels

    def _launch(self, kernel: str, n: int, dtype: Any, *args: Any) -> None:
        if n == 0:
            return
        blocks = min(-(-n // _THREADS), _MOST_BLOCKS)
        function = self._module.get_function(f"{kernel}<{_TYPES[str(dtype)]}>")
        function((blocks,), (_THREADS,), (*args, np.int64(n)))

    def _fits(self, *arrays: Array) -> bool:
        """Whether the kernels can take these arrays: contiguous, of one shape and of a type there is a kernel for."""
        first = arrays[0]
        return str(first.dtype) in _TYPES and all(
            a.flags.c_contiguous and a.dtype == first.dtype and a.shape == first.shape for a in arrays)

    def _map(self, kernel: str, inputs: tuple[Array, ...], out: Array | None, *numbers: float) -> Array | None:
        """out = kernel(inputs, numbers), or None when the arrays are not of the kind the kernels take."""
        out = self.empty_like(inputs[0]) if out is None else out
        if not self._fits(*inputs, out):
            return None
        self._launch(kernel, out.size, out.dtype, *inputs, out, *[out.dtype.type(v) for v in numbers])
        return out

    def sigmoid(self, x: Array, out: Array | None = None) -> Array:
        y = self._map("sigmoid", (x,), out)
        return super().sigmoid(x, out) if y is None else y

    def sigmoid_grad(self, gy: Array, y: Array, out: Array | None = None) -> Array:
        gx = self._map("sigmoid_grad", (gy, y), out)
        return super().sigmoid_grad(gy, y, out) if gx is None else gx

    def tanh_grad(self, gy: Array, y: Array, out: Array | None = None) -> Array:
        gx = self._map("tanh_grad", (gy, y), out)
        return super().tanh_grad(gy, y, out) if gx is None else gx

    def leaky_relu(self, x: Array, slope: float, out: Array | None = None) -> Array:
        y = self._map("leaky_relu", (x,), out, slope)
        return super().leaky_relu(x, slope, out) if y is None else y

    def leaky_relu_grad(self, gy: Array, x: Array, slope: float, out: Array | None = None) -> Array:
        gx = self._map("leaky_relu_grad", (gy, x), out, slope)
        return super().leaky_relu_grad(gy, x, slope, out) if gx is None else gx

    def softplus(self, x: Array, out: Array | None = None) -> Array:
        y = self._map("softplus", (x,), out)
        return super().softplus(x, out) if y is None else y

    def adam(self, p: Array, g: Array, m: Array, v: Array, rate: Array, scratch: Array, beta1: float, beta2: float,
             epsilon: float) -> None:
        if not self._fits(p, g, m, v):
            return super().adam(p, g, m, v, rate, scratch, beta1, beta2, epsilon)
        number = p.dtype.type
        self._launch("adam", p.size, p.dtype, p, g, m, v, rate, number(beta1), number(beta2), number(epsilon))

    def philox_uniform(self, out: Array, seed: int, stream: int, step: Array) -> None:
        if not self._fits(out):
            whole = self.xp.empty(out.shape, out.dtype)
            self.philox_uniform(whole, seed, stream, step)
            self.xp.copyto(out, whole)
            return
        self._launch("philox_uniform", out.size, out.dtype, out, np.uint64(seed), np.uint64(stream), step)


def make() -> CupyBackend:
    """The backend `get("cupy")` returns. Raises `BackendUnavailable` with what is missing."""
    if importlib.util.find_spec("cupy") is None:
        raise BackendUnavailable('backend cupy needs CuPy, which is not installed: pip install "miniae[gpu]" for '
                                 'CUDA 13, "miniae[gpu-cuda12]" for CUDA 12, or use the backend numpy')
    try:
        import cupy

        if not cupy.is_available():
            cupy.cuda.runtime.getDeviceCount()  # raises with the reason
            raise RuntimeError("no device")
        cupy.zeros(1)
    except (ImportError, RuntimeError) as why:
        reason = str(why).splitlines()[0] if str(why) else type(why).__name__
        raise BackendUnavailable(f"backend cupy finds no usable NVIDIA GPU ({reason}): check the driver with "
                                 "nvidia-smi, or use the backend numpy") from None
    return CupyBackend(cupy)
