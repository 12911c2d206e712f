"""The CPU: NumPy, with its matrix products in BLAS."""

from __future__ import annotations

from typing import Any

import numpy as np

from miniae.backend.base import Array, Backend, Shape
from miniae.backend.numpy_image import NumpyImageKernels

# Elements of a piece: a handful of them in float32 stay in a cache of half a megabyte.
_PIECE = 16_384


class NumpyBackend(NumpyImageKernels, Backend):
    """Arrays are `numpy.ndarray`."""

    name = "numpy"

    def device_info(self) -> dict[str, Any]:
        import os

        info: dict[str, Any] = {"device": f"CPU ({os.cpu_count()} cores)"}
        if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
            page = os.sysconf("SC_PAGE_SIZE")
            info["memory_total"] = page * os.sysconf("SC_PHYS_PAGES")
            if "SC_AVPHYS_PAGES" in os.sysconf_names:
                info["memory_free"] = page * os.sysconf("SC_AVPHYS_PAGES")
        return info

    def empty_like(self, a: Array, shape: Shape | None = None, dtype: Any = None) -> Array:
        shape, dtype = a.shape if shape is None else shape, a.dtype if dtype is None else dtype
        if a.flags.c_contiguous:
            return self.empty(shape, dtype)
        order = sorted(range(a.ndim), key=lambda axis: -abs(a.strides[axis]))
        return self.empty(tuple(shape[axis] for axis in order), dtype).transpose(np.argsort(order))

    def bce_logits(self, z: Array, t: Array) -> tuple[Array, Array]:
        """L and dL/dz at once, in pieces that the cache holds: with e = exp(-|z|) and k = 1 where z > 0, else 0,

        softplus(z) - t z = log(1 + e) + (k - t) z   and   sigmoid(z) = max(e, k) / (1 + e).

        NumPy's log is several times as fast as its log1p; a last bit of 1 + e is nothing to the sum of the losses.
        """
        grad, n, total = self.empty_like(z), max(len(z), 1), 0.0
        z, t = (a if a.strides == grad.strides else self.copy(a, out=self.empty_like(grad)) for a in (z, t))
        buffers = [self.empty((min(z.size, _PIECE),), z.dtype) for _ in range(2)]
        z, t, flat = (_in_memory_order(a) for a in (z, t, grad))
        for start in range(0, z.size, _PIECE):
            logits, targets, g = (a[start:start + _PIECE] for a in (z, t, flat))
            e, k = (buffer[:len(logits)] for buffer in buffers)
            np.abs(logits, out=e)
            np.negative(e, out=e)
            np.exp(e, out=e)
            np.greater(logits, 0.0, out=k)
            np.subtract(k, targets, out=g)
            total += float(np.dot(g, logits))
            np.maximum(e, k, out=g)
            np.add(e, 1.0, out=e)
            np.divide(g, e, out=g)
            np.log(e, out=e)
            total += float(np.sum(e))
            np.subtract(g, targets, out=g)
            np.multiply(g, 1.0 / n, out=g)
        return self._number(total / n, grad.dtype), grad

    def _number(self, value: float, dtype: Any) -> Array:
        number = self.empty((), dtype)
        number.fill(value)
        return number

    def philox_uniform(self, out: Array, seed: int, stream: int, step: Array) -> None:
        counter = [0, int(step[0]), stream, 0]
        generator = np.random.Generator(np.random.Philox(key=[seed, 0], counter=counter))
        if out.flags.c_contiguous:
            generator.random(out=out, dtype=out.dtype)
        else:
            out[...] = generator.random(out.shape, out.dtype)

    def gather(self, rows: Array, index: Array, out: Array | None = None) -> Array:
        n = len(rows)
        if len(index) and (index.min() < -n or index.max() >= n):
            raise IndexError(f"the indices go from {index.min()} to {index.max()}, there are {n} rows")
        out = self.empty((len(index), *rows.shape[1:]), rows.dtype) if out is None else out
        return np.take(rows, index, axis=0, out=out, mode="wrap")  # the mode "raise" would gather into a buffer first


def _in_memory_order(a: Array) -> Array:
    """All elements of an array without gaps in memory, in one dimension: a view."""
    return a.transpose(sorted(range(a.ndim), key=lambda axis: -a.strides[axis])).reshape(-1)


def make() -> NumpyBackend:
    """The backend `get("numpy")` returns."""
    return NumpyBackend(np)
