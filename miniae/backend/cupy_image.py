"""Kernels on images for CuPy: convolution and pooling by the CUDA sources `convolution.cu` and `image.cu`.

They take float32 or float64, and copy what is not contiguous; other types fall back to `image.py`. No sum is made by
atomics: what goes into an element is added by one thread, in an order that is always the same.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from miniae.backend.cupy_product import LIMIT, CupyProduct
from miniae.backend.image import ImageKernels, Windows
from miniae.backend.kernels import TYPES

__all__ = ["CONVOLUTIONS", "CupyImageKernels"]

Array = Any

CONVOLUTIONS = ("auto", "implicit", "columns")

# A convolution can be computed in two ways:
#
#     columns    the matrix of all windows is written to memory, and cuBLAS multiplies
#     implicit   one kernel, which finds the elements of that matrix in the image while it multiplies
#
# An element of the matrix takes part in `filters` products. The first way moves it through memory twice, which takes
# the time of some tens of products on a GPU (an H200 by its data sheet: 8 bytes at 4.8 TB/s, against 2 operations at
# 67 TFLOP/s: 56 products). The second way saves that time, but its loop is slower than cuBLAS, by a factor that stands
# to be 2 or 3. So it gains while an element has few uses. In the input gradient of a convolution with strides it also
# multiplies zeros, as many as the stride has positions for each product that counts: they count as uses.
#
# This constant is an ESTIMATE by that reasoning. It has not been measured.
_MOST_USES = 64
# Above this size the matrix of windows is never made, so that it does not use up the memory. A choice, not measured.
_MOST_BYTES = 2**30

# As `struct Windows` of cuda/windows.cuh has it.
_STRUCT = np.dtype([(name, np.int32) for name in (
    "height", "width", "positions_down", "positions_across", "kernel_down", "kernel_across", "stride_down",
    "stride_across", "above", "left", "dilation_down", "dilation_across")])


@functools.lru_cache(maxsize=1024)
def _struct(windows: Windows) -> np.ndarray:
    """The windows as an argument of a kernel: an array of one structure of the host, which CuPy passes by value."""
    (above, _), (left, _) = windows.padding
    return np.array([(*windows.image, *windows.output, *windows.kernel, *windows.stride, above, left,
                      *windows.dilation)], _STRUCT)


class CupyImageKernels(CupyProduct, ImageKernels):
    """Mixed into `CupyBackend`. `convolution` forces one of the ways to compute a convolution, `CONVOLUTIONS`."""

    convolution = "auto"

    # ---------------------------------------------------------------- convolution

    def im2col(self, x: Array, windows: Windows, out: Array | None = None) -> Array:
        x, (n, channels) = self.contiguous(x), x.shape[:2]
        out = self.empty((channels, *windows.kernel, n, *windows.output), x.dtype) if out is None else out
        if not _fit(x, out) or not _ordinary(windows):
            return super().im2col(x, windows, out)
        self.kernels.for_each("im2col", out.size // windows.size, x.dtype, x, out, _struct(windows),
                              np.int32(channels), np.int32(n))
        return out

    def col2im(self, columns: Array, windows: Windows, out: Array | None = None) -> Array:
        channels, n = columns.shape[0], columns.shape[3]
        out = self.empty((n, channels, *windows.image), columns.dtype) if out is None else out
        if not _fit(columns, out) or not _ordinary(windows):
            return super().col2im(columns, windows, out)
        self.kernels.for_each("col2im", out.size, out.dtype, columns, out, _struct(windows), np.int32(channels),
                              np.int32(n))
        return out

    def conv(self, x: Array, w: Array, windows: Windows, out: Array | None = None) -> Array:
        x, n, filters = self.contiguous(x), x.shape[0], w.shape[0]
        out = self.empty((n, filters, *windows.output), x.dtype) if out is None else out
        if not self._implicit(windows, x, w, out, uses=filters):
            return super().conv(x, w, windows, out)
        positions = math.prod(windows.output)
        self._launch("conv", windows, x, w, out, (filters, n * positions, math.prod(w.shape[1:])), positions, w.shape)
        return out

    def conv_input_grad(self, gy: Array, w: Array, windows: Windows, out: Array | None = None) -> Array:
        gy, n, (filters, channels) = self.contiguous(gy), gy.shape[0], w.shape[:2]
        out = self.empty((n, channels, *windows.image), gy.dtype) if out is None else out
        if not self._implicit(windows, out, w, gy, uses=filters * math.prod(windows.stride)):
            return super().conv_input_grad(gy, w, windows, out)
        pixels = math.prod(windows.image)
        self._launch("conv_input_grad", windows, gy, w, out, (channels, n * pixels, filters * windows.size), pixels,
                     w.shape)
        return out

    def conv_weight_grad(self, x: Array, gy: Array, windows: Windows, out: Array | None = None) -> Array:
        x, gy, filters, (n, channels) = self.contiguous(x), self.contiguous(gy), gy.shape[1], x.shape[:2]
        out = self.empty((filters, channels, *windows.kernel), x.dtype) if out is None else out
        if not self._implicit(windows, x, out, gy, uses=filters):
            return super().conv_weight_grad(x, gy, windows, out)
        columns = channels * windows.size
        self._launch("conv_weight_grad", windows, x, gy, out, (filters, columns, n * math.prod(windows.output)),
                     columns, out.shape)
        return out

    def _launch(self, kernel: str, windows: Windows, a: Array, b: Array, out: Array, sizes: tuple[int, int, int],
                plane: int, weight: tuple[int, ...]) -> None:
        samples = len(b) if kernel == "conv_weight_grad" else len(out)
        numbers = [np.int32(v) for v in (samples, weight[1], weight[0])]
        self.launch_product(kernel, [], sizes, plane, out,
                            lambda c, plane: (a, b, c, _struct(windows), *numbers, np.int32(plane)))

    def _implicit(self, windows: Windows, x: Array, w: Array, y: Array, uses: int) -> bool:
        """Whether to take the kernel that makes no columns, which are used in so many products each."""
        if self.convolution not in CONVOLUTIONS:
            raise ValueError(f"convolution must be one of {', '.join(CONVOLUTIONS)}; got {self.convolution!r}")
        rounded = self.precision != "float32" and x.dtype == np.float32  # which is a matter of `matmul`
        if self.convolution == "columns" or rounded or not _fit(x, w, y) or not _ordinary(windows) or max(
                len(x), w.size, *(math.prod(a.shape[1:]) for a in (x, y))) >= LIMIT:
            return False
        columns = x.shape[1] * windows.size * math.prod(y.shape[2:]) * len(x) * x.itemsize
        return self.convolution == "implicit" or uses <= _MOST_USES or columns > _MOST_BYTES

    # ---------------------------------------------------------------- pooling

    def max_pool(self, x: Array, windows: Windows) -> tuple[Array, Array]:
        x, winners = self.contiguous(x), _winners(windows)
        if not _fit(x) or not _ordinary(windows) or _padded(windows) or winners is None:
            return super().max_pool(x, windows)
        shape = (*x.shape[:2], *windows.output)
        y, winner = self.empty(shape, x.dtype), self.empty(shape, winners)
        self._pool("max_pool", y.size, x.dtype, winner, x, y, winner, _struct(windows))
        return y, winner

    def max_pool_select(self, x: Array, winner: Array, windows: Windows, out: Array | None = None) -> Array:
        x, out = self.contiguous(x), self.empty(winner.shape, x.dtype) if out is None else out
        if not self._pools(x, out, winner, windows):
            return super().max_pool_select(x, winner, windows, out)
        self._pool("max_pool_select", out.size, x.dtype, winner, x, winner, out, _struct(windows))
        return out

    def max_pool_grad(self, gy: Array, winner: Array, windows: Windows, out: Array | None = None) -> Array:
        gy = self.contiguous(gy)
        out = self.empty((*gy.shape[:2], *windows.image), gy.dtype) if out is None else out
        if not self._pools(gy, out, winner, windows):
            return super().max_pool_grad(gy, winner, windows, out)
        self._pool("max_pool_grad", out.size, gy.dtype, winner, gy, winner, out, _struct(windows))
        return out

    def _pools(self, a: Array, out: Array, winner: Array, windows: Windows) -> bool:
        winners = _winners(windows)
        return (_fit(a, out) and _ordinary(windows) and not _padded(windows) and winner.flags.c_contiguous
                and winners is not None and winner.dtype == winners)

    def _pool(self, kernel: str, n: int, dtype: Any, winner: Array, *args: Any) -> None:
        winners = {1: "unsigned char", 2: "unsigned short"}[winner.itemsize]
        self.kernels.for_each_of(f"{kernel}<{TYPES[str(dtype)]}, {winners}>", n, *args)

    def sum_windows(self, x: Array, windows: Windows, out: Array | None = None) -> Array:
        x = self.contiguous(x)
        out = self.empty((*x.shape[:2], *windows.output), x.dtype) if out is None else out
        if not _fit(x, out) or not _ordinary(windows) or _padded(windows):
            return super().sum_windows(x, windows, out)
        self.kernels.for_each("sum_windows", out.size, x.dtype, x, out, _struct(windows))
        return out

    def spread_windows(self, y: Array, windows: Windows, out: Array | None = None) -> Array:
        y = self.contiguous(y)
        out = self.empty((*y.shape[:2], *windows.image), y.dtype) if out is None else out
        if not _fit(y, out) or not _ordinary(windows) or _padded(windows):
            return super().spread_windows(y, windows, out)
        self.kernels.for_each("spread_windows", out.size, y.dtype, y, out, _struct(windows))
        return out


def _fit(*arrays: Array) -> bool:
    """Whether the kernels take these arrays: contiguous, all of one type that there is a kernel for."""
    dtype = arrays[0].dtype
    return str(dtype) in TYPES and all(a.flags.c_contiguous and a.dtype == dtype for a in arrays)


def _ordinary(windows: Windows) -> bool:
    """Whether there is a pixel and a position, and all can be counted in 32 bits, as the kernels do."""
    return min(*windows.image, *windows.output) >= 1 and max(
        size + sum(around) for size, around in zip(windows.image, windows.padding, strict=True)) < LIMIT


def _padded(windows: Windows) -> bool:
    return any(map(any, windows.padding))


def _winners(windows: Windows) -> Any:
    """The type of the numbers of a window's elements, or None where it has too many of them for the kernels."""
    least = np.min_scalar_type(windows.size - 1)
    return least if least.itemsize <= 2 else None
