"""Convolution on the CPU, of images that lie in memory as (H, C, W, N): rows, channels, columns, samples.

Any layout is taken. Results are (N, C, H, W) to their user and (H, C, W, N) in memory, so that a chain of layers is
turned round once, where it begins. In such memory the kh rows that a window sees, of all channels, are one matrix
(kh C, W N) without a copy: sliding down is free. Sliding across is paid for on one side of the matrix product,

    before it:  y[h] = w (O, kh C kw) @ the rows seen, copied kw times, each copy shifted (kh C kw, ow N)
    after it:   y[h, o, x] = sum_j P[j, o, x + j],   P = w (kw O, kh C) @ the rows seen (kh C, W N)

and costs least where there are fewest channels. The product does the same arithmetic either way, of rows of W N numbers
at once: the innermost axis is the batch, so that whatever is shifted, strided or pooled is in runs of N numbers.
"""

from __future__ import annotations

import numpy as np

from miniae.backend.image import Array, ImageKernels, Windows

LONG_ROW, LONG_RUN = 512, 16
"""So many numbers in a row, and in a run, pay for a few calls of NumPy each."""


class NumpyImageKernels(ImageKernels):
    """What dilated windows, images without an element, and a few strided ones need is the reference's."""

    def conv(self, x: Array, w: Array, windows: Windows, out: Array | None = None) -> Array:
        if _unusual(x, w, windows):
            return super().conv(x, w, windows, out)
        (filters, channels), n = w.shape[:2], len(x)
        y = self.empty((windows.output[0], filters, windows.output[1], n), x.dtype)
        if channels < filters or windows.stride[1] > 1 or n * windows.image[1] < LONG_ROW:
            self._shift_before(self._rows(x), w, windows, y)
        else:
            self._shift_after(self._rows(x), w, windows, y)
        return self._image(y, out)

    def conv_input_grad(self, gy: Array, w: Array, windows: Windows, out: Array | None = None) -> Array:
        if _unusual(gy, w, windows) or not _narrow_padding(windows):
            return super().conv_input_grad(gy, w, windows, out)
        if windows.stride == (1, 1):
            return self.conv(gy, w[:, :, ::-1, ::-1].transpose(1, 0, 2, 3), _turned(windows), out)
        if len(gy) < LONG_RUN:
            return super().conv_input_grad(gy, w, windows, out)
        gx = self.empty((windows.image[0], w.shape[1], windows.image[1], len(gy)), gy.dtype)
        self._put_back(self._rows(gy), w, windows, gx)
        return self._image(gx, out)

    def conv_weight_grad(self, x: Array, gy: Array, windows: Windows, out: Array | None = None) -> Array:
        if _unusual(x, gy, windows):
            return super().conv_weight_grad(x, gy, windows, out)
        filters, channels = gy.shape[1], x.shape[1]
        out = self.empty((filters, channels, *windows.kernel), x.dtype) if out is None else out
        if channels <= filters or windows.stride != (1, 1) or not _narrow_padding(windows):
            gw = self._correlation(self._rows(gy), self._rows(x), windows)
            self.xp.copyto(out, gw.transpose(0, 2, 1, 3))
        else:  # gw[o, c, i, j] = sum x[n, c] gy[n, o] as element (kh - 1 - i, kw - 1 - j) of the turned windows sees it
            gw = self._correlation(self._rows(x), self._rows(gy), _turned(windows))
            self.xp.copyto(out, gw.transpose(2, 0, 1, 3)[:, :, ::-1, ::-1])
        return out

    # ---------------------------------------------------------------- on rows (H, C, W, N)

    def _shift_before(self, x: Array, w: Array, windows: Windows, y: Array) -> None:
        """y[h] = w (O, kh C kw) @ the windows of row h (kh C kw, ow N)."""
        w = self.contiguous(w.transpose(0, 2, 1, 3)).reshape(len(w), -1)
        self.matmul(w, self._seen(x, windows), out=_matrices(y))

    def _shift_after(self, x: Array, w: Array, windows: Windows, y: Array) -> None:
        """P[j] = w[:, :, :, j] (O, kh C) @ the rows that row h sees (kh C, W N), y[h, o, x] = sum_j P[j, o, x + j]."""
        channels, kw = x.shape[1], windows.kernel[1]
        w = self.contiguous(w.transpose(3, 0, 2, 1)).reshape(-1, windows.kernel[0] * channels)
        product = self.empty((kw, y.shape[1], *x.shape[2:]), x.dtype)
        x_rows, p_rows = x.reshape(x.shape[0] * channels, -1), product.reshape(len(w), -1)
        # the column that meets most positions is copied to them, the others are added
        (most, pixels, positions), *others = sorted(((j, *windows.met(1, j)) for j in range(kw)), key=_fewest_met)
        for h, row in enumerate(y):
            top = h * windows.stride[0] - windows.padding[0][0]
            first = min(max(top, 0), len(x))
            last = max(min(top + windows.kernel[0], len(x)), first)
            self.matmul(w[:, (first - top) * channels:(last - top) * channels],
                        x_rows[first * channels:last * channels], out=p_rows)
            row[:, :positions.start].fill(0.0)
            row[:, positions.stop:].fill(0.0)
            self.xp.copyto(row[:, positions], product[most][:, pixels])
            for j, seen, at in others:
                part = row[:, at]
                self.xp.add(part, product[j][:, seen], out=part)

    def _put_back(self, gy: Array, w: Array, windows: Windows, gx: Array) -> None:
        """gx[h s + i] += w[:, :, i] (C kw, O) @ gy[h] (O, ow N), each column where the window had it from."""
        kh, kw = windows.kernel
        w = self.contiguous(w.transpose(2, 3, 1, 0)).reshape(-1, len(w))
        back = self.empty((kh, kw, gx.shape[1], *gy.shape[2:]), gy.dtype)
        gx.fill(0.0)
        for h in range(len(gy)):
            self.matmul(w, gy[h].reshape(gy.shape[1], -1), out=back.reshape(len(w), -1))
            for i in range(kh):
                row = h * windows.stride[0] - windows.padding[0][0] + i
                if 0 <= row < len(gx):
                    for j in range(kw):
                        pixels, positions = windows.met(1, j)
                        part = gx[row][:, pixels]
                        self.xp.add(part, back[i, j][:, positions], out=part)

    def _correlation(self, a: Array, b: Array, windows: Windows) -> Array:
        """sum_h a[h] (A, ow N) @ the windows of b's row h, transposed (ow N, kh B kw): (A, kh, B, kw)."""
        seen, a_rows = self._seen(b, windows), _matrices(a)
        total, part = (self.empty((a.shape[1], seen.shape[1]), a.dtype) for _ in range(2))
        self.matmul(a_rows[0], seen[0].T, out=total)
        for h in range(1, len(a)):
            self.matmul(a_rows[h], seen[h].T, out=part)
            self.xp.add(total, part, out=total)
        return total.reshape(a.shape[1], windows.kernel[0], b.shape[1], windows.kernel[1])

    def _seen(self, x: Array, windows: Windows) -> Array:
        """The windows of every row of positions, as matrices (oh, kh C kw, ow N) that overlap in memory."""
        (height, channels, _, n), (kh, kw), (oh, ow) = x.shape, windows.kernel, windows.output
        copies = self.empty(((oh - 1) * windows.stride[0] + kh, channels, kw, ow, n), x.dtype)
        top = min(windows.padding[0][0], len(copies))
        inside = slice(top, min(top + height, len(copies)))
        copies[:top].fill(0.0)
        copies[inside.stop:].fill(0.0)
        for j in range(kw):
            pixels, positions = windows.met(1, j)
            copies[inside, :, j, :positions.start].fill(0.0)
            copies[inside, :, j, positions.stop:].fill(0.0)
            self.xp.copyto(copies[inside, :, j, positions], x[:inside.stop - top, :, pixels])
        row = copies.strides[0]
        return np.lib.stride_tricks.as_strided(copies, (oh, kh * channels * kw, ow * n),
                                               (row * windows.stride[0], row // (channels * kw), x.itemsize))

    # ---------------------------------------------------------------- layouts

    def _rows(self, a: Array) -> Array:
        """An image (N, C, H, W) as (H, C, W, N), contiguous: without a copy where it lies so in memory."""
        return self.contiguous(a.transpose(2, 1, 3, 0))

    def _image(self, rows: Array, out: Array | None) -> Array:
        """Rows (H, C, W, N) as an image (N, C, H, W): a view, or a copy into `out`."""
        image = rows.transpose(3, 1, 0, 2)
        return image if out is None else self.copy(image, out)


def _fewest_met(column: tuple[int, slice, slice]) -> int:
    """A sort key: how few positions meet a column of the window."""
    return column[2].start - column[2].stop


def _unusual(x: Array, w: Array, windows: Windows) -> bool:
    return windows.dilation != (1, 1) or 0 in x.shape or 0 in w.shape


def _narrow_padding(windows: Windows) -> bool:
    """Whether every window holds a pixel, so that `_turned` has a meaning."""
    return all(max(p) < k for p, k in zip(windows.padding, windows.kernel, strict=True))


def _turned(windows: Windows) -> Windows:
    """The windows (of stride 1) in which a pixel sees the positions that saw it: element (i, j) is (-i, -j) there."""
    padding = tuple((k - 1 - p[0], k - 1 - p[1]) for p, k in zip(windows.padding, windows.kernel, strict=True))
    return Windows(windows.output, windows.kernel, (1, 1), padding)


def _matrices(a: Array) -> Array:
    """(H, C, W, N) as H matrices (C, W N)."""
    return a.reshape(*a.shape[:2], -1)
