"""Layers that make images smaller or larger, without parameters."""

from __future__ import annotations

import math
from typing import Any

from miniae import functions as F
from miniae.autodiff import Tensor
from miniae.backend.image import as_pair
from miniae.nn.image import ImageLayer
from miniae.nn.layer import Shape

_LARGEST_WINDOW = 1 << 16
"""How many elements a window may have: each is a pass over the images."""


def _check_window(size: int | tuple[int, int]) -> None:
    if math.prod(as_pair("size", size)) > _LARGEST_WINDOW:
        raise ValueError(f"a window of {size} has more than {_LARGEST_WINDOW:,} elements: make it smaller")


class MaxPool2D(ImageLayer):
    """The largest value of each window: (N, C, H, W) to (N, C, H', W'), H' = floor((H - size) / stride) + 1.

    `size` and `stride` are one number or (down, across); the stride is the size when None. With padding "same" H' is
    H / stride rounded up: windows at the edge see what there is (see `functions.max_pool2d`).
    """

    def __init__(self, size: int | tuple[int, int] = 2, stride: int | tuple[int, int] | None = None,
                 padding: str = "valid"):
        super().__init__()
        _check_window(size)
        self.size, self.stride, self.padding = size, stride, padding

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, self.size, self.stride, self.padding)

    def config(self) -> dict[str, Any]:
        return {"size": self.size, "stride": self.stride, "padding": self.padding}


class AvgPool2D(ImageLayer):
    """The mean of each window; shapes and arguments as in `MaxPool2D`."""

    def __init__(self, size: int | tuple[int, int] = 2, stride: int | tuple[int, int] | None = None):
        super().__init__()
        _check_window(size)
        self.size, self.stride = size, stride

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, self.size, self.stride)

    def config(self) -> dict[str, Any]:
        return {"size": self.size, "stride": self.stride}


class UpSample2D(ImageLayer):
    """Every pixel repeated `factor` times down and across: (N, C, H, W) to (N, C, H factor, W factor)."""

    def __init__(self, factor: int | tuple[int, int] = 2):
        super().__init__()
        _check_window(factor)
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return F.upsample2d(x, self.factor)

    def config(self) -> dict[str, Any]:
        return {"factor": self.factor}


class Crop(ImageLayer):
    """The first `height` rows and `width` columns of larger images: (N, C, H, W) to (N, C, height, width)."""

    def __init__(self, height: int, width: int):
        super().__init__()
        if min(height, width) < 1:
            raise ValueError(f"a Crop keeps at least 1 row and 1 column, got {height} and {width}")
        self.height, self.width = int(height), int(width)

    def make(self, input_shape: Shape) -> None:
        super().make(input_shape)
        if input_shape[1] < self.height or input_shape[2] < self.width:
            raise ValueError(f"{type(self).__name__} can't keep {self.height} x {self.width} of images of "
                             f"{input_shape[1]} x {input_shape[2]}: crop to at most their size")

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, :self.height, :self.width] if x.shape[2:] != (self.height, self.width) else x

    def config(self) -> dict[str, Any]:
        return {"height": self.height, "width": self.width}
