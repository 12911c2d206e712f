"""The distributions p(x | z) that a variational decoder's output stands for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from miniae import functions as F
from miniae.autodiff import Tensor
from miniae.functions.softmax import LogSoftmax
from miniae.nn import Layer
from miniae.nn.layer import Shape

__all__ = ["LIKELIHOODS", "Bernoulli", "Gaussian", "Likelihood", "Multinomial", "make_likelihood"]


class Likelihood(Layer):
    """Reads a decoder's output y: called, it gives the mean of p(x | z); `loss` is the mean of -log p(x | z), in nats.

    It stands in the place of a `Reconstruction`.
    """

    name = ""
    activation = ""
    unit_interval = False

    def loss(self, y: Tensor, target: Tensor) -> Tensor:
        """-log p(target | z), summed over features, averaged over the batch."""
        raise NotImplementedError(f"{type(self).__name__} has no loss")

    def log_density(self, y: Any, x: Any) -> Any:
        """log p(x | z) of each row: y (N, k, features) from k codes z for each x (N, 1, features), to (N, k).

        Raw arrays; y is overwritten.
        """
        raise NotImplementedError(f"{type(self).__name__} has no log_density")


class Bernoulli(Likelihood):
    """p(x | z) = prod_i p_i^x_i (1 - p_i)^(1 - x_i), p = sigmoid(y), for x in {0, 1}.

    For x between 0 and 1 this is the cross-entropy, and no likelihood.
    """

    name, activation, unit_interval = "bce", "sigmoid", True

    def forward(self, y: Tensor) -> Tensor:
        return F.sigmoid(y)

    def loss(self, y: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(y, target)

    def log_density(self, y: Any, x: Any) -> Any:
        """log p = sum_i x_i y_i - max(y_i, 0) - log(1 + exp(-|y_i|)).

        Each 1 + exp(-|y|) is at most 2, so that up to 64 of them may be multiplied before the logarithm is taken: that
        is the slow part, and it is most of the time that an estimate of the likelihood takes.
        """
        be = self.place.backend
        linear = be.multiply(y, x)
        positive = be.elementwise(be.xp.maximum, y, 0.0)
        total = be.sum(be.subtract(linear, positive, out=linear), axis=-1)
        be.elementwise(be.xp.abs, y, out=y)
        be.multiply(y, -1.0, out=y)
        be.elementwise(be.xp.exp, y, out=y)
        factors = be.add(y, 1.0, out=y)
        for _ in range(6):
            half, odd = divmod(factors.shape[-1], 2)
            if odd:
                break
            factors = be.multiply(factors[..., :half], factors[..., half:], out=linear[..., :half])
        return be.subtract(total, be.sum(be.elementwise(be.xp.log, factors), axis=-1))


class Gaussian(Likelihood):
    """p(x | z) = N(x; y, sigma^2), with one sigma for all features that is learnt: `log_sigma`, at first 0.

    A sigma that is merely chosen would be a hidden weight of the reconstruction against the KL term. Rybkin,
    Daniilidis and Levine, "Simple and effective VAE training with calibrated decoders", ICML 2021.
    """

    name, activation = "gaussian", "linear"

    def make(self, input_shape: Shape) -> None:
        self.log_sigma = self.add_parameter("log_sigma", np.zeros(()))

    def check_input(self, x: Tensor) -> None:
        """Outputs of any shape have the same sigma."""

    def forward(self, y: Tensor) -> Tensor:
        return y

    def loss(self, y: Tensor, target: Tensor) -> Tensor:
        return F.gaussian_negative_log_likelihood(y, target, self.log_sigma)

    def log_density(self, y: Any, x: Any) -> Any:
        be = self.place.backend
        difference = be.subtract(y, x, out=y)
        error = be.sum(be.multiply(difference, difference, out=y), axis=-1)
        log_sigma = self.log_sigma._data
        precision = be.elementwise(be.xp.exp, be.multiply(log_sigma, -2.0))
        constant = be.multiply(be.add(log_sigma, 0.5 * math.log(2.0 * math.pi)), float(y.shape[-1]))
        return be.multiply(be.add(be.multiply(error, be.multiply(precision, 0.5)), constant), -1.0)


class Multinomial(Likelihood):
    """p(x | z) = prod_i p_i^x_i, p = softmax(y), times the number of orders that the counts x can come in.

    That number does not depend on y, and is left out. Liang et al., "Variational autoencoders for collaborative
    filtering", WWW 2018, equation 2.
    """

    name, activation = "multinomial", "softmax"

    def forward(self, y: Tensor) -> Tensor:
        return F.softmax(y)

    def loss(self, y: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(y, target)

    def log_density(self, y: Any, x: Any) -> Any:
        be = self.place.backend
        return be.sum(be.multiply(be.formula(LogSoftmax.value, y, -1), x), axis=-1)


LIKELIHOODS: dict[str, type[Likelihood]] = {"bce": Bernoulli, "gaussian": Gaussian}
"""The likelihoods by the name of the loss that they are minus the logarithm of."""


def make_likelihood(loss: str, activation: str | None) -> Likelihood:
    """The likelihood of that name. Raises `ValueError` for others, and for an activation that is not its own."""
    if loss not in LIKELIHOODS:
        raise ValueError(f"a variational autoencoder's loss is minus the logarithm of a likelihood, one of "
                         f"{', '.join(LIKELIHOODS)}; got {loss!r}")
    likelihood = LIKELIHOODS[loss]()
    if activation not in (None, likelihood.activation):
        raise ValueError(f"the loss {loss!r} goes with a {likelihood.activation} output, got {activation!r}: leave "
                         "output_activation out")
    return likelihood
