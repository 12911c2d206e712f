"""The CPU: NumPy, with its matrix products in BLAS."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from miniae.backend.base import Array, Backend, Shape
from miniae.backend.numpy_image import NumpyImageKernels

# Elements of a piece: a handful of them in float32 stay in a cache of half a megabyte.
_PIECE = 16_384
# Elements of a stretch: a handful of them stay in the caches that cores share.
_STRETCH = 131_072


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

    def scaled(self, a: Array, factor: Array) -> Array:
        return a if factor == 1.0 else self.multiply(a, factor)

    def sigmoid(self, x: Array, out: Array | None = None) -> Array:
        """As the reference, but x is not held: exp(-x) may overflow to infinity, whose y is 0."""
        out = self.elementwise(np.negative, x, out=out)
        with np.errstate(over="ignore"):
            np.exp(out, out=out)
        np.add(out, 1.0, out=out)
        return np.divide(1.0, out, out=out)

    def leaky_relu(self, x: Array, slope: float, out: Array | None = None) -> Array:
        """The ReLU as the larger of x and an array of zeros, of a piece: NumPy's maximum of two arrays is several times
        as fast as that of an array and a number."""
        out = self.empty_like(x) if out is None else out
        flat = _flat(x, out)
        if slope or flat is None:
            return super().leaky_relu(x, slope, out)
        zeros = _zeros(x.dtype)
        for start in range(0, x.size, _PIECE):
            piece, y = (a[start:start + _PIECE] for a in flat)
            np.maximum(piece, zeros[:len(y)], out=y)
        return out

    def squared_error(self, y: Array, t: Array) -> tuple[Array, Array]:
        """The sum of squares as scalar products of pieces with themselves, added in double precision."""
        n, total = max(len(y), 1), 0.0
        difference = self.subtract(y, t)
        (flat,) = _flat(difference)
        for start in range(0, flat.size, _PIECE):
            piece = flat[start:start + _PIECE]
            total += float(np.dot(piece, piece))
        return self._number(total / n, difference.dtype), np.multiply(difference, 2.0 / n, out=difference)

    def bce_logits(self, z: Array, t: Array) -> tuple[Array, Array]:
        """L and dL/dz at once, in pieces that the cache holds: with e = exp(-|z|) and k = 1 where z > 0, else 0,

        softplus(z) - t z = log(1 + e) + (k - t) z   and   sigmoid(z) = max(e, k) / (1 + e).

        NumPy's log is several times as fast as its log1p; a last bit of 1 + e is nothing to the sum of the losses.
        """
        grad, n, total = self.empty_like(z), max(len(z), 1), 0.0
        z, t = (a if _flat(a, grad) else self.copy(a, out=self.empty_like(grad)) for a in (z, t))
        buffers = [self.empty((min(z.size, _PIECE),), z.dtype) for _ in range(2)]
        flat = _flat(z, t, grad)
        for start in range(0, z.size, _PIECE):
            logits, targets, g = (a[start:start + _PIECE] for a in flat)
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

    def adam(self, p: Array, g: Array, m: Array, v: Array, rate: Array, scratch: Array, beta1: float, beta2: float,
             epsilon: float) -> None:
        """A stretch of all arrays after another, so that its 13 passes do not go to memory 13 times."""
        for start in range(0, len(p), _STRETCH):
            part = slice(start, start + _STRETCH)
            super().adam(p[part], g[part], m[part], v[part], rate, scratch[:len(p[part])], beta1, beta2, epsilon)

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


def _flat(*arrays: Array) -> list[Array] | None:
    """One-dimensional views of arrays that lie alike in memory and without gaps; None for others."""
    first = arrays[0]
    if any(a.shape != first.shape or a.strides != first.strides for a in arrays[1:]):
        return None
    if not first.flags.c_contiguous:
        order = sorted(range(first.ndim), key=lambda axis: -first.strides[axis])
        arrays = tuple(a.transpose(order) for a in arrays)
    return [a.reshape(-1) for a in arrays] if arrays[0].flags.c_contiguous else None


@functools.cache
def _zeros(dtype: np.dtype) -> Array:
    """A piece of zeros."""
    return np.zeros(_PIECE, dtype)


def make() -> NumpyBackend:
    """The backend `get("numpy")` returns."""
    return NumpyBackend(np)
