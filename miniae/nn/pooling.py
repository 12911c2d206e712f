"""Layers that make images smaller or larger, without parameters."""

from __future__ import annotations

from typing import Any

from miniae import functions as F
from miniae.autodiff import Tensor
from miniae.nn.image import ImageLayer


class MaxPool2D(ImageLayer):
    """The largest value of each window: (N, C, H, W) to (N, C, H', W'), H' = floor((H - size) / stride) + 1.

    `size` and `stride` are one number or (down, across); the stride is the size when None.
    """

    def __init__(self, size: int | tuple[int, int] = 2, stride: int | tuple[int, int] | None = None):
        super().__init__()
        self.size, self.stride = size, stride

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, self.size, self.stride)

    def config(self) -> dict[str, Any]:
        return {"size": self.size, "stride": self.stride}


class AvgPool2D(ImageLayer):
    """The mean of each window; shapes and arguments as in `MaxPool2D`."""

    def __init__(self, size: int | tuple[int, int] = 2, stride: int | tuple[int, int] | None = None):
        super().__init__()
        self.size, self.stride = size, stride

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, self.size, self.stride)

    def config(self) -> dict[str, Any]:
        return {"size": self.size, "stride": self.stride}


class UpSample2D(ImageLayer):
    """Every pixel repeated `factor` times down and across: (N, C, H, W) to (N, C, H factor, W factor)."""

    def __init__(self, factor: int | tuple[int, int] = 2):
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return F.upsample2d(x, self.factor)

    def config(self) -> dict[str, Any]:
        return {"factor": self.factor}
