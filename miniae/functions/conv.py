"""Convolution and transposed convolution, on images (N, channels, height, width).

Three computations serve both. With * for "slide the window over and add up" (a correlation, as everywhere in the
field), gy the gradient of the output and *' for the adjoint in the image:

    forward           y  = x * w                            y[n, o] = sum_{c, i, j} w[o, c, i, j] x[n, c] seen by (i, j)
    input gradient    gx = gy *' w                          each w[o, c, i, j] gy[n, o] put back where (i, j) saw it
    weight gradient   gw = the correlation of x with gy     gw[o, c, i, j] = sum gy[n, o] x[n, c] seen by (i, j)

A transposed convolution *is* the input gradient of a convolution, so its forward is the second, its input gradient the
first, and its weight gradient the third with the roles of x and gy exchanged. Dumoulin and Visin, "A guide to
convolution arithmetic for deep learning", 2016.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

from miniae.autodiff import Tensor, as_tensor
from miniae.backend.image import Padding, Pair, Windows, as_pair, same_padding
from miniae.functions.activation import Activated, ByValue, by_value
from miniae.functions.arithmetic import add
from miniae.functions.shape import broadcast_to, reshape

__all__ = ["conv2d", "conv_transpose2d"]


class Convolution(Activated):
    """y = f(z), z = a bilinear function of x and w, + b for each channel; or without b, when applied to x and w only.

    f is the identity, or acts by its value. The tangent of z is z(tx, w) + z(x, tw) + tb.
    """

    def __init__(self, windows: Windows, f: ByValue | None = None):
        super().__init__(f)
        self.windows = windows

    def activated(self, z, b=None):
        """f(z + b), written over z."""
        if b is not None:
            return self.be.add_bias(z, b, self.kernel)
        return self.be.activate(self.kernel, z, out=z) if self.f else z

    def jvp(self, y, tx, tw, tb=None):
        x, w = self.inputs[:2]
        terms = [type(self)(self.windows)(tx, w)] if tx is not None else []
        terms += [type(self)(self.windows)(x, tw)] if tw is not None else []
        terms += [broadcast_to(reshape(tb, (-1, 1, 1)), y.shape)] if tb is not None else []
        return self.f.jvp(y, reduce(add, terms)) if self.f else reduce(add, terms)


class Conv2D(Convolution):
    """y = f(x * w + b), x (N, C, H, W), w (O, C, kh, kw), b (O,).

    With g = dL/dy f',   dL/dx = g *' w,  dL/dw = the correlation of x with g,  dL/db = g summed over all but channels.
    """

    def forward(self, x, w, *b):
        return self.end(self.activated(self.be.conv(x, w, self.windows), *b), x, w)

    def backward(self, gy):
        x, w, gy, *gb = self.begin(gy)
        gx = self.be.conv_input_grad(gy, w, self.windows, self.buffer_for(0)) if self.needs[0] else None
        gw = self.be.conv_weight_grad(x, gy, self.windows, self.buffer_for(1)) if self.needs[1] else None
        return gx, gw, *gb[:len(self.needs) - 2]


class ConvTranspose2D(Convolution):
    """y = f(x *' w + b), x (N, C, H, W), w (C, O, kh, kw), b (O,); `windows` is that of the convolution it transposes.

    With g = dL/dy f',   dL/dx = g * w,  dL/dw = the correlation of g with x,  dL/db = g summed over all but channels.
    """

    def forward(self, x, w, *b):
        return self.end(self.activated(self.be.conv_input_grad(x, w, self.windows), *b), x, w)

    def backward(self, gy):
        x, w, gy, *gb = self.begin(gy)
        gx = self.be.conv(gy, w, self.windows, self.buffer_for(0)) if self.needs[0] else None
        gw = self.be.conv_weight_grad(gy, x, self.windows, self.buffer_for(1)) if self.needs[1] else None
        return gx, gw, *gb[:len(self.needs) - 2]


def conv2d(x: Any, weight: Any, bias: Any = None, stride: int | Pair = 1, padding: str | int | Pair = 0,
           dilation: int | Pair = 1, activation: Callable[[Any], Tensor] | None = None) -> Tensor:
    """Slide `weight` (out, in, kh, kw) over the images x (N, in, H, W): (N, out, oh, ow). `bias` is (out,), or None.

    `stride` and `dilation` are one number or (down, across). `padding` is a number of zeros on every side, a pair (top
    and bottom, left and right), "valid" for none, or "same": as many as it takes for oh = ceil(H / stride), the odd one
    below and to the right (TensorFlow's rule). oh = floor((H + padding - dilation (kh - 1) - 1) / stride) + 1, padding
    being both sides together. `activation`, a function of a tensor, is applied to the result. Raises `ValueError` for
    shapes that don't fit.
    """
    operands = _operands("conv2d", x, weight, bias, in_axis=1, out_axis=0)
    image, kernel = operands[0].shape[2:], operands[1].shape[2:]
    stride, dilation = as_pair("stride", stride), as_pair("dilation", dilation)
    windows = Windows(image, kernel, stride, _padding(padding, image, kernel, stride, dilation), dilation)
    if min(windows.output) < 1:
        raise ValueError(f"conv2d can't fit a window of {kernel} (dilation {dilation}) into images of {image} "
                         f"with padding {padding!r}: make the window smaller or pad more")
    f = by_value(activation)
    y = Conv2D(windows, f)(*operands)
    return y if f or activation is None else activation(y)


def conv_transpose2d(x: Any, weight: Any, bias: Any = None, stride: int | Pair = 1, padding: str | int | Pair = 0,
                     output_padding: int | Pair = 0, dilation: int | Pair = 1,
                     activation: Callable[[Any], Tensor] | None = None) -> Tensor:
    """The transpose of `conv2d` with the same weight, here (in, out, kh, kw): (N, in, H, W) to (N, out, oh, ow).

    oh = (H - 1) stride - padding + dilation (kh - 1) + 1 + output_padding: of the `stride` sizes that a convolution
    makes H from, `output_padding` (less than the stride) says which. With padding "same", oh = H stride and there is no
    choice. The other arguments are as in `conv2d`. Raises `ValueError` for shapes that don't fit.
    """
    operands = _operands("conv_transpose2d", x, weight, bias, in_axis=0, out_axis=1)
    image, kernel = operands[0].shape[2:], operands[1].shape[2:]
    stride, dilation = as_pair("stride", stride), as_pair("dilation", dilation)
    extra = as_pair("output_padding", output_padding, least=0)
    if padding == "same":
        if any(extra):
            raise ValueError(f'padding "same" settles the size of the output: leave output_padding 0, got {extra}')
        output = tuple(n * s for n, s in zip(image, stride, strict=True))
        zeros = _padding("same", output, kernel, stride, dilation)
    else:
        zeros = _padding(padding, image, kernel, stride, dilation)
        output = tuple((n - 1) * s - sum(p) + d * (k - 1) + 1 + e for n, s, p, d, k, e in
                       zip(image, stride, zeros, dilation, kernel, extra, strict=True))
    windows = Windows(output, kernel, stride, zeros, dilation)
    if min(output) < 1 or windows.output != image:
        raise ValueError(f"conv_transpose2d can't make an image of {output} from one of {image}: padding "
                         f"{padding!r} is too large, or output_padding {output_padding} not below the stride {stride}")
    f = by_value(activation)
    y = ConvTranspose2D(windows, f)(*operands)
    return y if f or activation is None else activation(y)


def _operands(name: str, x: Any, weight: Any, bias: Any, in_axis: int, out_axis: int) -> tuple[Tensor, ...]:
    """The operands as tensors, without the bias when there is none, their shapes checked."""
    x = as_tensor(x)
    weight = as_tensor(weight, x.dtype, x.backend)
    if x.ndim != 4 or weight.ndim != 4 or min(weight.shape) < 1:
        layout = "(out, in, kh, kw)" if in_axis == 1 else "(in, out, kh, kw)"
        raise ValueError(f"{name} takes images (N, in, H, W) and a weight {layout}, got {x.shape} and {weight.shape}")
    if x.shape[1] != weight.shape[in_axis]:
        raise ValueError(f"{name} got images of {x.shape[1]} channels (shape {x.shape}) and a weight for "
                         f"{weight.shape[in_axis]} (axis {in_axis} of {weight.shape}): they must be the same")
    if bias is None:
        return x, weight
    bias = as_tensor(bias, x.dtype, x.backend)
    if bias.shape != (weight.shape[out_axis],):
        raise ValueError(f"{name} takes a bias of shape ({weight.shape[out_axis]},), got {bias.shape}")
    return x, weight, bias


def _padding(padding: Any, image: Pair, kernel: Pair, stride: Pair, dilation: Pair) -> Padding:
    """((top, bottom), (left, right))."""
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding == "same":
        return same_padding(image, kernel, stride, dilation)
    if isinstance(padding, str):
        raise ValueError(f"unknown padding {padding!r}: expected same, valid, an integer or a pair of integers")
    return tuple((p, p) for p in as_pair("padding", padding, least=0))
