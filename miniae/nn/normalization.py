"""Layers that bring their input to mean 0 and variance 1, and then to a learnt scale and shift; or to length 1."""

from __future__ import annotations

from typing import Any

import numpy as np

from miniae import functions as F
from miniae.autodiff import Tensor
from miniae.nn.layer import Layer, Shape


class BatchNorm(Layer):
    """y = scale (x - m) / sqrt(v + epsilon) + shift, for (N, D) or (N, C, H, W): one m, v, scale, shift a channel.

    In training m and v are the batch's mean and variance, and the running ones move towards them by the share
    `momentum`; otherwise m and v are the running ones, which are saved with the model. Ioffe and Szegedy, "Batch
    normalization", ICML 2015.
    """

    def __init__(self, momentum: float = 0.1, epsilon: float = 1e-5):
        super().__init__()
        if not 0 <= momentum <= 1:
            raise ValueError(f"momentum must lie in [0, 1], got {momentum}")
        self.momentum, self.epsilon = float(momentum), check_epsilon(epsilon)

    def make(self, input_shape: Shape) -> None:
        if len(input_shape) not in (1, 3):
            raise ValueError(f"BatchNorm takes vectors (N, D) or images (N, C, H, W), got features of shape "
                             f"{input_shape}")
        channels = input_shape[0]
        self.claim(*[(channels,)] * 4)
        self.scale = self.add_parameter("scale", np.ones(channels))
        self.shift = self.add_parameter("shift", np.zeros(channels))
        self.running_mean = self.add_buffer("running_mean", np.zeros(channels))
        self.running_variance = self.add_buffer("running_variance", np.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, self.scale, self.shift, self.running_mean, self.running_variance, self.momentum,
                            self.epsilon, self.training)

    def config(self) -> dict[str, Any]:
        return {"momentum": self.momentum, "epsilon": self.epsilon}


class LayerNorm(Layer):
    """y = scale (x - m) / sqrt(v + epsilon) + shift, m and v being each sample's own mean and variance.

    Scale and shift have the shape of a sample. The same in training and after. Ba, Kiros and Hinton, "Layer
    normalization", 2016.
    """

    def __init__(self, epsilon: float = 1e-5):
        super().__init__()
        self.epsilon = check_epsilon(epsilon)

    def make(self, input_shape: Shape) -> None:
        self.claim(input_shape, input_shape)
        self.scale = self.add_parameter("scale", np.ones(input_shape))
        self.shift = self.add_parameter("shift", np.zeros(input_shape))

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.scale, self.shift, self.epsilon)

    def config(self) -> dict[str, Any]:
        return {"epsilon": self.epsilon}


class UnitNorm(Layer):
    """y = x / |x|: vectors (N, D) of length 1, and 0 where x is. Nothing is learnt."""

    def forward(self, x: Tensor) -> Tensor:
        return F.unit_norm(x)


def check_epsilon(epsilon: float) -> float:
    """What keeps the division finite where nothing varies: above 0. Raises `ValueError` otherwise."""
    if not epsilon > 0:
        raise ValueError(f"epsilon must be above 0, got {epsilon}")
    return float(epsilon)
