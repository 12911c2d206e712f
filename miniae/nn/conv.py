"""Convolutional layers, on images (N, channels, height, width)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from miniae import functions as F
from miniae.autodiff import Tensor
from miniae.nn.image import ImageLayer
from miniae.nn.init import Initializer, get_initializer
from miniae.nn.layer import Shape


class Convolution(ImageLayer):
    """What the two convolutional layers share: `filters` windows of `size`, each with a weight and a bias.

    `size`, `stride` and `dilation` are one number or (down, across). `padding` is "same", "valid" (none), or how many
    zeros to put on each side, one number or (above and below, left and right). `activation` is a name from
    `functions.ACTIVATIONS`, a function of a tensor, or None; `init` a name or a function from `nn.init`.
    """

    def __init__(self, filters: int, size: int | tuple[int, int] = 3, stride: int | tuple[int, int] = 1,
                 padding: str | int | tuple[int, int] = "same",
                 activation: str | Callable[[Tensor], Tensor] | None = None,
                 init: str | Initializer = "glorot_uniform", dilation: int | tuple[int, int] = 1):
        super().__init__()
        if filters < 1:
            raise ValueError(f"a {type(self).__name__} layer needs at least 1 filter, got {filters}")
        self.kernel = (size, size) if isinstance(size, int) else tuple(size)
        if len(self.kernel) != 2 or min(self.kernel) < 1:
            raise ValueError(f"size must be a number of at least 1, or a pair of them; got {size!r}")
        self.filters, self.size, self.stride, self.padding, self.dilation = filters, size, stride, padding, dilation
        self.activation, self.init = activation, init
        self._activate, self._initialize = F.get_activation(activation), get_initializer(init)

    def make(self, input_shape: Shape) -> None:
        super().make(input_shape)
        shape = (self.filters, input_shape[0], *self.kernel)
        self.claim(shape, (self.filters,))
        drawn = self._initialize(shape, self.place.seed, self.place.child("weight").name)
        self.weight = self.add_parameter("weight", self.lay_out(drawn))
        self.bias = self.add_parameter("bias", np.zeros(self.filters))

    def lay_out(self, drawn: np.ndarray) -> np.ndarray:
        """Initial weights (filters, channels, kh, kw), in the layout of this layer's weight."""
        return drawn

    def config(self) -> dict[str, Any]:
        return {"filters": self.filters, "size": self.size, "stride": self.stride, "padding": self.padding,
                "activation": self.activation, "init": self.init, "dilation": self.dilation}


class Conv2D(Convolution):
    """y = activation(x * W + b): (N, C, H, W) to (N, filters, H', W'). The weight is (filters, C, kh, kw).

    With padding "same", H' is H over the stride, rounded up; see `functions.conv2d` and `Convolution`. LeCun et al.,
    "Gradient-based learning applied to document recognition", Proc. IEEE 86, 1998.
    """

    unit_axis = 0

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self._activate)


class ConvTranspose2D(Convolution):
    """y = activation(x *' W + b), the transpose of a convolution: (N, C, H, W) to (N, filters, H', W').

    The weight is (C, filters, kh, kw). With padding "same", H' is H times the stride; see
    `functions.conv_transpose2d` and `Convolution`. Zeiler et al., "Deconvolutional networks", CVPR 2010.
    """

    unit_axis = 1

    def lay_out(self, drawn: np.ndarray) -> np.ndarray:
        return drawn.transpose(1, 0, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv_transpose2d(x, self.weight, self.bias, self.stride, self.padding, dilation=self.dilation,
                                  activation=self._activate)
