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

from miniae.backend.base import Array, BackendUnavailable
from miniae.backend.cublas import BFLOAT16, Cublas, library, plain
from miniae.backend.cupy_device import CupyDevice
from miniae.backend.cupy_graph import captured, first_line
from miniae.backend.cupy_image import CupyImageKernels
from miniae.backend.kernels import TYPES, Kernels

_SHORT = {"float16": "float16", "bfloat16": BFLOAT16}  # what operands are stored as for the precisions of 16 bits

_ACTIVATION = {None: np.int32(0), "sigmoid": np.int32(1), "tanh": np.int32(2), "relu": np.int32(3)}
_COUNTERS = {"int64": "long long", "float64": "double"}
_GATHERED = {**TYPES, "uint8": "unsigned char", "int64": "long long"}
_FLOAT64 = np.dtype("float64")
_TERMS_A_BLOCK, _MOST_PARTS = 1024, 512  # of a loss


class CupyBackend(CupyImageKernels, CupyDevice):
    """Arrays are `cupy.ndarray`, on one device. Matrix products are cuBLAS's, where it is given."""

    name = "cupy"

    def __init__(self, cupy: Any, number: int | None = None, cublas: Cublas | None = None):
        super().__init__(cupy, number)
        self.kernels, self.cublas = Kernels(cupy), cublas

    def to_host(self, a: Array) -> np.ndarray:
        return self.xp.asnumpy(a)

    def synchronize(self) -> None:
        self._thread.enter()
        self.xp.cuda.get_current_stream().synchronize()

    def graph(self, run: Callable[[], None]) -> Callable[[], None]:
        return captured(self.xp, run, self.explained, self.cublas.let_go if self.cublas else lambda stream: None)

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
        if out.ndim == 2:
            self.product(a, b, out)
        else:
            for i in range(len(out)):
                self.product(a[i], b[i], out[i])

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

    def add_bias(self, z: Array, b: Array, f: str | None = None) -> Array:
        lies = _in_channels(z)
        if lies is None or str(z.dtype) not in TYPES or b.dtype != z.dtype or not b.flags.c_contiguous:
            return super().add_bias(z, b, f)
        self.kernels.for_each("bias_activation", z.size, z.dtype, z, b, _ACTIVATION[f], *map(np.int64, lies[1:]))
        return z

    def add_bias_grad(self, gy: Array, y: Array, f: str | None = None, out: Array | None = None
                      ) -> tuple[Array, Array]:
        given = gy
        if _in_channels(gy) is None and gy.ndim == 4:
            gy = self.contiguous(gy)
        lies, g, y = _in_channels(gy), gy if f is None else self.empty_like(gy), gy if f is None else y
        if (not gy.size or lies is None or str(gy.dtype) not in TYPES
                or any(a.dtype != gy.dtype or _in_channels(a) != lies for a in (y, g))):
            return super().add_bias_grad(given, y, f, out)
        rows, channels, length = lies
        sums = self.empty((channels,), gy.dtype) if out is None else out
        slices = _slices(rows, channels, length)
        slice_rows = -(-rows // slices)
        whole = self._gapless(sums)
        parts = whole if slices == 1 else self.empty((slices, channels), gy.dtype)
        kind = TYPES[str(gy.dtype)]
        how = (gy, y, g, parts, _ACTIVATION[f], np.int64(rows), np.int64(channels))
        if length == 1:
            self.kernels.launch(f"column_gradient<{kind}>", (-(-channels // 32), slices), (32, 16), *how,
                                np.int64(slice_rows))
        else:
            self.kernels.launch(f"channel_gradient<{kind}>", (channels, slices), (256,), *how, np.int64(length),
                                np.int64(slice_rows))
        if slices > 1:
            self.kernels.for_each("add_slices", channels, gy.dtype, parts, whole, np.int64(slices))
        return given if f is None else g, sums if whole is sums else self.copy(whole, out=sums)

    def _loss(self, kernel: str, y: Array, t: Array) -> tuple[Array, Array]:
        blocks = max(min(-(-y.size // _TERMS_A_BLOCK), _MOST_PARTS), 1)
        grad, loss, parts = self.empty_like(y), self.empty((), y.dtype), self.empty((blocks,), "float64")
        kind = TYPES[str(y.dtype)]
        self.kernels.launch(f"{kernel}<{kind}>", (blocks,), (256,), y, t, parts, grad, np.float64(1.0 / max(len(y), 1)),
                            np.int64(y.size))
        self.kernels.launch(f"add_terms<{kind}>", (1,), (256,), parts, loss, np.int64(blocks))
        return loss, grad

    def squared_error(self, y: Array, t: Array) -> tuple[Array, Array]:
        return self._loss("squared_error", y, t) if self._fits(y, t) else super().squared_error(y, t)

    def bce_logits(self, z: Array, t: Array) -> tuple[Array, Array]:
        return self._loss("bce_logits", z, t) if self._fits(z, t) else super().bce_logits(z, t)

    def add_scaled(self, total: Array, a: Array, factor: float) -> None:
        if not self._fits(total, a):
            return super().add_scaled(total, a, factor)
        self.kernels.for_each("add_scaled", total.size, total.dtype, total, a, total.dtype.type(factor))

    def momentum(self, p: Array, g: Array, v: Array, rate: Array, scratch: Array, momentum: float) -> None:
        if not self._fits(p, g, v) or rate.dtype != p.dtype:
            return super().momentum(p, g, v, rate, scratch, momentum)
        self.kernels.for_each("momentum", p.size, p.dtype, p, g, v, rate, p.dtype.type(momentum))

    def adam(self, p: Array, g: Array, m: Array, v: Array, rates: Array, scratch: Array, beta1: float, beta2: float
             ) -> None:
        if not self._fits(p, g, m, v) or rates.dtype != p.dtype:
            return super().adam(p, g, m, v, rates, scratch, beta1, beta2)
        self.kernels.for_each("adam", p.size, p.dtype, p, g, m, v, rates, p.dtype.type(beta1), p.dtype.type(beta2))

    def adam_rates(self, betas: Array, last: Array, step: Array, lr: Array, epsilon: float, scratch: Array, rates: Array
                   ) -> None:
        if str(rates.dtype) not in TYPES or lr.dtype != rates.dtype or step.dtype != np.float64:
            return super().adam_rates(betas, last, step, lr, epsilon, scratch, rates)
        self.kernels.launch(f"adam_rates<{TYPES[str(rates.dtype)]}>", (1,), (1,), betas, last, step, lr, rates,
                            np.float64(epsilon))

    def increment(self, counter: Array) -> None:
        if str(counter.dtype) not in _COUNTERS or not counter.flags.c_contiguous:
            return super().increment(counter)
        self.kernels.launch(f"increment<{_COUNTERS[str(counter.dtype)]}>", (1,), (32,), counter,
                            np.int64(counter.size))

    def gather(self, rows: Array, index: Array, out: Array | None = None) -> Array:
        out = self.empty((len(index), *rows.shape[1:]), rows.dtype) if out is None else out
        kind = _GATHERED.get(str(rows.dtype))
        if kind is None or index.dtype != np.int64 or out.dtype != rows.dtype or not _contiguous(rows, index, out):
            return super().gather(rows, index, out)
        self._for_each_row(f"gather<{kind}>", rows, out, rows, index, out)
        return out

    def gather_scaled(self, rows: Array, index: Array, offset: Array, scale: Array, out: Array) -> Array:
        if (rows.dtype != np.uint8 or str(out.dtype) not in TYPES or index.dtype != np.int64
                or not offset.shape == scale.shape == rows.shape[1:] or {offset.dtype, scale.dtype} != {_FLOAT64}
                or not _contiguous(rows, index, offset, scale, out)):
            return super().gather_scaled(rows, index, offset, scale, out)
        self._for_each_row(f"gather_scaled<{TYPES[str(out.dtype)]}>", rows, out, rows, index, offset, scale, out)
        return out

    def _for_each_row(self, instance: str, rows: Array, out: Array, *args: Array) -> None:
        if out.size:
            self.kernels.launch(instance, *self.kernels.grid(out.size), *args,
                                *map(np.int64, (len(rows), out.size // len(out), out.size)))

    def philox_uniform(self, out: Array, seed: int, stream: int, step: Array, first: int = 0) -> None:
        self._draw("philox_uniform", out, (), seed, stream, step, first)

    def philox_bernoulli(self, out: Array, probability: Array, seed: int, stream: int, step: Array, first: int = 0
                         ) -> None:
        if not self._fits(out, probability):
            return super().philox_bernoulli(out, probability, seed, stream, step, first)
        self._draw("philox_bernoulli", out, (probability,), seed, stream, step, first)

    def philox_mask(self, out: Array, rate: float, kept: float, seed: int, stream: int, step: Array, first: int = 0
                    ) -> None:
        self._draw("philox_mask", out, (out.dtype.type(rate), out.dtype.type(kept)), seed, stream, step, first)

    def _draw(self, kernel: str, out: Array, args: tuple[Any, ...], seed: int, stream: int, step: Array, first: int
              ) -> None:
        if str(out.dtype) not in TYPES:
            raise TypeError(f"uniform numbers are float32 or float64, not {out.dtype}")
        whole = self._gapless(out)
        if out.size:
            each = 8 if out.itemsize == 4 else 4  # a thread has use for a block of random words
            words = -(-(first % each + out.size) // each)
            self.kernels.launch(f"{kernel}<{TYPES[str(out.dtype)]}>", *self.kernels.grid(words), whole, *args,
                                np.uint64(seed), np.uint64(stream), step, np.int64(first), np.int64(out.size))
        if whole is not out:
            self.copy(whole, out=out)

    def box_muller(self, uniform: Array, out: Array) -> None:
        if not self._fits(uniform) or not self._fits(out):
            return super().box_muller(uniform, out)
        self.kernels.for_each("box_muller", out.size, out.dtype, uniform, out)


def make(number: int | None = None) -> CupyBackend:
    """The backend that `get("cupy")` returns, or `get("cupy:1")`, whose number is 1.

    Raises `BackendUnavailable` with what is missing.
    """
    if importlib.util.find_spec("cupy") is None:
        raise BackendUnavailable('backend cupy needs CuPy, which is not installed: pip install "miniae[gpu-cuda13]" '
                                 '(or "miniae[gpu-cuda12]" for a driver of CUDA 12), or use the backend numpy')
    try:
        import cupy

        if not cupy.is_available():
            cupy.cuda.runtime.getDeviceCount()  # raises with the reason
            raise RuntimeError("no device")
        count = 0 if number is None else cupy.cuda.runtime.getDeviceCount()
        if number is not None and number < count:
            cupy.cuda.Device(number).use()
        some = cupy.empty((64, 64), "float32")
    except (ImportError, RuntimeError) as why:
        raise BackendUnavailable(f"backend cupy finds no usable NVIDIA GPU ({first_line(why)}): check the driver with "
                                 "nvidia-smi, or use the backend numpy") from None
    if number is not None and number >= count:
        raise BackendUnavailable(f"backend cupy:{number}: the devices that there are here go from cupy:0 to "
                                 f"cupy:{count - 1} (CUDA_VISIBLE_DEVICES may hide others)")
    try:
        some.fill(1.0)  # loads the compiler
        cupy.matmul(some, some)  # and the matrix products
    except (ImportError, RuntimeError) as why:
        raise BackendUnavailable(f"backend cupy finds a GPU but not all of CUDA's libraries ({first_line(why)}): pip "
                                 'install "miniae[gpu-cuda13]" (or "miniae[gpu-cuda12]" for a driver of CUDA 12)'
                                 ) from None
    cublas = library(cupy.cuda.runtime.runtimeGetVersion() // 1000)
    return CupyBackend(cupy, number, Cublas(cupy, cublas) if cublas else None)


def _contiguous(*arrays: Array) -> bool:
    return all(a.flags.c_contiguous for a in arrays)


def _in_channels(a: Array) -> tuple[int, int, int] | None:
    """(rows, channels, length) of the array as it lies in memory without gaps: (n, features, 1), (N, C, H W), or where
    channels lie last (N H W, C, 1); None for others."""
    if a.ndim == 2 and a.flags.c_contiguous:
        return *a.shape, 1
    if a.ndim == 4:
        n, channels, height, width = a.shape
        if a.flags.c_contiguous:
            return n, channels, height * width
        if a.transpose(0, 2, 3, 1).flags.c_contiguous:
            return n * height * width, channels, 1
    return None


def _slices(rows: int, channels: int, length: int) -> int:
    """Into how many slices a sum over rows is cut: so many that a large array keeps a GPU busy."""
    if length == 1:
        return min(-(-rows // 512), 64)
    return max(min(rows, rows * length // 4096, 512 // channels), 1)


def _are_matrices(a: Array, b: Array) -> bool:
    """Whether a and b are two matrices, or two stacks of as many, that can be multiplied by cuBLAS."""
    return (a.ndim == b.ndim and 2 <= a.ndim <= 3 and a.dtype == b.dtype and str(a.dtype) in TYPES
            and a.shape[-1] == b.shape[-2] and a.shape[:-2] == b.shape[:-2])
