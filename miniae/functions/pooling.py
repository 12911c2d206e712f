"""Pooling and nearest-neighbour upsampling, on images (N, channels, height, width)."""

from __future__ import annotations

import math
from typing import Any

from miniae.autodiff import Function, Tensor, as_tensor
from miniae.backend.image import Pair, Windows, as_pair, same_padding
from miniae.functions.shape import pad

__all__ = ["avg_pool2d", "max_pool2d", "upsample2d"]


class MaxPool2D(Function):
    """y = the largest x in each window.   dL/dx is dL/dy at that element (the first among equals), 0 elsewhere.

    The tangent of y is that of the largest element.
    """

    def __init__(self, windows: Windows):
        self.windows = windows

    def forward(self, x):
        y, self.winner = self.be.max_pool(x, self.windows)
        self.save(self.winner)
        return y

    def backward(self, gy):
        (winner,) = self.saved
        return self.be.max_pool_grad(gy, winner, self.windows, self.buffer_for(0))

    def jvp(self, y, tx):
        return SelectFromWindows(self.windows, self.winner)(tx)


class SelectFromWindows(Function):
    """y = the element of each window of x that `winner` names.   dL/dx is dL/dy at that element, 0 elsewhere."""

    def __init__(self, windows: Windows, winner: Any):
        self.windows, self.winner = windows, winner

    def forward(self, x):
        return self.be.max_pool_select(x, self.winner, self.windows)

    def backward(self, gy):
        return self.be.max_pool_grad(gy, self.winner, self.windows, self.buffer_for(0))


class AvgPool2D(Function):
    """y = the sum of x in each window over the window's size.   dL/dx = dL/dy over the size, at every element."""

    def __init__(self, windows: Windows):
        self.windows = windows

    def forward(self, x):
        total = self.be.sum_windows(x, self.windows)
        return self.be.multiply(total, 1.0 / self.windows.size, out=total)

    def backward(self, gy):
        share = self.be.multiply(gy, 1.0 / self.windows.size)
        return self.be.spread_windows(share, self.windows, self.buffer_for(0))

    def jvp(self, y, tx):
        return AvgPool2D(self.windows)(tx)


class Upsample2D(Function):
    """y = every pixel of x spread over a window of its own.   dL/dx = dL/dy summed over the pixel's window."""

    def __init__(self, windows: Windows):
        self.windows = windows

    def forward(self, x):
        return self.be.spread_windows(x, self.windows)

    def backward(self, gy):
        return self.be.sum_windows(gy, self.windows, self.buffer_for(0))

    def jvp(self, y, tx):
        return Upsample2D(self.windows)(tx)


def max_pool2d(x: Any, size: int | Pair = 2, stride: int | Pair | None = None, padding: str = "valid") -> Tensor:
    """The largest value of each window: (N, C, H, W) to (N, C, oh, ow), oh = floor((H - size) / stride) + 1.

    `size` and `stride` are one number or (down, across); the stride is the size when None. Rows and columns that no
    window reaches get no gradient, and among equal values the first one, row by row, gets all of it. With padding
    "same" oh is H / stride rounded up: windows may hang over the edge, the odd row or column below and to the right,
    and see only what is inside. Raises `ValueError` for anything but images at least as large as a window.
    """
    x = as_tensor(x)
    if padding == "same":
        _check_images("max_pool2d", x)
        size = as_pair("size", size)
        zeros = same_padding(x.shape[2:], size, size if stride is None else as_pair("stride", stride))
        if any(map(any, zeros)):  # less than everything, so that no maximum is outside
            x = pad(x, [(0, 0), (0, 0), *zeros], -math.inf)
    elif padding != "valid":
        raise ValueError(f"unknown padding {padding!r} of max_pool2d: expected same or valid")
    return MaxPool2D(_windows("max_pool2d", x, size, stride))(x)


def avg_pool2d(x: Any, size: int | Pair = 2, stride: int | Pair | None = None) -> Tensor:
    """The mean of each window; shapes, arguments and errors as in `max_pool2d`."""
    x = as_tensor(x)
    return AvgPool2D(_windows("avg_pool2d", x, size, stride))(x)


def upsample2d(x: Any, factor: int | Pair = 2) -> Tensor:
    """Every pixel repeated `factor` times down and across: (N, C, H, W) to (N, C, H factor, W factor).

    `factor` is one number or (down, across). Raises `ValueError` for anything but images.
    """
    x = as_tensor(x)
    _check_images("upsample2d", x)
    factor = as_pair("factor", factor)
    height, width = (n * f for n, f in zip(x.shape[2:], factor, strict=True))
    return Upsample2D(Windows((height, width), factor, factor))(x)


def _windows(name: str, x: Tensor, size: int | Pair, stride: int | Pair | None) -> Windows:
    _check_images(name, x)
    size = as_pair("size", size)
    windows = Windows(x.shape[2:], size, size if stride is None else as_pair("stride", stride))
    if min(windows.output) < 1:
        raise ValueError(f"{name} can't fit a window of {size} into images of {x.shape[2:]}: make the window smaller")
    return windows


def _check_images(name: str, x: Tensor) -> None:
    if x.ndim != 4:
        raise ValueError(f"{name} takes images (N, channels, height, width), got shape {x.shape}")
