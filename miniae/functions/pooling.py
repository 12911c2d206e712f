"""Pooling and nearest-neighbour upsampling, on images (N, channels, height, width)."""

from __future__ import annotations

from typing import Any

from miniae.autodiff import Function, Tensor, as_tensor
from miniae.backend.image import Pair, Windows
from miniae.functions.conv import _pair

__all__ = ["avg_pool2d", "max_pool2d", "upsample2d"]


class MaxPool2D(Function):
    """y = the largest x in each window.   dL/dx is dL/dy at that element (the first among equals), 0 elsewhere."""

    def __init__(self, windows: Windows):
        self.windows = windows

    def forward(self, x):
        y, self.winner = self.be.max_pool(x, self.windows)
        self.save(self.winner)
        return y

    def backward(self, gy):
        (winner,) = self.saved
        return self.be.max_pool_grad(gy, winner, self.windows)

    def jvp(self, y, tx):
        return SelectFromWindows(self.windows, self.winner)(tx)


class SelectFromWindows(Function):
    """y = the element of each window of x that `winner` names.   dL/dx is dL/dy at that element, 0 elsewhere."""

    def __init__(self, windows: Windows, winner: Any):
        self.windows, self.winner = windows, winner

    def forward(self, x):
        return self.be.max_pool_select(x, self.winner, self.windows)

    def backward(self, gy):
        return self.be.max_pool_grad(gy, self.winner, self.windows)


class AvgPool2D(Function):
    """y = the mean of x in each window.   dL/dx is dL/dy, shared equally among the window."""

    def __init__(self, windows: Windows):
        self.windows = windows

    def forward(self, x):
        return self.be.average_pool(x, self.windows)

    def backward(self, gy):
        return self.be.average_pool_grad(gy, self.windows)

    def jvp(self, y, tx):
        return AvgPool2D(self.windows)(tx)


class Upsample2D(Function):
    """y = every pixel of x repeated.   dL/dx = dL/dy summed over a pixel's repetitions."""

    def __init__(self, factor: Pair):
        self.factor = factor

    def forward(self, x):
        return self.be.upsample(x, self.factor)

    def backward(self, gy):
        return self.be.upsample_grad(gy, self.factor)

    def jvp(self, y, tx):
        return Upsample2D(self.factor)(tx)


def max_pool2d(x: Any, size: int | Pair = 2, stride: int | Pair | None = None) -> Tensor:
    """The largest value of each window: (N, C, H, W) to (N, C, oh, ow), oh = floor((H - size) / stride) + 1.

    `stride` is the size when None. Rows and columns that no window reaches get no gradient.
    """
    x = as_tensor(x)
    return MaxPool2D(_windows(x, size, stride))(x)


def avg_pool2d(x: Any, size: int | Pair = 2, stride: int | Pair | None = None) -> Tensor:
    """The mean of each window; shapes as in `max_pool2d`."""
    x = as_tensor(x)
    return AvgPool2D(_windows(x, size, stride))(x)


def upsample2d(x: Any, factor: int | Pair = 2) -> Tensor:
    """Every pixel repeated `factor` times down and across: (N, C, H, W) to (N, C, H factor, W factor)."""
    x = as_tensor(x)
    _check_images(x)
    return Upsample2D(_pair("factor", factor))(x)


def _windows(x: Tensor, size: int | Pair, stride: int | Pair | None) -> Windows:
    _check_images(x)
    size = _pair("size", size)
    windows = Windows(x.shape[2:], size, size if stride is None else _pair("stride", stride))
    if min(windows.output) < 1:
        raise ValueError(f"can't pool windows of {size} in images of {x.shape[2:]}: make the windows smaller")
    return windows


def _check_images(x: Tensor) -> None:
    if x.ndim != 4:
        raise ValueError(f"expected images (N, channels, height, width), got shape {x.shape}")
