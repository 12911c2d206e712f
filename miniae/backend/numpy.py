"""The CPU: NumPy, with its matrix products in BLAS."""

from __future__ import annotations

from typing import Any

import numpy as np

from miniae.backend.base import Array, Backend, Shape
from miniae.backend.numpy_image import NumpyImageKernels


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


def make() -> NumpyBackend:
    """The backend `get("numpy")` returns."""
    return NumpyBackend(np)
