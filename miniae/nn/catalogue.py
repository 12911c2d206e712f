"""Every layer with an input shape to check it on, as `functions.catalogue` has every function."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from miniae.autodiff import Tensor, gradcheck, gradcheck_jvp
from miniae.backend import Backend, get
from miniae.backend.philox import host_generator
from miniae.functions.catalogue import Row
from miniae.nn.conv import Conv2D, ConvTranspose2D
from miniae.nn.dense import Dense, TiedDense
from miniae.nn.layer import Build, Layer, Shape
from miniae.nn.noise import Dropout, GaussianNoise, Masking, SaltAndPepper
from miniae.nn.normalization import BatchNorm, LayerNorm, UnitNorm
from miniae.nn.pooling import AvgPool2D, Crop, MaxPool2D, UpSample2D
from miniae.nn.sequential import Sequential
from miniae.nn.series import AvgPool1D, Conv1D, ConvTranspose1D, Crop1D, MaxPool1D, UpSample1D
from miniae.nn.shape import Activation, Flatten, Reshape

__all__ = ["check_layers", "layer_examples"]


def _tied(place: Build) -> Layer:
    source = Dense(3)
    source.build((5,), place)
    return Sequential([source, TiedDense(source, "tanh")])


def layer_examples() -> dict[str, tuple[Callable[[Build], Layer], Shape]]:
    """For each layer: how to make it, and the shape of one input."""
    vector, series, image = (5,), (2, 7), (2, 6, 5)
    return {
        "Dense": (lambda place: Dense(3, "tanh"), vector),
        "TiedDense": (_tied, vector),
        "Conv2D": (lambda place: Conv2D(3, 3, 2, activation="tanh"), image),
        "ConvTranspose2D": (lambda place: ConvTranspose2D(3, 3, 2, activation="tanh"), image),
        "MaxPool2D": (lambda place: MaxPool2D(2), image),
        "AvgPool2D": (lambda place: AvgPool2D(2), image),
        "UpSample2D": (lambda place: UpSample2D(2), image),
        "Crop": (lambda place: Crop(5, 3), image),
        "Conv1D": (lambda place: Conv1D(3, 3, 2, activation="tanh"), series),
        "ConvTranspose1D": (lambda place: ConvTranspose1D(3, 3, 2, activation="tanh"), series),
        "MaxPool1D": (lambda place: MaxPool1D(2), series),
        "AvgPool1D": (lambda place: AvgPool1D(2), series),
        "UpSample1D": (lambda place: UpSample1D(2), series),
        "Crop1D": (lambda place: Crop1D(5), series),
        "BatchNorm": (lambda place: BatchNorm(), image),
        "LayerNorm": (lambda place: LayerNorm(), vector),
        "UnitNorm": (lambda place: UnitNorm(), vector),
        "Dropout": (lambda place: Dropout(0.4), vector),
        "GaussianNoise": (lambda place: GaussianNoise(0.3), vector),
        "Masking": (lambda place: Masking(0.4), vector),
        "SaltAndPepper": (lambda place: SaltAndPepper(0.4), vector),
        "Activation": (lambda place: Activation("softplus"), vector),
        "Flatten": (lambda place: Flatten(), image),
        "Reshape": (lambda place: Reshape((5, 12)), image),
        "Sequential": (lambda place: Sequential([Dense(4, "sigmoid"), Dense(3)]), vector),
    }


def check_layers(backend: str | Backend | None = None) -> list[Row]:
    """Compare every layer's gradients, of its input and its parameters, with central differences in float64.

    Layers behave as in training, their noise being the same at every call.
    """
    rows = []
    for name, (make, shape) in layer_examples().items():
        place = Build(name, 0, "float64", get(backend))
        layer = make(place)
        layer.build(shape, place)
        layer.train()
        # No two elements are near each other, so no maximum is in doubt.
        values = host_generator(0, name).permutation(4 * int(np.prod(shape))).reshape(4, *shape) / 50.0 - 1.0
        x = Tensor(values, backend=place.backend)

        def function(x: Tensor, layer: Layer = layer) -> Tensor:
            for generator in layer.generators().values():
                generator.step = 0
            return layer(x)

        gradient = gradcheck(function, [x], layer.parameters())
        rows.append(Row(name, gradient.error, gradcheck_jvp(function, [x]).error))
    return rows
