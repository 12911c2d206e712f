"""How windows move over images, told by numbers alone as other programs want it; series are images of height 1."""

from __future__ import annotations

from typing import NamedTuple

from miniae.backend.image import Padding, Pair, as_pair, same_padding
from miniae.nn import AvgPool2D, ConvTranspose2D, Layer, MaxPool2D
from miniae.nn.conv import Convolution

__all__ = ["Moves", "as_image", "moves"]


class Moves(NamedTuple):
    """A window's size, stride and dilation, (down, across); ((above, below), (left, right)) zeros around the image;
    and what a transposed convolution adds below and to the right, where its windows do not reach as far as it is to.
    """

    size: Pair
    stride: Pair
    dilation: Pair
    padding: Padding
    rest: Pair = (0, 0)


def as_image(layer: Layer) -> tuple[int, ...]:
    """The shape of a layer's inputs as images (C, H, W)."""
    shape = layer.input_shape
    return (shape[0], 1, shape[1]) if len(shape) == 2 else shape


def moves(layer: Convolution | MaxPool2D | AvgPool2D) -> Moves:
    """Those of a built convolution or pooling, transposed or not.

    With padding "same" a transposed convolution makes H stride of H: of the padded image that it would have been made
    of; windows smaller than the stride leave a rest of it.
    """
    image = as_image(layer)[1:]
    size = layer.kernel if isinstance(layer, Convolution) else as_pair("size", layer.size)
    stride = size if layer.stride is None else as_pair("stride", layer.stride)
    dilation = as_pair("dilation", getattr(layer, "dilation", 1))
    padding = getattr(layer, "padding", "valid")
    transposed = isinstance(layer, ConvTranspose2D)
    whole = tuple(n * s for n, s in zip(image, stride, strict=True)) if transposed else image
    if padding == "valid":
        return Moves(size, stride, dilation, ((0, 0), (0, 0)))
    if padding != "same":
        return Moves(size, stride, dilation, tuple((p, p) for p in as_pair("padding", padding, least=0)))
    zeros = same_padding(whole, size, stride, dilation)
    if not transposed:
        return Moves(size, stride, dilation, zeros)
    reach = ((n - 1) * s + d * (k - 1) + 1 - sum(p) for n, s, d, k, p in
             zip(image, stride, dilation, size, zeros, strict=True))
    return Moves(size, stride, dilation, zeros, tuple(w - r for w, r in zip(whole, reach, strict=True)))
