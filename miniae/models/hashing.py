"""Semantic hashing: autoencoders whose codes are bits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from miniae import functions as F
from miniae.autodiff import Tensor
from miniae.backend.sharing import batch_rows
from miniae.models.autoencoder import Autoencoder
from miniae.models.network import AutoencoderNetwork
from miniae.nn import Activation, BatchNorm, Dense, GaussianNoise, Layer, Sequential
from miniae.nn.layer import Shape
from miniae.training import check_number

if TYPE_CHECKING:
    from miniae.models.stack import Stack

__all__ = ["Balanced", "HashingNetwork", "SemanticHashing"]


class HashingNetwork(AutoencoderNetwork):
    """An autoencoder whose code is h = sigmoid(a + s e) in training, e standard normal, and sigmoid(a) in use.

    a is what the encoder gives, s the `noise`. What a unit says of x gets lost in the noise unless |a| is several times
    s, where the sigmoid is flat: so training drives units to their ends, and a bit a unit is what is left of the code
    when it is rounded.
    """

    def __init__(self, encoder: Layer, decoder: Layer, *args: Any, noise: float = 1.0, **kwargs: Any):
        super().__init__(encoder, decoder, *args, **kwargs)
        self.noise = GaussianNoise(noise)

    def make(self, input_shape: Shape) -> None:
        super().make(input_shape)
        self.noise.build(self.code_shape, self.place.child("noise"))

    def encode(self, x: Tensor) -> Tensor:
        return F.sigmoid(self.noise(self.encoder(x)))

    def code_layers(self) -> list[Layer]:
        return [self.encoder, Activation("sigmoid")]

    def children(self) -> dict[str, Layer]:
        return {**super().children(), "noise": self.noise}

    def config(self) -> dict[str, Any]:
        return {**super().config(), "noise": self.noise.std}


class Balanced(BatchNorm):
    """`nn.BatchNorm` that takes a batch of one, which has no variance, by its running mean and variance."""

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, self.scale, self.shift, self.running_mean, self.running_variance, self.momentum,
                            self.epsilon, self.training and batch_rows(len(x)) > 1)


class SemanticHashing(Autoencoder):
    """An autoencoder whose codes are bits: near in Hamming distance where the samples are alike.

    The code's units are sigmoids, whose inputs are disturbed in training (see `HashingNetwork`): that drives them to 0
    and 1. `transform` gives h in (0, 1), `binary_codes` the bits, for `tasks.SemanticIndex` to compare by counting.

    From random weights, units that are driven to their ends are soon driven to the same one for all samples, where no
    gradient brings them back. So the inputs of the code's units are normalised over the batch (as by `nn.BatchNorm`),
    which keeps each of them on for some samples and off for others. The paper begins with RBMs instead, and so may
    this: `SemanticHashing.from_stack(pretrain(X, [784, 500, 250, 32], code_unit="bernoulli"))`. The paper's noise of 4
    supposes that RBMs have made the inputs as large. After short training, or of rows of small numbers, they vary by
    less than 0.1 over the samples, and noise drowns them: so inputs are normalised here, too, and begin with the
    noise's own deviation.

    All else is as in `Autoencoder`; an encoder of your own ends with the units' inputs, without an activation.

    Parameters
    ----------
    noise : standard deviation of the noise that is added to the inputs of the code's units, which begin with one of 1,
        or from a stack with that of the noise, 4 as in the paper: more of it makes codes nearer to bits.
    threshold : which h is a 1: "median", more than half of the training data have, unit by unit, or a number in (0, 1).
        With the median every bit is on for half of the data, and so tells most when taken alone; 0.5 is where units
        that noise has driven apart have the fewest samples, but a unit may be on for nearly all samples, or for none.
        The paper has 0.1, its units being off most of the time.

    Attributes
    ----------
    thresholds_ : the input above which each unit is a 1, of the code's shape: logit(h), as h itself is rounded to 0
        and 1 at the ends.

    Salakhutdinov and Hinton, "Semantic hashing", International Journal of Approximate Reasoning 50, 2009.
    """

    network_: HashingNetwork
    network_class = HashingNetwork
    network_settings = (*Autoencoder.network_settings, "noise")

    def __init__(self, hidden: Sequence[int] = (128,), code: int = 32, *, noise: float = 1.0,
                 threshold: str | float = "median", **settings: Any):
        super().__init__(hidden, code, **settings)
        self.noise, self.threshold = noise, threshold

    @classmethod
    def from_stack(cls, stack: Stack, *, noise: float = 4.0, threshold: str | float = "median",
                   loss: str | None = None, **training: Any) -> SemanticHashing:
        """The unrolled stack (see `Stack.unroll`) with noise at the inputs of its top units, which are normalised, so
        that they begin with the noise's deviation; `fit` fine-tunes it. The bits that it begins with, by the median,
        are the stack's."""
        if training.get("tied"):
            raise ValueError("a pretrained SemanticHashing has a decoder of its own weights: leave tied out")
        plain = stack.unroll(loss, **training)
        encoder: Any = plain.encoder
        *below, top = encoder.layers
        inputs = Dense(top.units)
        inputs.build(top.input_shape, top.place)
        inputs.weight.assign(top.weight.numpy())
        inputs.bias.assign(top.bias.numpy())
        balanced = Balanced()
        balanced.build((top.units,), top.place)
        balanced.scale.assign(np.full(top.units, noise or 1.0, top.place.dtype))
        encoder = Sequential([*below, inputs, balanced], dtype=top.place.dtype, backend=top.place.backend)
        return cls(**{**plain.get_params(), "encoder": encoder, "code_activation": "linear", "noise": noise,
                      "threshold": threshold})

    def _dense_encoder(self, input_shape: Shape) -> Sequential:
        return Sequential([*super()._dense_encoder(input_shape).layers, Balanced()])

    def binary_codes(self, X: Any) -> np.ndarray:
        """The bits of X: (N, ...) to (N, code), bool."""
        return self._through(self._network().encoder, self._scaled(X)) > self.thresholds_

    def _train(self, rows: Any, *args: Any) -> None:
        super()._train(rows, *args)
        if self.threshold == "median":
            inputs = self._through(self.network_.encoder, rows)
            self.thresholds_ = np.median(inputs, axis=0).astype(inputs.dtype)

    def _set_fitted(self, network: Any, scaler: Any) -> None:
        super()._set_fitted(network, scaler)
        share: Any = 0.5 if self.threshold == "median" else self.threshold
        start = np.asarray(math.log(share / (1 - share)), network.place.dtype)
        self.thresholds_ = np.broadcast_to(start, network.code_shape)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_number("noise", self.noise)
        if self.code_activation != "linear":
            raise ValueError(f"the code's units are sigmoids of disturbed inputs, got code_activation="
                             f"{self.code_activation!r}: leave it out")
        if self.threshold != "median" and not 0 < check_number("threshold", self.threshold) < 1:
            raise ValueError(f"threshold is 'median' or a number between 0 and 1, got {self.threshold!r}")

    def _header(self) -> dict[str, Any]:
        return {**super()._header(), "thresholds": self.thresholds_.tolist()}

    def _set_loaded(self, header: dict[str, Any]) -> None:
        super()._set_loaded(header)
        thresholds = np.asarray(header["thresholds"], self.thresholds_.dtype)
        if thresholds.shape != self.thresholds_.shape:
            raise ValueError(f"there are thresholds of shape {thresholds.shape} for codes of {self.thresholds_.shape}")
        self.thresholds_ = thresholds
