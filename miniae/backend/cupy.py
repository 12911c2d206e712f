"""An NVIDIA GPU, through CuPy.

Whatever `base.py` says in terms of the array namespace runs here as it is; the kernels of the folder `cuda` replace
what would be several passes over memory. They take contiguous arrays of float32 or float64; others fall back to the
base.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

from miniae.backend.base import Array, Backend, BackendUnavailable
from miniae.backend.cublas import BFLOAT16, Cublas, library, plain
from miniae.backend.kernels import TYPES, Kernels

_SHORT = {"float16": "float16", "bfloat16": BFLOAT16}  # what operands are stored as for the precisions of 16 bits


class CupyBackend(Backend):
    """Arrays are `cupy.ndarray`, on the current device. Matrix products are cuBLAS's, where it is given."""

    name = "cupy"

    def __init__(self, cupy: Any, cublas: Cublas | None = None):
        super().__init__(cupy)
        self.kernels, self.cublas = Kernels(cupy), cublas

    def to_host(self, a: Array) -> np.ndarray:
        return self.xp.asnumpy(a)

    def synchronize(self) -> None:
        self.xp.cuda.get_current_stream().synchronize()

    def device_info(self) -> dict[str, Any]:
        runtime = self.xp.cuda.runtime
        properties = runtime.getDeviceProperties(self.xp.cuda.Device().id)
        free, total = runtime.memGetInfo()
        return {"device": properties["name"].decode(), "memory_total": total, "memory_free": free}

    # ---------------------------------------------------------------- matrix products

    def matmul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """By cuBLAS, eager and in a captured step alike, for matrices of float32 or float64, or for as many in a and b.

        Operands that have gaps both along rows and along columns are copied first.
        """
        if not _are_matrices(a, b):
            return super().matmul(a, b, out)
        shape = (*a.shape[:-1], b.shape[-1])
        result = self.empty(shape, a.dtype) if out is None else out
        if result.shape != shape or result.dtype != a.dtype:
            raise ValueError(f"a product of {a.shape} and {b.shape} is {a.dtype} of shape {shape}, got out of "
                             f"{result.dtype} and shape {result.shape}")
        whole = self._gapless(result)
        self._product(a, b, whole)
        return result if whole is result else self.copy(whole, out=result)

    def _product(self, a: Array, b: Array, out: Array) -> None:
        """out = a @ b, of the operands as `rounded`; `out` is contiguous."""
        if self.cublas is not None:
            short = self.precision if out.dtype == "float32" else ""
            read = self._short if short in _SHORT else self._plain
            self.cublas.product(read(a), read(b), out, tf32=short == "tf32")
            return
        a, b = self.rounded(a), self.rounded(b)
        if hasattr(self, "product"):  # without cuBLAS our own kernel
            self.product(a, b, out)
        else:
            self.xp.matmul(a, b, out=out)

    def _plain(self, a: Array) -> Array:
        """The matrices themselves, or a copy where cuBLAS could not read them."""
        return a if plain(a) else self.contiguous(a)

    def _short(self, a: Array) -> Array:
        """The matrices of float32 in `precision`, float16 or bfloat16."""
        turned = a.swapaxes(-1, -2)
        if turned.flags.c_contiguous and not a.flags.c_contiguous:
            return self._short(turned).swapaxes(-1, -2)
        a, out = self.contiguous(a), self.empty(a.shape, _SHORT[self.precision])
        self.kernels.for_each(f"to_{self.precision}", a.size, a.dtype, a, out)
        return out

    def _gapless(self, a: Array) -> Array:
        """The array itself, or where it is not contiguous a buffer like it."""
        return a if a.flags.c_contiguous else self.empty(a.shape, a.dtype)

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
    cublas = library(cupy.cuda.runtime.runtimeGetVersion() // 1000)
    return CupyBackend(cupy, Cublas(cupy, cublas) if cublas else None)


def _are_matrices(a: Array, b: Array) -> bool:
    """Whether a and b are two matrices, or two stacks of as many, that can be multiplied by cuBLAS."""
    return (a.ndim == b.ndim and 2 <= a.ndim <= 3 and a.dtype == b.dtype and str(a.dtype) in TYPES
            and a.shape[-1] == b.shape[-2] and a.shape[:-2] == b.shape[:-2])


def _first_line(why: Exception) -> str:
    return str(why).splitlines()[0] if str(why) else type(why).__name__
