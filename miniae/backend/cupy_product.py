"""Matrix products by kernels of our own (`cuda/product.cuh`): of matrices, and of those that a convolution implies.

They need no library, and can be captured wherever a kernel can. cuBLAS is faster for matrices that exist; see
`cupy_image.py` for when a convolution gains by not making them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from miniae.backend.kernels import TILES, TYPES
from miniae.backend.mixed import Mixed

__all__ = ["LIMIT", "CupyProduct", "Plan"]

Array = Any
LIMIT = 2**30  # the kernels count within a plane, a sample, a line of a matrix in 32 bits, and add a little to that
_BLOCKS = 256  # with fewer blocks than this, about two for each multiprocessor of a large GPU, k is cut into parts
_LEAST_DEPTH = 128  # of a part: below, writing and adding the parts would cost as much as it saves
_STEP = 16  # DEPTH of product.cuh


class Plan(NamedTuple):
    """How a product (rows, depth) x (depth, columns) is cut: the tile, the number of tiles, the parts of the depth.

    It depends on the sizes alone, so that a product has the same bits on every GPU.
    """

    tile: tuple[int, int]
    tiles: int
    parts: int
    k_part: int

    @classmethod
    def of(cls, rows: int, columns: int, depth: int) -> Plan:
        """For sizes of at least 1. Up to 32 rows get low tiles: a square one would waste half of its rows or more."""
        tile = TILES[1] if rows <= 32 else TILES[0]
        tiles = -(-rows // tile[0]) * -(-columns // tile[1])
        parts = max(min(-(-_BLOCKS // tiles), depth // _LEAST_DEPTH), -(-depth // LIMIT), 1)
        k_part = -(-depth // (parts * _STEP)) * _STEP
        return cls(tile, tiles, -(-depth // k_part), k_part)


class CupyProduct(Mixed):
    """Mixed into `CupyBackend`."""

    kernels: Any

    def product(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """out = a @ b for matrices (rows, depth) and (depth, columns) of any strides, transposed views too.

        float32 is added up in float32, float64 in float64. Other types, and arrays with an axis of 2^30 or more, go to
        CuPy's own. Raises `ValueError` for shapes that do not fit.
        """
        if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0]:
            raise ValueError(f"product takes matrices (rows, depth) and (depth, columns), got {a.shape} and {b.shape}")
        (rows, depth), columns = a.shape, b.shape[1]
        if out is None:
            out = self.empty((rows, columns), a.dtype)
        elif out.shape != (rows, columns):
            raise ValueError(f"product of {a.shape} and {b.shape} needs an out of {(rows, columns)}, got {out.shape}")
        steps = [step // a.itemsize for step in (*a.strides, *b.strides)]
        if (str(a.dtype) not in TYPES or not a.dtype == b.dtype == out.dtype or max(*a.shape, *b.shape) >= LIMIT
                or any(step % a.itemsize for step in (*a.strides, *b.strides))):
            return self.xp.matmul(a, b, out=out)
        whole = out if out.flags.c_contiguous else self.empty(out.shape, out.dtype)
        along = [str(abs(k) <= abs(line)).lower() for line, k in (steps[:2], steps[:1:-1])]
        sizes = [np.int64(n) for n in (*steps, rows, columns, depth)]
        self.launch_product("matrix_product", along, (rows, columns, depth), columns, whole,
                            lambda c, _plane: (a, b, c, *sizes))
        return whole if whole is out else self.copy(whole, out=out)

    def launch_product(self, kernel: str, types: list[str], sizes: tuple[int, int, int], plane: int, out: Array,
                       args: Any) -> None:
        """Run a kernel that is a product, of sizes (rows, columns, depth), into a contiguous `out` (N, rows, plane).

        `args(c, plane)` are its arguments, all but the last, to write c (N, rows, plane).
        """
        if not out.size:
            return
        rows, columns, depth = sizes
        if not depth:
            return self.fill(out, 0.0)
        plan = Plan.of(rows, columns, depth)
        number = TYPES[str(out.dtype)]
        instance = f"{kernel}<{', '.join([number, *types, *map(str, plan.tile)])}>"
        grid, threads = (plan.tiles, plan.parts), plan.tile[0] * plan.tile[1] // 16
        if plan.parts == 1:
            self.kernels.launch(instance, grid, (threads,), *args(out, plane), np.int32(plan.k_part))
            return
        parts = self.empty((plan.parts, rows, columns), out.dtype)
        self.kernels.launch(instance, grid, (threads,), *args(parts, columns), np.int32(plan.k_part))
        self.kernels.for_each("add_parts", out.size, out.dtype, parts, out, np.int32(plan.parts), np.int64(rows),
                              np.int64(columns), np.int32(plane))
