"""Wasserstein autoencoders: a maximum mean discrepancy between codes and prior."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from miniae import functions as F
from miniae.autodiff import Tensor
from miniae.functions.all_rows import all_rows
from miniae.models.matched import MatchedAutoencoder, MatchedNetwork
from miniae.models.priors import Prior
from miniae.nn import Layer
from miniae.nn.layer import Shape
from miniae.training import check_number

__all__ = ["SCALES", "WassersteinAutoencoder", "WassersteinNetwork", "kernel_scales"]

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""How large the kernels are, in units of the usual squared distance of two draws from the prior."""


def kernel_scales(prior: Prior, size: int) -> tuple[float, ...]:
    """The c of the kernels c / (c + |x - y|^2) for codes of this size: E |z - z'|^2 times each of `SCALES`.

    For the standard normal prior that is 2 d sigma^2 times each, as in the program of Tolstikhin et al. (2018).
    """
    return tuple(prior.mean_squared_distance(size) * scale for scale in SCALES)


class WassersteinNetwork(MatchedNetwork):
    """An autoencoder whose loss also has `strength` times the `functions.mmd` between codes and draws of a prior."""

    def __init__(self, encoder: Layer, decoder: Layer, *args: Any, strength: float = 100.0, **kwargs: Any):
        super().__init__(encoder, decoder, *args, **kwargs)
        self.strength = strength

    def make(self, input_shape: Shape) -> None:
        super().make(input_shape)
        self.scales = kernel_scales(self.prior, *self.code_shape)

    def code_terms(self, code: Tensor) -> dict[str, Tensor]:
        if not self.strength:
            return {}
        return {"mmd": F.mmd(all_rows(code), all_rows(self.draw(len(code))), self.scales) * self.strength}

    def config(self) -> dict[str, Any]:
        return {**super().config(), "strength": self.strength}


class WassersteinAutoencoder(MatchedAutoencoder):
    """An autoencoder whose codes, all together, look like draws from a prior to a kernel.

    The loss is the reconstruction's plus `strength` times the squared maximum mean discrepancy between the codes of a
    minibatch and as many draws from `prior` ("gaussian", "mixture", "swiss_roll" or a `models.Prior`), estimated
    without bias, with a sum of inverse multiquadratics kernels (`functions.mmd`). Each input keeps a code of its own
    where variational autoencoders give it a cloud: codes as a whole follow the prior, with no noise in them. The term
    needs large minibatches, and is 0 for one of a single sample; it may be below 0 in the history. That of held-out
    data is of their rows in the order they have: shuffle them, where neighbours are alike. All else is as in
    `Autoencoder`.

    Parameters
    ----------
    prior : "gaussian", "mixture" (of ten Gaussians on a ring), "swiss_roll", or a `models.Prior`.
    strength : the weight of the discrepancy in the loss, at least 0.

    Tolstikhin, Bousquet, Gelly and Schoelkopf, "Wasserstein auto-encoders", ICLR 2018, algorithm 2.

    >>> import numpy as np
    >>> X = np.random.default_rng(0).random((100, 8), dtype=np.float32)
    >>> WassersteinAutoencoder([6], 2, epochs=3).fit(X).sample(5).shape
    (5, 8)
    """

    network_: WassersteinNetwork
    network_class = WassersteinNetwork
    network_settings = (*MatchedAutoencoder.network_settings, "strength")

    def __init__(self, hidden: Sequence[int] = (128,), code: int = 8, *, prior: str | Prior = "gaussian",
                 strength: float = 100.0, **settings: Any):
        super().__init__(hidden, code, **settings)
        self.prior, self.strength = prior, strength

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_number("strength", self.strength)
