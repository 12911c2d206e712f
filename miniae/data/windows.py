"""Signals and images of any size as windows of one size, and back."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

__all__ = ["Windows"]

# Elements of the windows that are cut at once.
_BLOCK = 1 << 22


class Windows:
    """Where windows of `size` lie in an array whose last axes have the sizes `extent`: one every `step`, along each
    axis, and one at the very end, so that every element is in a window.

    `size` and `step` are one number, or one for each axis of `extent`. They are numbered in the order of their first
    elements, rows first.

    >>> windows = Windows(5, 3, 2)
    >>> windows.cut(np.arange(5)).tolist()
    [[0, 1, 2], [2, 3, 4]]
    >>> windows.overlay(windows.cut(np.arange(5.0))).tolist()
    [0.0, 1.0, 2.0, 3.0, 4.0]

    Raises `ValueError` where no window fits.
    """

    def __init__(self, extent: int | Sequence[int], size: int | Sequence[int], step: int | Sequence[int] = 1):
        self.extent = (extent,) if isinstance(extent, int) else tuple(extent)
        self.size, self.step = self._for_each_axis("size", size), self._for_each_axis("step", step)
        if any(s > e for s, e in zip(self.size, self.extent, strict=True)):
            raise ValueError(f"windows of {_times(self.size)} do not fit into {_times(self.extent)}: choose smaller "
                             "ones, or give something larger")
        if any(step > s for s, step in zip(self.size, self.step, strict=True)):
            raise ValueError(f"windows of {_times(self.size)} every {_times(self.step)} leave elements out: choose a "
                             "step no larger than the size")
        each = zip(self.extent, self.size, self.step, strict=True)
        self._places = [_places(*axis) for axis in each]  # of the first elements, along each axis
        self.grid = tuple(len(places) for places in self._places)  # how many windows there are along each axis

    def _for_each_axis(self, name: str, value: int | Sequence[int]) -> tuple[int, ...]:
        values = tuple(value) if isinstance(value, Sequence) else (value,) * len(self.extent)
        if len(values) != len(self.extent) or not all(isinstance(v, int | np.integer) and v >= 1 for v in values):
            raise ValueError(f"the windows' {name} is a number of at least 1, or {len(self.extent)} of them, one for "
                             f"each axis; got {value!r}")
        return tuple(int(v) for v in values)

    def __len__(self) -> int:
        return math.prod(self.grid)

    @property
    def corners(self) -> np.ndarray:
        """The places of the windows' first elements: (windows, axes)."""
        return np.stack(np.meshgrid(*self._places, indexing="ij"), axis=-1).reshape(-1, len(self.extent))

    def cut(self, x: Any, which: slice = slice(None)) -> np.ndarray:
        """Those windows of x, all of them unless said otherwise: (..., *extent) to (windows, ..., *size)."""
        x = np.asarray(x)
        axes = tuple(range(x.ndim - len(self.extent), x.ndim))
        if not axes or axes[0] < 0 or x.shape[axes[0]:] != self.extent:
            raise ValueError(f"windows were laid for the last axes {self.extent}, got an array of shape {x.shape}")
        views = np.lib.stride_tricks.sliding_window_view(x, self.size, axes)  # (..., *places, *size)
        views = np.moveaxis(views, axes, range(len(axes)))
        return views[tuple(self.corners[which].T)]

    def blocks(self, x: Any) -> Iterator[np.ndarray]:
        """All windows of x in their order, some at a time, so that the whole of them need not fit into memory."""
        rest = math.prod(np.shape(x)[:-len(self.extent)]) * math.prod(self.size)
        count = max(_BLOCK // max(rest, 1), 1)
        for start in range(0, len(self), count):
            yield self.cut(x, slice(start, start + count))

    def overlay(self, windows: np.ndarray | Iterable[np.ndarray], weight: Any = 1.0) -> np.ndarray:
        """What the windows (windows, ..., *size) say of each element: their mean, weighted by where in a window it is.

            y[p] = sum_w weight[p - corner_w] window_w[p - corner_w] / sum_w weight[p - corner_w]

        `windows` come as one array or in blocks, as `blocks` gives them. `weight` is positive, of a shape that fits
        `size`: a bump, say, where the windows' edges are not to be trusted. Returns (..., *extent).
        """
        weight = np.broadcast_to(np.asarray(weight, np.float64), self.size)
        if not (weight > 0).all():
            raise ValueError("the weights of a window's elements must be positive: some element may be in one window "
                             "only")
        total: Any = None
        weights, n = np.zeros(self.extent), 0
        corners = self.corners
        for block in (windows,) if isinstance(windows, np.ndarray) else windows:
            if total is None:
                total = np.zeros((*block.shape[1:block.ndim - len(self.size)], *self.extent))
            for corner, window in zip(corners[n:], block * weight, strict=False):
                place = tuple(slice(c, c + s) for c, s in zip(corner, self.size, strict=True))
                total[(..., *place)] += window
                weights[place] += weight
            n += len(block)
        if n != len(self):
            raise ValueError(f"got {n} windows, expected {len(self)}: those that `cut` gives")
        return total / weights


def _places(extent: int, size: int, step: int) -> np.ndarray:
    """0, step, 2 step, ... as far as windows fit, and extent - size."""
    return np.unique(np.append(np.arange(0, extent - size + 1, step), extent - size))


def _times(sizes: Sequence[int]) -> str:
    return " x ".join(map(str, sizes))
