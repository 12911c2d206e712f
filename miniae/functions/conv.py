"""Convolution and transposed convolution, on images (N, channels, height, width).

Three computations serve both. With * for "slide the window over and add up" (a correlation, as everywhere in the
field), gy the gradient of the output and ' for the adjoint:

    forward           y  = x * w
    input gradient    gx = gy *' w
    weight gradient   gw = the correlation of x with gy

A transposed convolution *is* the input gradient of a convolution, so its forward is the second, its input gradient the
first, and its weight gradient the third with the roles of x and gy exchanged. Dumoulin and Visin, "A guide to
convolution arithmetic for deep learning", 2016.
"""

from __future__ import annotations

from typing import Any

from miniae.autodiff import Function, Tensor, as_tensor
from miniae.backend.image import Pair, Windows

__all__ = ["conv2d", "conv_transpose2d"]


def _correlate(be: Any, x: Any, w: Any, windows: Windows) -> Any:
    """y[n, o] = sum_{c, i, j} w[o, c, i, j] x[n, c] seen through window element (i, j): one matrix product."""
    out, n = w.shape[0], x.shape[0]
    columns = be.im2col(x, windows)
    product = be.matmul(w.reshape(out, -1), columns.reshape(w.size // max(out, 1), -1))
    y = be.empty((n, out, *windows.output), x.dtype)
    y[...] = product.reshape(out, n, *windows.output).transpose(1, 0, 2, 3)
    return y


def _input_gradient(be: Any, gy: Any, w: Any, windows: Windows) -> Any:
    """gx[n, c] = sum_{o, i, j} w[o, c, i, j] gy[n, o], each put back where window element (i, j) saw it."""
    out, c = w.shape[:2]
    n = gy.shape[0]
    columns = be.matmul(w.reshape(out, -1).T, _channels_first(be, gy))
    return be.col2im(columns.reshape(c, *windows.kernel, n, *windows.output), windows)


def _weight_gradient(be: Any, x: Any, gy: Any, windows: Windows, out: Any = None) -> Any:
    """gw[o, c, i, j] = sum over samples and positions of gy[n, o] times x[n, c] seen through window element (i, j)."""
    columns = be.im2col(x, windows)
    filters, channels = gy.shape[1], x.shape[1]
    rows = channels * windows.kernel[0] * windows.kernel[1]
    gw = be.matmul(_channels_first(be, gy), columns.reshape(rows, -1).T,
                   out=None if out is None else out.reshape(filters, rows))
    return gw.reshape(filters, channels, *windows.kernel) if out is None else out


def _channels_first(be: Any, gy: Any) -> Any:
    """(N, C, H, W) as a matrix (C, N H W)."""
    rows = be.empty((gy.shape[1], gy.shape[0], *gy.shape[2:]), gy.dtype)
    rows[...] = gy.transpose(1, 0, 2, 3)
    return rows.reshape(gy.shape[1], -1)


class Conv2D(Function):
    """y = x * w + b, x (N, C, H, W), w (O, C, kh, kw), b (O,).

    dL/dx = dL/dy *' w,  dL/dw = the correlation of x with dL/dy,  dL/db = dL/dy summed over samples and positions.
    """

    def __init__(self, windows: Windows):
        self.windows = windows

    def forward(self, x, w, b):
        self.save(x, w)
        y = _correlate(self.be, x, w, self.windows)
        return self.be.add(y, b.reshape(-1, 1, 1), out=y)

    def backward(self, gy):
        x, w = self.saved
        gx = _input_gradient(self.be, gy, w, self.windows) if self.needs[0] else None
        gw = _weight_gradient(self.be, x, gy, self.windows, self.buffer_for(1)) if self.needs[1] else None
        gb = self.be.sum(gy, axis=(0, 2, 3), out=self.buffer_for(2)) if self.needs[2] else None
        return gx, gw, gb

    def jvp(self, y, tx, tw, tb):
        x, w, b = self.inputs
        return _bilinear_tangent(lambda x, w, b: Conv2D(self.windows)(x, w, b), x, w, b, tx, tw, tb)


class ConvTranspose2D(Function):
    """y = x *' w + b, x (N, C, H, W), w (C, O, kh, kw), b (O,); `windows` is that of the convolution it transposes.

    dL/dx = dL/dy * w,  dL/dw = the correlation of dL/dy with x,  dL/db = dL/dy summed over samples and positions.
    """

    def __init__(self, windows: Windows):
        self.windows = windows

    def forward(self, x, w, b):
        self.save(x, w)
        return self.be.add(_input_gradient(self.be, x, w, self.windows), b.reshape(-1, 1, 1))

    def backward(self, gy):
        x, w = self.saved
        gx = _correlate(self.be, gy, w, self.windows) if self.needs[0] else None
        gw = _weight_gradient(self.be, gy, x, self.windows, self.buffer_for(1)) if self.needs[1] else None
        gb = self.be.sum(gy, axis=(0, 2, 3), out=self.buffer_for(2)) if self.needs[2] else None
        return gx, gw, gb

    def jvp(self, y, tx, tw, tb):
        x, w, b = self.inputs
        return _bilinear_tangent(lambda x, w, b: ConvTranspose2D(self.windows)(x, w, b), x, w, b, tx, tw, tb)


def _bilinear_tangent(f: Any, x: Tensor, w: Tensor, b: Tensor, tx: Any, tw: Any, tb: Any) -> Tensor:
    """The tangent of f(x, w) + b, f being linear in each: f(tx, w) + f(x, tw) + tb."""
    zero = Tensor._wrap(b.backend.zeros(b.shape, b.dtype), b.backend)
    bias = zero if tb is None else tb
    if tx is not None and tw is not None:
        return f(tx, w, bias) + f(x, tw, zero)
    if tx is not None:
        return f(tx, w, bias)
    return f(x, tw, bias) if tw is not None else f(x * 0.0, w, bias)


def conv2d(x: Any, weight: Any, bias: Any = None, stride: int | Pair = 1, padding: Any = 0,
           dilation: int | Pair = 1) -> Tensor:
    """Slide `weight` (out, in, kh, kw) over the images x (N, in, H, W): (N, out, oh, ow).

    `stride` and `dilation` are one number or (down, across). `padding` is a number of zeros on every side, a pair (top
    and bottom, left and right), "valid" for none, or "same": as many as it takes for oh = ceil(H / stride), the odd one
    below and to the right. oh = floor((H + padding - dilation (kh - 1) - 1) / stride) + 1. Raises `ValueError` for
    shapes that don't fit.
    """
    x, weight, bias = _operands(x, weight, bias, "conv2d", "(out, in, kh, kw)", 1, 0)
    kernel, stride, dilation = weight.shape[2:], _pair("stride", stride), _pair("dilation", dilation)
    windows = Windows(x.shape[2:], kernel, stride, _padding(padding, x.shape[2:], kernel, stride, dilation), dilation)
    if min(windows.output) < 1:
        raise ValueError(f"conv2d can't fit a window of {kernel} (dilation {dilation}) into images of {x.shape[2:]} "
                         f"with padding {padding!r}: make the window smaller or pad more")
    return Conv2D(windows)(x, weight, bias)


def conv_transpose2d(x: Any, weight: Any, bias: Any = None, stride: int | Pair = 1, padding: Any = 0,
                     output_padding: int | Pair = 0, dilation: int | Pair = 1) -> Tensor:
    """The transpose of a convolution with this weight (in, out, kh, kw): (N, in, H, W) to (N, out, oh, ow).

    oh = (H - 1) stride - padding + dilation (kh - 1) + 1 + output_padding; with padding "same", oh = H stride. The
    other arguments are as in `conv2d`. Raises `ValueError` for shapes that don't fit.
    """
    x, weight, bias = _operands(x, weight, bias, "conv_transpose2d", "(in, out, kh, kw)", 0, 1)
    kernel, stride, dilation = weight.shape[2:], _pair("stride", stride), _pair("dilation", dilation)
    extra = _pair("output_padding", output_padding, least=0)
    if padding == "same":
        output = tuple(n * s for n, s in zip(x.shape[2:], stride, strict=True))
        zeros = _padding("same", output, kernel, stride, dilation)
    else:
        zeros = _padding(padding, x.shape[2:], kernel, stride, dilation)
        output = tuple((n - 1) * s - sum(p) + d * (k - 1) + 1 + e for n, s, p, d, k, e in
                       zip(x.shape[2:], stride, zeros, dilation, kernel, extra, strict=True))
    windows = Windows(output, kernel, stride, zeros, dilation)
    if min(output) < 1 or windows.output != x.shape[2:]:
        raise ValueError(f"conv_transpose2d can't make an image of {output} from one of {x.shape[2:]}: padding "
                         f"{padding!r} is too large, or output_padding {output_padding} not below the stride {stride}")
    return ConvTranspose2D(windows)(x, weight, bias)


def _operands(x: Any, weight: Any, bias: Any, name: str, layout: str, in_axis: int,
              out_axis: int) -> tuple[Tensor, ...]:
    """The operands as tensors, their shapes checked; no bias becomes one of zeros."""
    x = as_tensor(x)
    weight = as_tensor(weight, x.dtype, x.backend)
    if x.ndim != 4 or weight.ndim != 4 or x.shape[1] != weight.shape[in_axis]:
        raise ValueError(f"{name} takes images (N, in, H, W) and a weight {layout}, got {x.shape} and {weight.shape}")
    if bias is None:
        bias = Tensor._wrap(x.backend.zeros((weight.shape[out_axis],), x.dtype), x.backend)
    bias = as_tensor(bias, x.dtype, x.backend)
    if bias.shape != (weight.shape[out_axis],):
        raise ValueError(f"{name} takes a bias of shape ({weight.shape[out_axis]},), got {bias.shape}")
    return x, weight, bias


def _pair(name: str, value: int | Pair, least: int = 1) -> Pair:
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2 or not all(isinstance(v, int) and v >= least for v in pair):
        raise ValueError(f"{name} must be an integer of at least {least}, or a pair of them; got {value!r}")
    return pair


def _padding(padding: Any, image: Pair, kernel: Pair, stride: Pair, dilation: Pair) -> tuple[Pair, Pair]:
    """((top, bottom), (left, right))."""
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding == "same":
        totals = [max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
                  for n, k, s, d in zip(image, kernel, stride, dilation, strict=True)]
        return tuple((total // 2, total - total // 2) for total in totals)
    if isinstance(padding, str):
        raise ValueError(f"unknown padding {padding!r}: expected same, valid, an integer or a pair of integers")
    return tuple((p, p) for p in _pair("padding", padding, least=0))
