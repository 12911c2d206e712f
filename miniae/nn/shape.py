"""Layers that only move elements, or apply a function to each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from miniae import functions as F
from miniae.autodiff import Tensor
from miniae.nn.layer import Layer, Shape


class Activation(Layer):
    """y = function(x), of the same shape. The function is a name from `functions.ACTIVATIONS`, or one of a tensor."""

    def __init__(self, function: str | Callable[[Tensor], Tensor]):
        super().__init__()
        self.function = function
        self._activate = F.get_activation(function)

    def forward(self, x: Tensor) -> Tensor:
        return self._activate(x)

    def config(self) -> dict[str, Any]:
        return {"function": self.function}


class Flatten(Layer):
    """Every sample as a vector: (N, C, H, W) to (N, C * H * W), channels outermost."""

    def output_shape(self, input_shape: Shape) -> Shape:
        return (math.prod(input_shape),)

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(len(x), math.prod(x.shape[1:]))


class Reshape(Layer):
    """Every sample in another shape with as many elements: (N, C * H * W) to (N, C, H, W) for `Reshape((C, H, W))`."""

    def __init__(self, shape: Sequence[int]):
        super().__init__()
        self.shape = tuple(int(n) for n in shape)

    def make(self, input_shape: Shape) -> None:
        if math.prod(input_shape) != math.prod(self.shape):
            raise ValueError(f"Reshape can't turn samples of shape {input_shape}, {math.prod(input_shape)} elements, "
                             f"into {self.shape}, {math.prod(self.shape)} elements")

    def output_shape(self, input_shape: Shape) -> Shape:
        return self.shape

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(len(x), *self.shape)

    def config(self) -> dict[str, Any]:
        return {"shape": list(self.shape)}
