"""Kernels on images (N, C, H, W): windows to columns and back, pooling, upsampling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Array = Any
Pair = tuple[int, int]


@dataclass(frozen=True)
class Windows:
    """How a window of size `kernel` moves over an image of size `image`, zeros being put around it first.

    `padding` is ((above, below), (left, right)). `output` is how many positions the window takes, down and across.
    """

    image: Pair
    kernel: Pair
    stride: Pair = (1, 1)
    padding: tuple[Pair, Pair] = ((0, 0), (0, 0))
    dilation: Pair = (1, 1)

    @property
    def output(self) -> Pair:
        """floor((size + padding - dilation (kernel - 1) - 1) / stride) + 1, for height and width."""
        return tuple((n + sum(p) - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in
                     zip(self.image, self.kernel, self.stride, self.padding, self.dilation, strict=True))

    def slices(self, i: int, j: int) -> tuple[slice, slice]:
        """The pixels of the padded image that element (i, j) of the window meets."""
        return tuple(slice(at * d, at * d + (n - 1) * s + 1, s) for at, d, n, s in
                     zip((i, j), self.dilation, self.output, self.stride, strict=True))


class ImageKernels:
    """Mixed into `Backend`: reference implementations in terms of `self.xp`."""

    xp: Any

    def pad_image(self, x: Array, windows: Windows) -> Array:
        """x with its zeros around it; x itself when there are none."""
        (top, bottom), (left, right) = windows.padding
        if not (top or bottom or left or right):
            return x
        n, c, h, w = x.shape
        out = self.empty((n, c, h + top + bottom, w + left + right), x.dtype)
        out.fill(0.0)
        out[:, :, top:top + h, left:left + w] = x
        return out

    def im2col(self, x: Array, windows: Windows) -> Array:
        """Every window of x (N, C, H, W) as a column: (C, kh, kw, N, oh, ow)."""
        n, c = x.shape[:2]
        padded = self.pad_image(x, windows)
        columns = self.empty((c, *windows.kernel, n, *windows.output), x.dtype)
        for i in range(windows.kernel[0]):
            for j in range(windows.kernel[1]):
                rows, cols = windows.slices(i, j)
                columns[:, i, j] = padded[:, :, rows, cols].transpose(1, 0, 2, 3)
        return columns

    def col2im(self, columns: Array, windows: Windows) -> Array:
        """The adjoint of `im2col`: every column added back to the window it came from. (N, C, H, W)."""
        c, n = columns.shape[0], columns.shape[3]
        (top, bottom), (left, right) = windows.padding
        h, w = windows.image
        padded = self.empty((n, c, h + top + bottom, w + left + right), columns.dtype)
        padded.fill(0.0)
        for i in range(windows.kernel[0]):
            for j in range(windows.kernel[1]):
                rows, cols = windows.slices(i, j)
                part = padded[:, :, rows, cols]
                self.xp.add(part, columns[:, i, j].transpose(1, 0, 2, 3), out=part)
        return padded[:, :, top:top + h, left:left + w]

    def max_pool(self, x: Array, windows: Windows) -> tuple[Array, Array]:
        """The largest element of every window, and which it was (0 first, row by row): both (N, C, oh, ow)."""
        y = self.empty((*x.shape[:2], *windows.output), x.dtype)
        winner = self.empty(y.shape, x.dtype)
        for k, part in enumerate(self._window_elements(x, windows)):
            if k == 0:
                y[...] = part
                winner.fill(0.0)
                continue
            larger = self.xp.greater(part, y)
            winner[...] = self.xp.where(larger, float(k), winner)
            self.xp.maximum(part, y, out=y)
        return y, winner

    def max_pool_grad(self, gy: Array, winner: Array, windows: Windows) -> Array:
        """The gradient goes to the element that was the largest, the first one among equals. (N, C, H, W)."""
        gx = self.empty((*gy.shape[:2], *windows.image), gy.dtype)
        gx.fill(0.0)
        for k, part in enumerate(self._window_elements(gx, windows)):
            self.xp.add(part, gy * (winner == k), out=part)
        return gx

    def max_pool_select(self, x: Array, winner: Array, windows: Windows) -> Array:
        """The element of every window of x that `winner` names: (N, C, oh, ow)."""
        y = self.xp.zeros(winner.shape, x.dtype)
        for k, part in enumerate(self._window_elements(x, windows)):
            self.xp.add(y, part * (winner == k), out=y)
        return y

    def average_pool(self, x: Array, windows: Windows) -> Array:
        """The mean of every window: (N, C, oh, ow)."""
        y = self.empty((*x.shape[:2], *windows.output), x.dtype)
        y.fill(0.0)
        for part in self._window_elements(x, windows):
            self.xp.add(y, part, out=y)
        return self.xp.multiply(y, 1.0 / (windows.kernel[0] * windows.kernel[1]), out=y)

    def average_pool_grad(self, gy: Array, windows: Windows) -> Array:
        """The gradient is shared equally among the window: (N, C, H, W)."""
        gx = self.empty((*gy.shape[:2], *windows.image), gy.dtype)
        gx.fill(0.0)
        share = self.multiply(gy, 1.0 / (windows.kernel[0] * windows.kernel[1]))
        for part in self._window_elements(gx, windows):
            self.xp.add(part, share, out=part)
        return gx

    def upsample(self, x: Array, factor: Pair) -> Array:
        """Every pixel repeated factor[0] times down and factor[1] times across."""
        n, c, h, w = x.shape
        y = self.empty((n, c, h * factor[0], w * factor[1]), x.dtype)
        y.reshape(n, c, h, factor[0], w, factor[1])[...] = x[:, :, :, None, :, None]
        return y

    def upsample_grad(self, gy: Array, factor: Pair) -> Array:
        """The sum over every pixel's repetitions."""
        n, c, h, w = gy.shape
        blocks = gy.reshape(n, c, h // factor[0], factor[0], w // factor[1], factor[1])
        return self.sum(blocks, axis=(3, 5))

    def _window_elements(self, x: Array, windows: Windows) -> list[Array]:
        """For each element of the window, row by row, the view of x that it meets: (N, C, oh, ow)."""
        kh, kw = windows.kernel
        return [x[:, :, rows, cols] for rows, cols in (windows.slices(i, j) for i in range(kh) for j in range(kw))]
