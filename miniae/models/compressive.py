"""Autoencoders that are trained for what their codes take to store, and for what they lose."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from miniae import functions as F
from miniae.autodiff import Tensor
from miniae.models.convolutional import ConvolutionalAutoencoder
from miniae.models.estimator import Scaled
from miniae.models.network import AutoencoderNetwork
from miniae.nn import Build, Conv2D, ConvTranspose2D, Layer, Sequential
from miniae.nn.layer import Shape
from miniae.training import check_count, check_number

__all__ = ["CompressiveAutoencoder", "CompressiveNetwork", "lapped_transform"]


# How many samples the density begins with.
_FIRST = 512


class CompressiveNetwork(AutoencoderNetwork):
    """An autoencoder whose loss counts nats:  L = weight / step^2 |x - decode(step round(h / step))|^2 + R,

        R = -log p(h / step + u),  u uniform in [-1/2, 1/2),  p the logistic density of mean m_c / step and scale
        s_c / step of a code's channel c, over intervals of length 1

    for codes h = encode(x). Rounding has no gradient: the rate takes noise in its place, and the reconstruction's
    gradient passes it by (Minnen and Singh 2020). In training each sample has a `step` of its own, drawn between
    `finest` and `coarsest` evenly on a logarithmic scale, so that one network serves every quality. The weight 6 is
    what an error is worth where codes are an orthonormal transform of x: an error of step^2 / 12 for each of its
    numbers, which half a nat would make smaller by the factor e.
    """

    def __init__(self, encoder: Layer, decoder: Layer, *args: Any, weight: float = 6.0, finest: float = 1 / 32,
                 coarsest: float = 1 / 2, **kwargs: Any):
        super().__init__(encoder, decoder, *args, **kwargs)
        self.weight, self.finest, self.coarsest = weight, finest, coarsest

    def make(self, input_shape: Shape) -> None:
        super().make(input_shape)
        self.claim(self.code_shape[:1], self.code_shape[:1])
        each = (self.code_shape[0],) + (1,) * (len(self.code_shape) - 1)
        self.mean = self.add_parameter("mean", np.zeros(each))
        self.log_scale = self.add_parameter("log_scale", np.zeros(each))
        self._steps, self._noise = self.generator("steps"), self.generator("noise")

    def encode(self, x: Tensor) -> Tensor:
        """The code in whole steps, the finest."""
        return _rounded(self.encoder(x) * (1 / self.finest)) * self.finest

    def loss_terms(self, x: Tensor) -> dict[str, Tensor]:
        code = self.encoder(self.corrupted(x))
        log_step = self._draw(self._steps, (len(x), *(1,) * (len(code.shape) - 1)))
        log_step = log_step * math.log(self.coarsest / self.finest) + math.log(self.finest)
        step = F.exp(log_step)
        steps = code / step
        rate = F.logistic_code_length(steps + self._draw(self._noise, code.shape) - 0.5, self.mean / step,
                                      self.log_scale - log_step)
        # |x / step - y / step|^2 is the error in steps: what it is weighed by differs from sample to sample.
        scale = F.exp(-log_step.reshape(len(x), *(1,) * (len(x.shape) - 1)))
        y = self.decode(_rounded(steps) * step)
        return {"distortion": F.squared_error(y * scale, x * scale) * self.weight, "rate": rate, **self.penalty_terms()}

    def _draw(self, generator: Any, shape: Shape) -> Tensor:
        return Tensor._wrap(self.draws(generator).uniform(shape, self.place.dtype), self.place.backend)

    def config(self) -> dict[str, Any]:
        return {**super().config(), "weight": self.weight, "finest": self.finest, "coarsest": self.coarsest}


def _rounded(code: Tensor) -> Tensor:
    """The nearest integers, whose gradient passes by."""
    be = code.backend
    return F.straight_through(code, Tensor._wrap(be.elementwise(be.xp.rint, code._data), be))


class CompressiveAutoencoder(ConvolutionalAutoencoder):
    """A convolutional autoencoder trained for rate and distortion: to lose little, and to need few bits.

    The loss (see `CompressiveNetwork`) is the squared error of the reconstruction from rounded codes, times `weight`,
    and the nats that an entropy coder takes for these. `tasks.ImageCompressor` makes files of such codes.

    Parameters
    ----------
    filters : how many feature maps each level of the encoder has; each halves height and width.
    finest, coarsest : the smallest and the largest step that codes are rounded to in training. Whoever stores codes
        rounds them to any step between.
    weight : what a squared error of step^2 counts in nats: more makes better and larger files.

    `transform` gives codes in whole steps, the finest. All other parameters are those of
    `ConvolutionalAutoencoder`; the loss is "mse".

    >>> X = np.random.default_rng(0).random((20, 3, 16, 16), dtype=np.float32)
    >>> model = CompressiveAutoencoder((8, 12), epochs=2).fit(X)
    >>> model.transform(X).shape, sorted(model.history_[-1])[:2]
    ((20, 12, 4, 4), ['distortion', 'epoch'])

    Balle, Laparra and Simoncelli, "End-to-end optimized image compression", ICLR 2017; Theis, Shi, Cunningham and
    Huszar, "Lossy image compression with compressive autoencoders", ICLR 2017; Minnen and Singh, "Channel-wise
    autoregressive entropy models for learned image compression", ICIP 2020.
    """

    network_: CompressiveNetwork
    network_class = CompressiveNetwork
    network_settings = (*ConvolutionalAutoencoder.network_settings, "weight", "finest", "coarsest")
    losses = ("mse",)

    def __init__(self, filters: Sequence[int] = (32, 64), code: int | None = None, *, weight: float = 6.0,
                 finest: float = 1 / 32, coarsest: float = 1 / 2, **settings: Any):
        super().__init__(filters, code, **settings)
        self.weight, self.finest, self.coarsest = weight, finest, coarsest

    def _begin(self, X: Any, y: Any) -> Scaled:
        """Let the density begin as that of the first samples' codes, which a few steps would not bring it to."""
        rows, network = super()._begin(X, y), self.network_
        codes = self._through(network.encoder, rows[:_FIRST])
        others = (0, *range(2, codes.ndim))
        mean = codes.mean(others).reshape(network.mean.shape)
        deviation = np.abs(codes - mean).mean(others).reshape(network.mean.shape)
        network.mean.assign(mean)
        scale = np.maximum(deviation, self.finest / 4) / (2 * math.log(2))  # E|y - m| = 2 log(2) s
        network.log_scale.assign(np.log(scale))
        return rows

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_number("weight", self.weight)
        if not 0 < check_number("finest", self.finest) <= check_number("coarsest", self.coarsest):
            raise ValueError(f"steps go from finest to coarsest, positive numbers; got {self.finest} and "
                             f"{self.coarsest}")


def lapped_transform(images: np.ndarray, filters: int = 96, size: int = 8, *, seed: int = 0,
                     dtype: str = "float32", backend: Any = None) -> tuple[Sequential, Sequential]:
    """The layers (encoder, decoder) of a linear compressor of images (N, C, H, W), for `CompressiveAutoencoder`: a
    convolution of 2 size x 2 size pixels at every `size`-th, and its transpose.

    They begin where training would take long to get to: as the principal components of blocks of size x size pixels,
    `filters` of them, the largest first, in the middle of otherwise empty windows; for so many components they lose
    least of all linear codes. Training lets the windows overlap, which takes the blocks' edges away (Malvar, "Signal
    processing with lapped transforms", 1992).
    """
    channels, height, width = images.shape[1:]
    h, w = height // size * size, width // size * size
    blocks = images[:, :, :h, :w].reshape(len(images), channels, h // size, size, w // size, size)
    blocks = blocks.transpose(0, 2, 4, 1, 3, 5).reshape(-1, channels * size * size).astype(np.float64)
    mean = blocks.mean(0)
    filters = min(check_count("filters", filters), len(mean))
    variances, components = np.linalg.eigh(np.cov(blocks.T, ddof=0).reshape(len(mean), len(mean)))
    middle = components[:, ::-1][:, :filters].T.reshape(filters, channels, size, size)
    margin = size // 2
    kernel = np.pad(middle, [(0, 0), (0, 0), (margin, size - margin), (margin, size - margin)])
    analysis, synthesis = Conv2D(filters, 2 * size, size), ConvTranspose2D(channels, 2 * size, size)
    layers = Sequential([analysis]), Sequential([synthesis])
    shape: Shape = (channels, height, width)
    for part, network in zip(("encoder", "decoder"), layers, strict=True):
        shape = network.build(shape, Build(part, seed, dtype, backend))
    analysis.weight.assign(kernel)
    analysis.bias.assign(-np.tensordot(middle, mean.reshape(middle.shape[1:]), 3))
    synthesis.weight.assign(kernel)
    synthesis.bias.assign(mean.reshape(channels, -1).mean(1))
    return layers
