"""The CPU: NumPy, with its matrix products in BLAS."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from miniae.backend.base import Array, Backend, Shape
from miniae.backend.numpy_image import NumpyImageKernels
from miniae.backend.philox import philox_generator

# What goes over arrays several times does so by stretches of this many elements: a handful of them stay in the caches
# that cores share. (Shorter ones, for the cache of one core, lose more to NumPy's calls than they gain.)
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
        order = _order(a)
        return self.empty(tuple(shape[axis] for axis in order), dtype).transpose(np.argsort(order))

    def sum(self, a: Array, axis: int | tuple[int, ...] | None = None, keepdims: bool = False,
            out: Array | None = None) -> Array:
        """Sums of columns without what `numpy.sum` does before it comes to the point."""
        if axis != 0 or keepdims:
            return super().sum(a, axis, keepdims, out)
        return np.add.reduce(a, 0, out=self.empty(a.shape[1:], a.dtype) if out is None else out)

    def sigmoid(self, x: Array, out: Array | None = None) -> Array:
        """As the reference, but x is not held: exp(-x) may overflow to infinity, whose y is 0."""
        out = self.elementwise(np.negative, x, out=out)
        with np.errstate(over="ignore"):
            np.exp(out, out=out)
        np.add(out, 1.0, out=out)
        return np.divide(1.0, out, out=out)

    def leaky_relu(self, x: Array, slope: float, out: Array | None = None) -> Array:
        """The ReLU as the larger of x and an array of zeros: NumPy's maximum of two arrays is several times as fast as
        that of an array and a number."""
        out = self.empty_like(x) if out is None else out
        flat = _flat(x, out)
        if slope or flat is None:
            return super().leaky_relu(x, slope, out)
        for x_i, y in _stretches(flat):
            np.maximum(x_i, _zeros(x.dtype)[:len(y)], out=y)
        return out

    def squared_error(self, y: Array, t: Array) -> tuple[Array, Array]:
        """The sum of squares as scalar products of stretches with themselves, added in double precision."""
        grad, n, total = self.empty_like(y), max(len(y), 1), 0.0
        for y_i, t_i, g in _stretches(self._lying_like(grad, y, t)):
            np.subtract(y_i, t_i, out=g)
            total += float(np.dot(g, g))
            np.multiply(g, 2.0 / n, out=g)
        return self._number(total / n, grad.dtype), grad

    def bce_logits(self, z: Array, t: Array) -> tuple[Array, Array]:
        """L and dL/dz at once: with e = exp(-|z|) and k = 1 where z > 0, else 0,

        softplus(z) - t z = log(1 + e) + (k - t) z   and   sigmoid(z) = max(e, k) / (1 + e).

        NumPy's log is several times as fast as its log1p; a last bit of 1 + e is nothing to the sum of the losses.
        """
        grad, n, total = self.empty_like(z), max(len(z), 1), 0.0
        buffers = [self.empty((min(z.size, _STRETCH),), z.dtype) for _ in range(2)]
        for logits, targets, g in _stretches(self._lying_like(grad, z, t)):
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

    def _lying_like(self, out: Array, *operands: Array) -> Any:
        """The operands and `out`, one-dimensional, the elements of all in the order of `out` in memory."""
        return _flat(*[a if _flat(a, out) else self.copy(a, out=self.empty_like(out)) for a in operands], out)

    def adam(self, p: Array, g: Array, m: Array, v: Array, rates: Array, scratch: Array, beta1: float, beta2: float
             ) -> None:
        for p_i, g_i, m_i, v_i, scratch_i in _stretches([p, g, m, v, scratch]):
            super().adam(p_i, g_i, m_i, v_i, rates, scratch_i, beta1, beta2)

    def _number(self, value: float, dtype: Any) -> Array:
        number = self.empty((), dtype)
        number.fill(value)
        return number

    def philox_uniform(self, out: Array, seed: int, stream: int, step: Array, first: int = 0) -> None:
        generator = philox_generator(out.dtype, seed, stream, int(step[0]), first)
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
    for a in arrays[1:]:
        if a.shape != first.shape or a.strides != first.strides and _steps(a) != _steps(first):
            return None
    if not first.flags.c_contiguous:
        arrays = tuple(a.transpose(_order(first)) for a in arrays)
    return [a.reshape(-1) for a in arrays] if arrays[0].flags.c_contiguous else None


def _order(a: Array) -> list[int]:
    """The axes of `a` as they lie in memory, the one of the longest steps first."""
    return sorted(range(a.ndim), key=lambda axis: -abs(a.strides[axis]))


def _steps(a: Array) -> list[int]:
    """The strides of the axes along which there is a step to make."""
    return [stride for n, stride in zip(a.shape, a.strides, strict=True) if n > 1]


def _stretches(flat: list[Array]) -> Iterator[list[Array]]:
    """One-dimensional arrays, a stretch of them after another."""
    n = len(flat[0])
    if n <= _STRETCH:
        yield flat
        return
    for start in range(0, n, _STRETCH):
        yield [a[start:start + _STRETCH] for a in flat]


@functools.cache
def _zeros(dtype: np.dtype) -> Array:
    """A stretch of zeros."""
    return np.zeros(_STRETCH, dtype)


def make() -> NumpyBackend:
    """The backend `get("numpy")` returns."""
    return NumpyBackend(np)
