"""Layers one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from miniae.autodiff import Tensor, as_tensor
from miniae.backend import Backend
from miniae.nn.layer import Build, Layer, Shape
from miniae.nn.summary import summary_table


class Sequential(Layer):
    """y = last(... second(first(x))).

        model = Sequential([Dense(64, "relu"), Dense(784, "sigmoid")], input_shape=(784,))
        model.summary()
        y = model(x)                     # x: (N, 784)

    `input_shape` leaves out the batch; without it the parameters are made at the first call. `seed` decides the initial
    weights and all noise, `dtype` is float32 or float64, `backend` where the parameters live. A layer that was built
    before keeps its parameters, so trained parts can be put together.

    Indexing gives a layer, and a slice a model of those very layers: `model[:2]` encodes with the weights of `model`.
    """

    def __init__(self, layers: Iterable[Layer] = (), input_shape: Shape | int | None = None, seed: int = 0,
                 dtype: str = "float32", backend: str | Backend | None = None):
        super().__init__()
        self.place = Build("", seed, str(dtype), backend)
        self.layers: list[Layer] = []
        for layer in layers:
            self.add(layer)
        if input_shape is not None:
            self.build((input_shape,) if isinstance(input_shape, int) else tuple(input_shape))

    def add(self, layer: Layer) -> None:
        """Put a layer at the end. Raises `TypeError` for anything else, `ValueError` for one that is in already."""
        if not isinstance(layer, Layer):
            raise TypeError(f"a Sequential is made of layers, got {layer!r}: wrap a function as Activation(function)")
        if any(layer is present for present in self.layers):
            raise ValueError(f"{layer!r} is in this model already: make a second layer, "
                             "or a TiedDense to share a weight")
        if self.input_shape is not None:
            layer.join(self.output_shape(self.input_shape), self.place.child(str(len(self.layers))))
        self.layers.append(layer.train(self.training))

    def make(self, input_shape: Shape) -> None:
        shape = input_shape
        for i, layer in enumerate(self.layers):
            shape = layer.join(shape, self.place.child(str(i)))

    def output_shape(self, input_shape: Shape) -> Shape:
        for layer in self.layers:
            input_shape = layer.output_shape(input_shape)
        return input_shape

    def __call__(self, x: Any) -> Tensor:
        x = as_tensor(x, self.place.dtype, self.place.backend)
        if self.input_shape is None:
            self.build(x.shape[1:])
        self.check_input(x)
        return self.forward(x)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def children(self) -> dict[str, Layer]:
        return {str(i): layer for i, layer in enumerate(self.layers)}

    def config(self) -> dict[str, Any]:
        if self.place.name:  # a part of a model, which decides the rest
            return {"layers": list(self.layers)}
        return {"layers": list(self.layers), "input_shape": self.input_shape, "seed": self.place.seed,
                "dtype": self.place.dtype}

    def summary(self) -> None:
        """Print the layers, their output shapes and their parameters."""
        print(summary_table(self))

    def __getitem__(self, index: int | slice) -> Any:
        if not isinstance(index, slice):
            return self.layers[index]
        part = Sequential(seed=self.place.seed, dtype=self.place.dtype, backend=self.place.backend)
        part.layers, part.training = self.layers[index], self.training
        if part.layers:
            part.input_shape = part.layers[0].input_shape
        return part

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def __repr__(self) -> str:
        return f"Sequential([{', '.join(map(repr, self.layers))}])"
