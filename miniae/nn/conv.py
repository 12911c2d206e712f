"""Convolutional layers, on images (N, channels, height, width)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from miniae import functions as F
from miniae.autodiff import Tensor
from miniae.nn.init import Initializer, get_initializer
from miniae.nn.layer import Layer, Shape, shape_after


class Conv2D(Layer):
    """y = activation(x * W + b): (N, C, H, W) to (N, filters, H', W'). The weight is (filters, C, kh, kw).

    `size`, `stride` and `dilation` are one number or (height, width). `padding` is "valid" (none), "same" (H' is H /
    stride, rounded up), or how many zeros to put on each side. See `functions.conv2d`.
    """

    def __init__(self, filters: int, size: int | tuple[int, int], stride: int | tuple[int, int] = 1,
                 padding: Any = "same", dilation: int | tuple[int, int] = 1,
                 activation: str | Callable[[Tensor], Tensor] | None = None,
                 init: str | Initializer = "glorot_uniform"):
        super().__init__()
        if filters < 1:
            raise ValueError(f"a {type(self).__name__} layer needs at least 1 filter, got {filters}")
        self.filters, self.size, self.stride, self.padding, self.dilation = filters, size, stride, padding, dilation
        self.activation, self.init = activation, init
        self._activate, self._initialize = F.get_activation(activation), get_initializer(init)

    def make(self, input_shape: Shape) -> None:
        check_images(self, input_shape)
        kernel = (self.size, self.size) if isinstance(self.size, int) else tuple(self.size)
        self.weight = self.add_parameter("weight", self.draw(input_shape[0], kernel))
        self.bias = self.add_parameter("bias", np.zeros(self.filters))

    def draw(self, channels: int, kernel: tuple[int, int]) -> np.ndarray:
        """Initial weights."""
        shape = (self.filters, channels, *kernel)
        return self._initialize(shape, self.place.seed, self.place.child("weight").name)

    def output_shape(self, input_shape: Shape) -> Shape:
        return shape_after(self, input_shape)

    def forward(self, x: Tensor) -> Tensor:
        return self._activate(F.conv2d(x, self.weight, self.bias, stride=self.stride, padding=self.padding,
                                       dilation=self.dilation))

    def config(self) -> dict[str, Any]:
        return {"filters": self.filters, "size": self.size, "stride": self.stride, "padding": self.padding,
                "dilation": self.dilation, "activation": self.activation, "init": self.init}
