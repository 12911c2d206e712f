"""Fully connected layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from miniae import functions as F
from miniae.autodiff import Tensor
from miniae.nn.init import Initializer, get_initializer
from miniae.nn.layer import Layer, Shape


class Dense(Layer):
    """y = activation(x W + b): (N, in) to (N, units). The weight is (in, units).

    `activation` is a name from `functions.ACTIVATIONS`, a function of a tensor, or None; `init` a name or a function
    from `nn.init`.
    """

    unit_axis = 1

    def __init__(self, units: int, activation: str | Callable[[Tensor], Tensor] | None = None,
                 init: str | Initializer = "glorot_uniform"):
        super().__init__()
        if units < 1:
            raise ValueError(f"a Dense layer needs at least 1 unit, got {units}")
        self.units, self.init = units, init
        self.activation: Any = activation  # of a type that few can tell: mostly a name
        self._activate, self._initialize = F.get_activation(activation), get_initializer(init)

    def make(self, input_shape: Shape) -> None:
        _check_vectors(self, input_shape)
        shape = (input_shape[0], self.units)
        self.claim(shape, (self.units,))
        stream = self.place.child("weight").name
        self.weight = self.add_parameter("weight", self._initialize(shape, self.place.seed, stream))
        self.bias = self.add_parameter("bias", np.zeros(self.units))

    def output_shape(self, input_shape: Shape) -> Shape:
        return (self.units,)

    def forward(self, x: Tensor) -> Tensor:
        return F.dense(x, self.weight, self.bias, self._activate)

    def config(self) -> dict[str, Any]:
        return {"units": self.units, "activation": self.activation, "init": self.init}


class TiedDense(Layer):
    """y = activation(x W' + b), W being the weight of another dense layer: (N, units of that) to (N, inputs of that).

    The weight is one parameter with two uses, and its gradient the sum of both; it belongs to `source`, so a model's
    parameters list it once. The bias is this layer's own. `source` must be built before this layer is. Vincent et al.,
    "Stacked denoising autoencoders", JMLR 11, 2010, section 2.2.
    """

    def __init__(self, source: Dense, activation: str | Callable[[Tensor], Tensor] | None = None):
        super().__init__()
        if not isinstance(source, Dense):
            raise TypeError(f"TiedDense shares the weight of a Dense layer, got {source!r}")
        self.source, self.activation = source, activation
        self._activate = F.get_activation(activation)

    def make(self, input_shape: Shape) -> None:
        _check_vectors(self, input_shape)
        if self.source.input_shape is None:
            raise ValueError("TiedDense needs the layer whose weight it shares to be built first: "
                             "put that layer before it, or build the encoder before the decoder")
        if input_shape[0] != self.source.units:
            raise ValueError(f"TiedDense turns the {self.source.units} outputs of {self.source!r} back into its "
                             f"{self.source.input_shape[0]} inputs, got inputs of {input_shape[0]} features")
        self.claim(self.source.input_shape)
        self.bias = self.add_parameter("bias", np.zeros(self.source.input_shape[0]))

    def output_shape(self, input_shape: Shape) -> Shape:
        assert self.source.input_shape, "`make` has seen to it"
        return self.source.input_shape[:1]

    def forward(self, x: Tensor) -> Tensor:
        return F.dense(x, self.source.weight.T, self.bias, self._activate)

    def config(self) -> dict[str, Any]:
        return {"source": self.source, "activation": self.activation}


def _check_vectors(layer: Layer, input_shape: Shape) -> None:
    if len(input_shape) != 1:
        raise ValueError(f"{type(layer).__name__} takes vectors (N, features), got features of shape {input_shape}: "
                         "put a Flatten layer before it")
