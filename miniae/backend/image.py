"""Kernels on images (N, C, H, W): windows to columns and back, convolution, pooling."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np

from miniae.backend.mixed import Mixed

Array = Any
Pair = tuple[int, ...]  # of two: down, across
Padding = tuple[Pair, ...]  # of two: (above, below), (left, right)


def as_pair(name: str, value: Any, least: int = 1) -> Pair:
    """One integer for both directions, or a pair (down, across), as a pair. Raises `ValueError` for anything else."""
    pair = (value, value) if isinstance(value, Integral) else value
    if not (isinstance(pair, (tuple, list)) and len(pair) == 2
            and all(isinstance(v, Integral) and int(v) >= least for v in pair)):
        raise ValueError(f"{name} must be an integer of at least {least}, or a pair of them; got {value!r}")
    return int(pair[0]), int(pair[1])


def same_padding(image: Pair, kernel: Pair, stride: Pair, dilation: Pair = (1, 1)) -> Padding:
    """((above, below), (left, right)) for as many positions as image / stride, rounded up; the odd one goes last."""
    totals = [max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
              for n, k, s, d in zip(image, kernel, stride, dilation, strict=True)]
    return tuple((total // 2, total - total // 2) for total in totals)


class Element(NamedTuple):
    """Element (i, j) of a window that moves: the pixels it meets on its way, and the positions at which it meets one.

    `pixels` indexes the last two axes of an image, `positions` those of an output.
    """

    i: int
    j: int
    pixels: tuple[Any, ...]
    positions: tuple[Any, ...]


@dataclass(frozen=True)
class Windows:
    """How a window of size `kernel` moves over an image of size `image`, zeros being put around it first.

    `padding` is ((above, below), (left, right)). `output` is how many positions the window takes, down and across.
    """

    image: Pair
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Padding = ((0, 0), (0, 0))
    dilation: Pair = (1, 1)

    @cached_property
    def output(self) -> Pair:
        """floor((size + padding - dilation (kernel - 1) - 1) / stride) + 1, for height and width."""
        return tuple((n + sum(p) - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in
                     zip(self.image, self.kernel, self.stride, self.padding, self.dilation, strict=True))

    @property
    def tile(self) -> bool:
        """Whether every pixel is in exactly one position of the window."""
        return self.stride == self.kernel and self.dilation == (1, 1) and self.padding == ((0, 0), (0, 0)) and all(
            n == p * s for n, p, s in zip(self.image, self.output, self.stride, strict=True))

    @property
    def size(self) -> int:
        """How many elements the window has."""
        return self.kernel[0] * self.kernel[1]

    def elements(self) -> Iterator[Element]:
        """The elements of the window, row by row."""
        for i in range(self.kernel[0]):
            for j in range(self.kernel[1]):
                rows, columns = self.met(0, i), self.met(1, j)
                yield Element(i, j, (..., rows[0], columns[0]), (..., rows[1], columns[1]))

    def met(self, axis: int, at: int) -> tuple[slice, slice]:
        """Pixels and positions along one axis. At position o, element `at` meets pixel o stride + offset, if any."""
        stride, offset = self.stride[axis], at * self.dilation[axis] - self.padding[axis][0]
        first = max(0, -(offset // stride))
        last = min(self.output[axis] - 1, (self.image[axis] - 1 - offset) // stride)
        if last < first:
            return slice(0, 0), slice(0, 0)
        return slice(first * stride + offset, last * stride + offset + 1, stride), slice(first, last + 1)


class ImageKernels(Mixed):
    """Mixed into `Backend`: reference implementations in terms of `self.xp`. An `out` is contiguous.

    The three computations of a convolution are each other's adjoints: for an image x, a weight w and a gradient gy of
    the output, <conv(x, w), gy> = <x, conv_input_grad(gy, w)> = <w, conv_weight_grad(x, gy)>.
    """

    # ---------------------------------------------------------------- convolution

    def im2col(self, x: Array, windows: Windows, out: Array | None = None) -> Array:
        """Every window of x (N, C, H, W) as a column: (C, kh, kw, N, oh, ow)."""
        n, c = x.shape[:2]
        out = self.empty((c, *windows.kernel, n, *windows.output), x.dtype) if out is None else out
        if windows.padding != ((0, 0), (0, 0)):
            out.fill(0.0)
        x = x.transpose(1, 0, 2, 3)
        for i, j, pixels, positions in windows.elements():
            self.xp.copyto(out[:, i, j][positions], x[pixels])
        return out

    def col2im(self, columns: Array, windows: Windows, out: Array | None = None) -> Array:
        """The adjoint of `im2col`: every column added back to the window it came from. (N, C, H, W)."""
        c, n = columns.shape[0], columns.shape[3]
        out = self.empty((n, c, *windows.image), columns.dtype) if out is None else out
        out.fill(0.0)
        x = out.transpose(1, 0, 2, 3)
        for i, j, pixels, positions in windows.elements():
            part = x[pixels]
            self.xp.add(part, columns[:, i, j][positions], out=part)
        return out

    def conv(self, x: Array, w: Array, windows: Windows, out: Array | None = None) -> Array:
        """y[n, o] = sum_{c, i, j} w[o, c, i, j] x[n, c] as window element (i, j) sees it. (N, O, oh, ow)."""
        filters, n = w.shape[0], x.shape[0]
        columns = self.im2col(x, windows)
        y = self.matmul(w.reshape(filters, w.shape[1] * windows.size), _matrix(columns, 3))
        out = self.empty((n, filters, *windows.output), x.dtype) if out is None else out
        self.xp.copyto(out, y.reshape(filters, n, *windows.output).transpose(1, 0, 2, 3))
        return out

    def conv_input_grad(self, gy: Array, w: Array, windows: Windows, out: Array | None = None) -> Array:
        """gx[n, c] = sum_{o, i, j} w[o, c, i, j] gy[n, o], put back where element (i, j) saw it. (N, C, H, W)."""
        n, (filters, channels) = gy.shape[0], w.shape[:2]
        columns = self.matmul(w.reshape(filters, channels * windows.size).T, self._channels_first(gy))
        return self.col2im(columns.reshape(channels, *windows.kernel, n, *windows.output), windows, out)

    def conv_weight_grad(self, x: Array, gy: Array, windows: Windows, out: Array | None = None) -> Array:
        """gw[o, c, i, j] = sum over samples and positions of gy[n, o] x[n, c] as element (i, j) sees it."""
        filters, channels = gy.shape[1], x.shape[1]
        out = self.empty((filters, channels, *windows.kernel), x.dtype) if out is None else out
        columns = self.im2col(x, windows)
        self.matmul(self._channels_first(gy), _matrix(columns, 3).T, out=out.reshape(filters, channels * windows.size))
        return out

    def _channels_first(self, gy: Array) -> Array:
        """(N, O, oh, ow) as a matrix (O, N oh ow)."""
        n, filters, height, width = gy.shape
        rows = self.empty((filters, n, height, width), gy.dtype)
        self.xp.copyto(rows, gy.transpose(1, 0, 2, 3))
        return _matrix(rows, 1)

    # ---------------------------------------------------------------- pooling, of windows without padding

    def max_pool(self, x: Array, windows: Windows) -> tuple[Array, Array]:
        """The largest element of every window, and which it was (0 first, row by row): both (N, C, oh, ow)."""
        shape = (*x.shape[:2], *windows.output)
        y, number = self.empty_like(x, shape), np.min_scalar_type(windows.size - 1)
        winner, later = self.empty_like(x, shape, number), self.empty_like(x, shape, number)
        first, *others = windows.elements()
        self.xp.copyto(y, x[first.pixels])
        winner.fill(0)
        for k, element in enumerate(others, 1):
            part = x[element.pixels]
            self.xp.greater(part, y, out=later)
            self.xp.multiply(later, k, out=later)
            self.xp.maximum(winner, later, out=winner)
            self.xp.maximum(y, part, out=y)
        return y, winner

    def max_pool_select(self, x: Array, winner: Array, windows: Windows, out: Array | None = None) -> Array:
        """The element of every window of x that `winner` names: (N, C, oh, ow)."""
        out = self.empty_like(winner, dtype=x.dtype) if out is None else out
        out.fill(0.0)
        chosen = self.empty_like(winner, dtype=x.dtype)
        for k, element in enumerate(windows.elements()):
            self.xp.equal(winner, k, out=chosen)
            self.xp.multiply(chosen, x[element.pixels], out=chosen)
            self.xp.add(out, chosen, out=out)
        return out

    def max_pool_grad(self, gy: Array, winner: Array, windows: Windows, out: Array | None = None) -> Array:
        """The adjoint of `max_pool_select`: each gradient goes to the element that `winner` names. (N, C, H, W)."""
        out = self.empty_like(gy, (*gy.shape[:2], *windows.image)) if out is None else out
        chosen = self.empty_like(gy)
        if not windows.tile:
            out.fill(0.0)
        for k, element in enumerate(windows.elements()):
            part = out[element.pixels]
            self.xp.equal(winner, k, out=chosen)
            if windows.tile:
                self.xp.multiply(chosen, gy, out=part)
            else:
                self.xp.multiply(chosen, gy, out=chosen)
                self.xp.add(part, chosen, out=part)
        return out

    def sum_windows(self, x: Array, windows: Windows, out: Array | None = None) -> Array:
        """The sum of every window: (N, C, oh, ow)."""
        out = self.empty_like(x, (*x.shape[:2], *windows.output)) if out is None else out
        first, *others = windows.elements()
        self.xp.copyto(out, x[first.pixels])
        for element in others:
            self.xp.add(out, x[element.pixels], out=out)
        return out

    def spread_windows(self, y: Array, windows: Windows, out: Array | None = None) -> Array:
        """The adjoint of `sum_windows`: each value added to every element of its window. (N, C, H, W)."""
        out = self.empty_like(y, (*y.shape[:2], *windows.image)) if out is None else out
        if not windows.tile:
            out.fill(0.0)
        for element in windows.elements():
            part = out[element.pixels]
            if windows.tile:
                self.xp.copyto(part, y)
            else:
                self.xp.add(part, y, out=part)
        return out


def _matrix(a: Array, axes: int) -> Array:
    """A contiguous array as a matrix: the first `axes` axes in its rows, the others in its columns."""
    return a.reshape(math.prod(a.shape[:axes]), math.prod(a.shape[axes:]))
